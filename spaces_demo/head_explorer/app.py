"""The head explorer as a Space. Its limits are below; variables of the Space with the same names override them."""

from __future__ import annotations

import ctypes
import os
import sys

from sat_probe.demo.app import serve
from sat_probe.demo.settings import DemoSettings, named_models, preset_models

MODELS = os.environ.get("MODELS", "")  # models in addition to the presets: "org/name@commit org/other@commit"
REPORTS = os.environ.get("REPORTS", "")  # datasets of reports on the Hub: "owner/name owner/other:model"
MAX_SECONDS = float(os.environ.get("MAX_SECONDS", "20"))
MAX_MEGABYTES = float(os.environ.get("MAX_MEGABYTES", "16"))
CONCURRENCY = int(os.environ.get("CONCURRENCY", "2"))
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8  # options of glibc's mallopt


def settings() -> DemoSettings:
    """Return the settings of this Space."""
    return DemoSettings(
        models=preset_models() | named_models(MODELS.split()),
        reports=tuple(REPORTS.split()),
        max_seconds=MAX_SECONDS,
        max_upload_bytes=int(MAX_MEGABYTES * 2**20),
        concurrency=CONCURRENCY,
    )


def return_large_blocks() -> None:
    """Make the C library return large blocks to the system when they are freed; do nothing where it cannot.

    By default it keeps the pages of reports apart for every thread, and the server grows: after 25 s of six visitors
    by 66 MB instead of 5 MB (benchmarks/demo.py). A Gradio Space has no Dockerfile in which MALLOC_* could be set.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(M_MMAP_THRESHOLD, 2**20)
        mallopt(M_ARENA_MAX, 2)


if __name__ == "__main__":
    return_large_blocks()
    serve(settings())
