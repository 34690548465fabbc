"""The models that are loaded: few at a time, shared by all visitors, who leave nothing in them."""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from sat_probe.demo.settings import ModelChoice
from sat_probe.errors import ModelError

if TYPE_CHECKING:
    import torch

    from sat_probe.models.probed import ProbedModel
    from sat_probe.studies.probing.phone_probe import PhoneProbe

KEPT = 2  # models in memory at once; the one that was not asked for the longest goes

WARM_UP_DELAY = 3.0  # seconds after the first page was sent, which the browser needs to show it

logger = logging.getLogger(__name__)
_loaded: OrderedDict[ModelChoice, ProbedModel] = OrderedDict()
_heads: dict[ModelChoice, torch.nn.Module | None] = {}  # small, and as many as the operator offers models
_probes: dict[ModelChoice, PhoneProbe | None] = {}
_warmed: set[ModelChoice] = set()
_lock = threading.Lock()
_requests = 1


def probed_model(choice: ModelChoice) -> ProbedModel:
    """The model of a choice, loaded if it is not.

    Raises:
        ModelError: it cannot be loaded.
    """
    with _lock:
        if choice not in _loaded:
            from sat_probe.studies.inputs import load_model  # torch: not before the first request

            _share_cores()
            _loaded[choice] = load_model(
                choice.model, revision=choice.revision, allow_pickle=choice.allow_pickle
            )
        _loaded.move_to_end(choice)
        while len(_loaded) > KEPT:
            _loaded.popitem(last=False)
        return _loaded[choice]


def share_cores(requests: int) -> None:
    """Say how many requests compute at once, each with its share of the machine's cores from the next load on.

    Threads of two requests on the same cores wait for each other, many times longer than they compute.
    """
    global _requests
    _requests = requests


def _share_cores() -> None:
    import torch

    torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) // _requests)))


def reconstruction_head(choice: ModelChoice) -> torch.nn.Module | None:
    """The head a model was pre-trained with; None if it has none that reconstructs what the model reads."""
    model = probed_model(choice)
    with _lock:
        if choice not in _heads:
            from sat_probe.studies.probing.features import pretraining_head

            _heads[choice] = pretraining_head(model)
        return _heads[choice]


def phone_probe(choice: ModelChoice) -> PhoneProbe | None:
    """The phone probe that comes with the package, if it was learned on the weights of this model."""
    model = probed_model(choice)
    with _lock:
        if choice not in _probes:
            from sat_probe.studies.probing.phone_probe import bundled_phone_probe

            try:
                probe = bundled_phone_probe()
                _probes[choice] = probe if probe.fits(model) else None
            except ModelError:
                logger.exception("the demo shows no phones")
                _probes[choice] = None
        return _probes[choice]


def warm_up(choice: ModelChoice, try_out: Callable[[], object]) -> None:
    """Load a model and use it once, a moment from now: the first page comes first, and the first visitor waits less.

    Nothing happens where that was asked for before.
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
            logger.exception("%s could not be loaded ahead", choice.label)

    timer = threading.Timer(WARM_UP_DELAY, load)
    timer.daemon = True
    timer.start()
