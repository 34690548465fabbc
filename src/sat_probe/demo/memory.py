"""Memory of the server: freed when visitors pause, and when they close the page."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
import weakref
from pathlib import Path

import gradio as gr

QUIET = 3.0  # seconds without a request before memory is freed
MOST_WAITS = 5  # after so many times QUIET memory is freed even if requests never pause

_requested = threading.Event()


def request_done() -> None:
    """Note that a request has been answered, so there may be something to free."""
    _requested.set()


def free_memory_when_idle(app: gr.Blocks) -> None:
    """Start a thread that frees memory after the requests of an app, as long as the app exists."""
    threading.Thread(target=_watch, args=(weakref.ref(app),), daemon=True).start()


def _watch(app: weakref.ref[gr.Blocks]) -> None:
    while app() is not None:
        if not _requested.wait(60):
            continue
        for _ in range(MOST_WAITS):
            _requested.clear()
            time.sleep(QUIET)
            if not _requested.is_set():
                break
        free_memory(app())


def free_memory(app: gr.Blocks | None) -> None:
    """Collect garbage and return free memory to the system; forget the paths of uploads that are gone.

    Figures refer to themselves, so only the garbage collector frees them, and it runs ever less often. Gradio keeps
    the path of every upload.
    """
    for paths in app.temp_file_sets if app is not None else ():
        paths -= {path for path in tuple(paths) if not Path(path).exists()}
    gc.collect()
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)):  # musl has none
        trim(0)


def forget_visitor_on_unload(app: gr.Blocks) -> None:
    """Free what was shown to a visitor when the page is closed; call inside the Blocks.

    Gradio keeps the last value of every component of every visitor, so that links can restore a session, until there
    are `state_session_capacity` sessions; the page of a report takes megabytes. The visitor's `gr.State` values keep
    their own time to live.
    """

    def forget(request: gr.Request) -> None:
        state = app.state_holder.session_data.get(request.session_hash)
        if state is not None:
            state.config_values.clear()  # Gradio makes an entry anew when it shows something again

    app.unload(forget)
