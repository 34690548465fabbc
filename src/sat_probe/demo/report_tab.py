"""The report tab."""

from __future__ import annotations

import gradio as gr

from sat_probe.demo.settings import DemoSettings


def build(settings: DemoSettings) -> None:
    """The tab's components and what they do."""
    gr.Markdown(f"{len(settings.reports)} reports.")
