"""The models that are loaded: few at a time, shared by all visitors, who leave nothing in them."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from sat_probe.demo.settings import ModelChoice

if TYPE_CHECKING:
    from sat_probe.models.probed import ProbedModel

KEPT = 2  # models in memory at once; the one that was not asked for the longest goes

logger = logging.getLogger(__name__)
_loaded: OrderedDict[ModelChoice, ProbedModel] = OrderedDict()
_lock = threading.Lock()


def probed_model(choice: ModelChoice) -> ProbedModel:
    """The model of a choice, loaded if it is not.

    Raises:
        ModelError: it cannot be loaded.
    """
    with _lock:
        if choice not in _loaded:
            from sat_probe.studies.study_model import load_model  # torch: not before the first request

            _loaded[choice] = load_model(
                choice.model, revision=choice.revision, allow_pickle=choice.allow_pickle
            )
        _loaded.move_to_end(choice)
        while len(_loaded) > KEPT:
            _loaded.popitem(last=False)
        return _loaded[choice]


def warm_up(choice: ModelChoice) -> threading.Thread:
    """Load a model in the background and let it hear a moment of noise, so that the first visitor need not wait."""

    def load() -> None:
        try:
            import numpy as np

            model = probed_model(choice)
            noise = np.random.default_rng(0).standard_normal(model.sampling_rate).astype(np.float32)
            model.encode([0.01 * noise], output_attentions=True)
        except Exception:
            logger.exception("%s could not be loaded ahead", choice.label)

    thread = threading.Thread(target=load, name="warm-up", daemon=True)
    thread.start()
    return thread
