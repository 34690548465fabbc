"""The models that are loaded: few at a time, shared by all visitors, who leave nothing in them."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from importlib import import_module
from typing import TYPE_CHECKING

from sat_probe.demo.settings import ModelChoice

if TYPE_CHECKING:
    import torch

    from sat_probe.models.probed import ProbedModel

KEPT = 2  # models in memory at once; the one that was not asked for the longest goes

WARM_UP_DELAY = 3.0  # seconds after the first page was sent, which the browser needs to show it

logger = logging.getLogger(__name__)
_loaded: OrderedDict[ModelChoice, ProbedModel] = OrderedDict()
_heads: dict[ModelChoice, torch.nn.Module | None] = {}  # small, and as many as the operator offers models
_warmed: set[ModelChoice] = set()
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


def reconstruction_head(choice: ModelChoice) -> torch.nn.Module | None:
    """The head a model was pre-trained with; None if it has none that reconstructs what the model reads."""
    model = probed_model(choice)
    with _lock:
        if choice not in _heads:
            from sat_probe.studies.probing_features import pretraining_head

            _heads[choice] = pretraining_head(model)
        return _heads[choice]


def warm_up(choice: ModelChoice) -> None:
    """Load a model, and what draws, a moment from now, unless that was asked for before: the first page comes first."""
    with _lock:
        if choice in _warmed:
            return
        _warmed.add(choice)

    def load() -> None:
        try:
            probed_model(choice)
            reconstruction_head(choice)
            import_module("sat_probe.demo.ablation_view")  # and matplotlib with it
        except Exception:
            logger.exception("%s could not be loaded ahead", choice.label)

    timer = threading.Timer(WARM_UP_DELAY, load)
    timer.daemon = True
    timer.start()
