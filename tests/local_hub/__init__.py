"""A Hugging Face Hub on loopback, for tests with the real clients.

The clients read their environment when they are imported, so the address must be there first:

    hub = start()          # binds a port and sets HF_ENDPOINT, HF_HOME, ... for this process and its children
    import huggingface_hub

Tokens: `TOKEN` (the owner `me`, member of the organization `team`), `STRANGER`, and `READER` (may only read).
"""

from __future__ import annotations

import atexit
import os

from .faults import Fault
from .server import LocalHub

TOKEN, STRANGER, READER = "hf_local_me", "hf_local_stranger", "hf_local_reader"

__all__ = ["READER", "STRANGER", "TOKEN", "Fault", "LocalHub", "start"]


def start() -> LocalHub:
    """Start a Hub that ends with the process, and point all Hub clients at it. Call before importing them."""
    local = LocalHub()
    atexit.register(local.stop)
    os.environ.update(
        HF_ENDPOINT=local.url,
        HF_HOME=str(local.folder / "home"),
        HF_HUB_DISABLE_XET="1",  # the LFS lane; tests of the xet lane flip huggingface_hub.constants
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        HF_UPDATE_DOWNLOAD_COUNTS="0",  # else evaluate asks s3.amazonaws.com
        DISABLE_SAFETENSORS_CONVERSION="1",  # else transformers may ask a Space to convert weights
        HF_XET_CLIENT_RETRY_BASE_DELAY="10ms",
        HF_XET_CLIENT_RETRY_MAX_ATTEMPTS="2",
        NO_PROXY="127.0.0.1,localhost",
        no_proxy="127.0.0.1,localhost",
    )
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        os.environ.pop(name, None)
    return local
