"""The head explorer: four tabs, each built by its own package, in one app."""

from __future__ import annotations

import threading

import gradio as gr

from sat_probe.demo.ablate import tab as ablate_tab
from sat_probe.demo.browse import tab as report_tab
from sat_probe.demo.compare import tab as compare_tab
from sat_probe.demo.explore import tab as explore_tab
from sat_probe.demo.memory import forget_visitor_on_unload, free_memory_when_idle
from sat_probe.demo.model_pool import set_concurrency
from sat_probe.demo.session import Session
from sat_probe.demo.settings import BUNDLED_LABEL, DemoSettings
from sat_probe.demo.theme import make_css, make_theme, page_file
from sat_probe.demo.uploads import SWEEP
from sat_probe.errors import ConfigurationError
from sat_probe.studies.choices import ModelChoice

TITLE = "What do the heads of a speech model do?"


def build_app(settings: DemoSettings) -> gr.Blocks:
    """Build the app without launching it."""
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=SWEEP, fill_width=True) as app:
        gr.HTML(page_file("header.html"), js_on_load=page_file("header.js"))
        bundled = Session(model=settings.models.get(BUNDLED_LABEL, ModelChoice()))
        session = gr.State(bundled, time_to_live=settings.session_seconds)
        with gr.Tab("Explore"):
            analyzed = explore_tab.build(settings, session, app)
        with gr.Tab("Ablate", render_children=True):  # rendered before it is opened
            ablate_tab.build(session, app, analyzed)
        with gr.Tab("Compare") as tab:
            compare_tab.build(settings, tab)
        with gr.Tab("Report") as tab:
            report_tab.build(settings, tab)
        forget_visitor_on_unload(app)
    return app.queue(max_size=settings.queue_size, default_concurrency_limit=settings.concurrency)


def serve(
    settings: DemoSettings, *, host: str | None = None, port: int | None = None, block: bool = True, quiet: bool = False
) -> gr.Blocks:
    """Build and launch the app. The first visitor sees the bundled report before any model is loaded.

    Args:
        settings: models, reports and limits.
        host: address to listen on; by default GRADIO_SERVER_NAME, else this machine only.
        port: port to listen on; by default GRADIO_SERVER_PORT, else the first free one from 7860 on.
        block: return only when interrupted.
        quiet: do not print the address.

    Returns:
        The running app; its address is `app.local_url`.

    Raises:
        ConfigurationError: if the port is taken, or the address does not exist.
    """
    set_concurrency(settings.concurrency)
    app = build_app(settings)
    try:
        app.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            quiet=quiet,
            share=False,
            max_file_size=settings.max_upload_bytes,
            theme=make_theme(),
            css=make_css(),
            footer_links=["api"],
            ssr_mode=False,
            show_error=False,
            run_history=False,
            enable_monitoring=False,
            pwa=False,
            state_session_capacity=settings.sessions,
        )
    except OSError as error:
        app.close(verbose=False)
        where = f"{host or 'this machine'}, port {port or 'any from 7860 on'}"
        raise ConfigurationError(f"cannot listen on {where}: choose another port or another address") from error
    free_memory_when_idle(app)
    threading.Thread(target=explore_tab.saved_page, daemon=True).start()  # while the browser starts
    if block:
        app.block_thread()
    return app
