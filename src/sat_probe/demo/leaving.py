"""What visitors leave behind in the server's memory, and when it goes."""

from __future__ import annotations

import ctypes
import sys

import gradio as gr

_MMAP_THRESHOLD, _ARENA_MAX = -3, -8  # of glibc's mallopt


def forget_on_leaving(app: gr.Blocks) -> None:
    """Drop what was shown to a visitor when their page is closed; call inside the Blocks.

    Gradio keeps the last value of every component of every visitor, for links that restore a session, until there are
    `state_session_capacity` of them; a page of a report is megabytes. The visitor's own state stays its time.
    """

    def left(request: gr.Request) -> None:
        state = app.state_holder.session_data.get(request.session_hash)
        if state is not None:
            state.config_values.clear()  # Gradio makes an entry anew when it shows something again

    app.unload(left)


def give_memory_back() -> None:
    """Let the C library return large blocks to the system as soon as they are free; does nothing outside Linux.

    Left to itself it keeps pages of reports of many threads apart, and the server grows with its visitors.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 2**20)
        mallopt(_ARENA_MAX, 2)
