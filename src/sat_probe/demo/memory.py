"""Memory that requests leave behind in the server, given back to the system when the visitors pause."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
import weakref
from pathlib import Path

import gradio as gr

QUIET = 3.0  # seconds without a request, after which there is time to tidy up
MOST_WAITS = 5  # of so many seconds, where requests never cease
_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # of glibc's mallopt

_worked = threading.Event()


def worked() -> None:
    """Say that a request was answered."""
    _worked.set()


def keep_tidy(app: gr.Blocks) -> None:
    """Tidy up after the requests of an app, as long as there is one; returns at once."""
    threading.Thread(target=_keep_tidy, args=(weakref.ref(app),), daemon=True).start()


def _keep_tidy(app: weakref.ref[gr.Blocks]) -> None:
    while app() is not None:
        if not _worked.wait(60):
            continue
        for _ in range(MOST_WAITS):
            _worked.clear()
            time.sleep(QUIET)
            if not _worked.is_set():
                break
        tidy(app())


def tidy(app: gr.Blocks | None) -> None:
    """Collect what is not used any more, and return it to the system.

    Figures hold themselves by cycles, which Python looks for ever more rarely. Gradio remembers the path of every
    upload; those that are gone are forgotten.
    """
    for paths in app.temp_file_sets if app is not None else ():
        paths -= {path for path in tuple(paths) if not Path(path).exists()}
    gc.collect()
    trim = _of_libc("malloc_trim")
    if trim is not None:
        trim(0)


def give_memory_back() -> None:
    """Let the C library return large blocks to the system as soon as they are free; does nothing outside Linux.

    Left to itself it keeps pages of reports of many threads apart, and the server grows with its visitors.
    """
    mallopt = _of_libc("mallopt")
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 2**20)
        mallopt(_ARENA_MAX, 2)


def _of_libc(name: str) -> ctypes._NamedFuncPointer | None:
    """A function of the C library; None outside Linux and where it has none (musl)."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
