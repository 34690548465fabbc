"""`sat-probe plot`: redraw the figures and the page of a saved report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sat_probe.cli.options import AsJson


def plot(
    report: Annotated[
        Path, typer.Argument(metavar="REPORT", help="Folder of a report that `sat-probe analyze --output` wrote.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder for the pictures.", show_default="the report"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw all figures (SVG and PNG) and report.html from a saved report; no model is loaded.

    sat-probe plot M3-report
    """
    from sat_probe.reports.head_report import HeadReport
    from sat_probe.reports.page.render import render_page
    from sat_probe.reports.plots.all import save_figures

    loaded = HeadReport.load(report)
    folder = report if output is None else output
    figures = save_figures(loaded, folder / "figures")
    page = folder / "report.html"
    page.write_text(render_page(loaded), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps({"figures": [str(path) for path in figures], "page": str(page)}))
    else:
        typer.echo(f"{len(figures)} figures in {folder / 'figures'}, page {page}")
