"""Ablate: heads switched off, and what becomes of the speech."""

from __future__ import annotations

import gradio as gr

from sat_probe.demo.settings import DemoSettings


def build(settings: DemoSettings, session: gr.State) -> None:
    """The tab's components and what they do."""
    gr.Markdown(f"Up to {settings.max_seconds:g} s of speech.")
