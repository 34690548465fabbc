"""Whether a model on the Hub can be asked for at all: a misspelt folder should not wait for a Hub that is not there."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from huggingface_hub import constants, try_to_load_from_cache

from sat_probe.errors import ModelError
from sat_probe.models.auto import hub_unreachable

_ON_HUB = re.compile(r"\w[\w.-]*(/[\w.-]+)?")


def require_hub(name: str, revision: str | None = None, pause: float = 1.0) -> None:
    """Raise a ModelError if a model is neither here nor on any machine that can be found.

    Only the name of the Hub's machine is looked up, twice; once it is known, the client tries as patiently as ever.

    Args:
        name: of the model; folders pass.
        revision: which one is wanted.
        pause: between the two tries (s).
    """
    if Path(name).exists() or not _ON_HUB.fullmatch(name):
        return
    if constants.HF_HUB_OFFLINE or getproxies():  # not asked at all, or somebody else looks the name up
        return
    if isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str):
        return
    host = urlsplit(constants.ENDPOINT).hostname
    for wait in (pause, 0.0):
        try:
            socket.getaddrinfo(host, None)
            return
        except OSError:
            time.sleep(wait)
    raise ModelError(hub_unreachable(name))
