"""Loaded models, shared by all visitors; only a few are kept in memory."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from sat_probe.errors import ModelError
from sat_probe.studies.choices import ModelChoice

if TYPE_CHECKING:
    import torch

    from sat_probe.models.probed import ProbedModel
    from sat_probe.studies.probing.phone_probe import PhoneProbe

KEPT = 2  # models in memory at once; the least recently used one is dropped
WARM_UP_DELAY = 3.0  # seconds after the first page was sent, which the browser needs to show it
LATEST: dict[str, Any] = {  # options of an event that computes: of several clicks only the last one counts
    "concurrency_id": "compute",
    "trigger_mode": "always_last",
    "show_progress": "minimal",
}
Loaded = TypeVar("Loaded")

logger = logging.getLogger(__name__)
_warmed: set[ModelChoice] = set()
_lock = threading.RLock()  # re-entrant, because a head or a probe needs its model
_concurrency = 1


def set_concurrency(requests: int) -> None:
    """Set how many requests compute at the same time, each with its share of the cores from the next load on.

    Threads of two requests on the same cores would wait for each other many times longer than they compute.
    """
    global _concurrency
    _concurrency = requests


def _shared(load: Callable[[ModelChoice], Loaded]) -> Callable[[ModelChoice], Loaded]:
    """Keep what a function returned for the last models; while one visitor waits for it, so do the others."""
    cached = lru_cache(KEPT)(load)

    @wraps(load)
    def loaded(choice: ModelChoice) -> Loaded:
        with _lock:
            return cached(choice)

    return loaded


@_shared
def probed_model(choice: ModelChoice) -> ProbedModel:
    """Return a model, loading it if it is not in memory.

    Raises:
        ModelError: if it cannot be loaded.
    """
    import torch

    from sat_probe.studies.inputs import open_model  # imports torch

    torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) // _concurrency)))
    return open_model(choice)


@_shared
def reconstruction_head(choice: ModelChoice) -> torch.nn.Module | None:
    """Return the head that a Mockingjay was pre-trained with; None for models without such a head."""
    from sat_probe.studies.probing.reconstruction import pretraining_head

    return pretraining_head(probed_model(choice))


@_shared
def phone_probe(choice: ModelChoice) -> PhoneProbe | None:
    """Return the bundled phone probe if it was trained on the weights of this model, else None."""
    from sat_probe.studies.probing.phone_probe import bundled_phone_probe

    model = probed_model(choice)
    try:
        probe = bundled_phone_probe()
        return probe if probe.fits(model) else None
    except ModelError:
        logger.exception("the demo cannot show phones")
        return None


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
            reconstruction_head(choice)
            phone_probe(choice)
            try_out()
        except Exception:
            logger.exception("%s could not be loaded in advance", choice.name)

    timer = threading.Timer(WARM_UP_DELAY, load)
    timer.daemon = True
    timer.start()
