"""The page of a report inside the demo, in a frame; and the report that comes with the package."""

from __future__ import annotations

import html
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import gradio as gr

from sat_probe.demo.theme import page_file
from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.page.render import render_page


def bundled_report_folder() -> Path:
    """Return the folder of the bundled report, which `scripts/make_demo_report.py` writes."""
    return Path(str(files("sat_probe") / "data" / "report"))


@cache
def bundled_report() -> HeadReport:
    """Return the report of the bundled model on the bundled speech."""
    return HeadReport.load(bundled_report_folder())


def page_frame(**options: Any) -> gr.HTML:
    """Return a component for `framed_page`; its `click` event says which head was chosen (`event.layer`, `.head`)."""
    return gr.HTML(value="", js_on_load=page_file("frame.js"), **options)


def framed_page(report: HeadReport) -> str:
    """Return the page of a report, the same as `report.html`, as the value of `page_frame`.

    The frame may run its own scripts and nothing else: it has no origin, so it can neither read nor send anything.
    """
    page = html.escape(render_page(report), quote=True)
    # one wide character would double the memory that every copy of the page takes
    page = page.encode("ascii", "xmlcharrefreplace").decode("ascii")
    return f'<iframe class="sat-frame" title="Heads of the model" sandbox="allow-scripts" srcdoc="{page}"></iframe>'
