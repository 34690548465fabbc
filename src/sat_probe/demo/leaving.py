"""What visitors leave behind in the server's memory, and when it goes."""

from __future__ import annotations

import gradio as gr


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
