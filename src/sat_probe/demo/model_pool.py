"""Loaded models, shared by all visitors; only a few are kept in memory."""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from sat_probe.errors import ModelError
from sat_probe.studies.choices import ModelChoice

if TYPE_CHECKING:
    import torch

    from sat_probe.models.probed import ProbedModel
    from sat_probe.studies.probing.phone_probe import PhoneProbe

KEPT = 2  # models in memory at once; the least recently used one is dropped

WARM_UP_DELAY = 3.0  # seconds after the first page was sent, which the browser needs to show it

logger = logging.getLogger(__name__)
_loaded: OrderedDict[ModelChoice, ProbedModel] = OrderedDict()
_heads: dict[ModelChoice, torch.nn.Module | None] = {}  # small, and as many as the demo offers models
_probes: dict[ModelChoice, PhoneProbe | None] = {}
_warmed: set[ModelChoice] = set()
_lock = threading.Lock()
_concurrency = 1


def probed_model(choice: ModelChoice) -> ProbedModel:
    """Return a model, loading it if it is not in memory.

    Raises:
        ModelError: if it cannot be loaded.
    """
    with _lock:
        if choice not in _loaded:
            from sat_probe.studies.inputs import open_model  # imports torch

            _limit_threads()
            _loaded[choice] = open_model(choice)
        _loaded.move_to_end(choice)
        while len(_loaded) > KEPT:
            _loaded.popitem(last=False)
        return _loaded[choice]


def set_concurrency(requests: int) -> None:
    """Set how many requests compute at the same time, each with its share of the cores from the next load on.

    Threads of two requests on the same cores would wait for each other many times longer than they compute.
    """
    global _concurrency
    _concurrency = requests


def _limit_threads() -> None:
    import torch

    torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) // _concurrency)))


def reconstruction_head(choice: ModelChoice) -> torch.nn.Module | None:
    """Return the head that a Mockingjay was pre-trained with; None for models without such a head."""
    model = probed_model(choice)
    with _lock:
        if choice not in _heads:
            from sat_probe.studies.probing.reconstruction import pretraining_head

            _heads[choice] = pretraining_head(model)
        return _heads[choice]


def phone_probe(choice: ModelChoice) -> PhoneProbe | None:
    """Return the bundled phone probe if it was trained on the weights of this model, else None."""
    model = probed_model(choice)
    with _lock:
        if choice not in _probes:
            from sat_probe.studies.probing.phone_probe import bundled_phone_probe

            try:
                probe = bundled_phone_probe()
                _probes[choice] = probe if probe.fits(model) else None
            except ModelError:
                logger.exception("the demo cannot show phones")
                _probes[choice] = None
        return _probes[choice]


def warm_up(choice: ModelChoice, try_out: Callable[[], object]) -> None:
    """Load a model and use it once, a moment after the first page was sent, so that the first visitor waits less.

    A second call for the same model does nothing.
    """
    with _lock:
        if choice in _warmed:
            return
        _warmed.add(choice)

    def load() -> None:
        try:
            probed_model(choice)
            reconstruction_head(choice)
            phone_probe(choice)
            try_out()
        except Exception:
            logger.exception("%s could not be loaded in advance", choice.name)

    timer = threading.Timer(WARM_UP_DELAY, load)
    timer.daemon = True
    timer.start()
