"""The page of a report inside the demo: the same page that `report.html` is, in a frame of its own."""

from __future__ import annotations

import html
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from sat_probe.demo.theme import page_file
from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.page.render import render_page

if TYPE_CHECKING:
    from typing import Any


def bundled_report_folder() -> Path:
    """The report of the bundled model that comes with the package; `scripts/make_demo_report.py` makes it."""
    return Path(str(files("sat_probe") / "data" / "report"))


@cache
def bundled_report() -> HeadReport:
    """The report of the bundled model on the bundled speech, made when the package was."""
    return HeadReport.load(bundled_report_folder())


def page_frame(**options: Any) -> gr.HTML:
    """A component for the value of `framed`; `.click` hears which head is chosen there (`event.layer, event.head`)."""
    return gr.HTML(value="", js_on_load=page_file("frame.js"), **options)


def framed(report: HeadReport) -> str:
    """The page of a report as the value of `page_frame`.

    The frame may run its own scripts and nothing else: it has no origin, so it can neither read nor send anything.
    """
    page = html.escape(render_page(report), quote=True)
    # one wide character would double the memory that every copy of the page takes
    page = page.encode("ascii", "xmlcharrefreplace").decode("ascii")
    return f'<iframe class="sat-frame" title="Heads of the model" sandbox="allow-scripts" srcdoc="{page}"></iframe>'
