"""Explore: a recording through a model, and every head of it."""

from __future__ import annotations

import gradio as gr

from sat_probe.demo.guard import guarded
from sat_probe.demo.page_frame import bundled_report, framed, page_frame
from sat_probe.demo.settings import DemoSettings


def build(settings: DemoSettings, session: gr.State, app: gr.Blocks) -> None:
    """The tab's components and what they do."""
    page = page_frame(elem_id="heads")
    app.load(guarded(saved_page), None, page, api_name="saved_page")


def saved_page() -> str:
    """The page of the bundled report, which is there before any model is loaded."""
    return framed(bundled_report())
