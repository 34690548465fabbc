"""Compare: the heads of two models side by side, and head by head where both have the same ones."""

from __future__ import annotations

import html
from collections.abc import Callable

import gradio as gr
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from sat_probe.demo.guard import guarded
from sat_probe.demo.heads_file import read_heads_file
from sat_probe.demo.heads_table import TABLE_CSS, csv_link, html_table
from sat_probe.demo.inline_figure import inline_figure
from sat_probe.demo.published import PublishedReports
from sat_probe.demo.report_choice import report_choice
from sat_probe.demo.settings import DemoSettings
from sat_probe.errors import ReportError
from sat_probe.measures.head_metrics import CATEGORIES
from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.plots_heads import plot_categories, plot_distribution, plot_layers

INTRODUCTION = """Two models side by side: which kinds of heads they have, in which layers, and how far apart the kinds are.
Choose saved reports, or upload the `heads.parquet` of your own (`sat-probe analyze` writes it)."""
SCALES = ("nats", "share of log T")
PAIR_CSS = (
    TABLE_CSS
    + """
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 12px; }
figure { margin: 0; min-width: 0; }
figcaption { color: var(--sat-soft); font-size: 14px; overflow-wrap: anywhere; }
"""
)


def build(settings: DemoSettings, tab: gr.Tab) -> None:
    """The tab's components and what they do; the comparison of the first two reports is there when it is opened."""
    published = PublishedReports(settings)
    gr.Markdown(INTRODUCTION)
    inputs: list[gr.components.Component] = []
    with gr.Row():
        for index, name in enumerate(("First", "Second")):
            with gr.Column(min_width=300):
                source, model, _ = report_choice(published, f"{name} report", first=index)
                upload = gr.File(
                    label=f"or {name.lower()} table of heads (.parquet, .csv)",
                    type="filepath",
                    file_types=[".parquet", ".csv"],
                    height=110,
                )
                inputs += [source, model, upload]
    scale = gr.Radio(list(SCALES), value=SCALES[0], label="Globalness and verticality in")
    button = gr.Button("Compare", variant="primary")
    overview = gr.HTML(css_template=PAIR_CSS)
    figures = gr.HTML(css_template=PAIR_CSS)
    changes = gr.HTML(css_template=PAIR_CSS)

    def compare(
        first: str, first_model: str | None, first_file: str | None,
        second: str, second_model: str | None, second_file: str | None, scale: str,
    ) -> tuple[str, str, str]:  # fmt: skip
        reports = (
            _report(published, first, first_model, first_file),
            _report(published, second, second_model, second_file),
        )
        return shown_overview(*reports), shown_figures(*reports, scale), shown_changes(*reports)

    gr.on(
        [tab.select, button.click, scale.input],
        guarded(compare),
        [*inputs, scale],
        [overview, figures, changes],
        api_name="compare",
    )


def _report(published: PublishedReports, name: str, model: str | None, upload: str | None) -> HeadReport:
    """The uploaded table if there is one, else the chosen report."""
    return read_heads_file(upload) if upload else published.open(name, model)


def shown_overview(first: HeadReport, second: HeadReport) -> str:
    """Counts and shares of the categories, and where the metrics of both lie."""
    rows = []
    for category in CATEGORIES:
        shares = (f"{report.counts[category]} ({report.counts[category] / len(report.heads):.0%})" for report in (first, second))
        rows.append((f"{category} heads", *shares))
    for metric in ("globalness", "verticality", "diagonality"):
        quartiles = (np.nanpercentile(report.heads[metric].astype(float), (25, 50, 75)) for report in (first, second))
        rows.append((metric, *(f"{middle:.3g} ({low:.3g} to {high:.3g})" for low, middle, high in quartiles)))
    names = _names(first, second)
    table = pd.DataFrame(rows, columns=["", *names])
    return html_table(table, "Heads of each kind; of each metric the median and the quartiles", "Both models in numbers")


def shown_figures(first: HeadReport, second: HeadReport, scale: str) -> str:
    """Pairs of figures on the same axes.

    Raises:
        ReportError: a table lacks the metrics that this scale shows.
    """
    if scale not in SCALES:
        raise ReportError("choose one of the two scales")
    end = "" if scale == SCALES[0] else "_per_log_length"
    x, y = f"globalness{end}", f"verticality{end}"
    reports = (first, second)
    for report, name in zip(reports, _names(*reports), strict=True):
        if missing := [column for column in (x, y) if column not in report.heads]:
            raise ReportError(f"{name} has no {missing[0]!r}; choose the other scale")
    pairs: list[tuple[str, Callable[[pd.DataFrame], Axes]]] = [
        ("Category of every head", plot_categories),
        ("Kinds of heads in each layer", plot_layers),
        ("Globalness and diagonality", lambda heads: plot_distribution(heads, x, "diagonality")),
        ("Globalness and verticality", lambda heads: plot_distribution(heads, x, y)),
    ]
    return "".join(_pair(title, draw, reports, shared=index > 0) for index, (title, draw) in enumerate(pairs))


def _pair(
    title: str, draw: Callable[[pd.DataFrame], Axes], reports: tuple[HeadReport, HeadReport], shared: bool
) -> str:
    drawn = [draw(report.heads) for report in reports]
    if shared:  # distances mean the same on both sides
        for get, put in (("get_xlim", "set_xlim"), ("get_ylim", "set_ylim")):
            limits = np.array([getattr(ax, get)() for ax in drawn])
            for ax in drawn:
                getattr(ax, put)(limits[:, 0].min(), limits[:, 1].max())
    figures = []
    for ax, report, name in zip(drawn, reports, _names(*reports), strict=True):
        ax.set_title("")
        counts = ", ".join(f"{count} {category}" for category, count in report.counts.items())
        alt = f"{title} of {name}: {len(report.heads)} heads, {counts}."
        figures.append(f"<figure>{inline_figure(ax, alt)}<figcaption>{html.escape(name)}</figcaption></figure>")
    return f'<h3>{title}</h3><div class="pair">{"".join(figures)}</div>'


def shown_changes(first: HeadReport, second: HeadReport) -> str:
    """What became of each head, where both models have the same ones; else why there is no such table."""
    try:
        rows = first.compare(second)
    except ReportError:
        shapes = (f"{report.heads['layer'].nunique()} layers of {len(report.heads)} heads" for report in (first, second))
        return f"<h3>Head by head</h3><p>Not here: {' against '.join(shapes)}. Only models of one shape compare head by head.</p>"
    columns = ["layer", "head", "category", "category_other"]
    columns += [f"{name}_difference" for name in ("globalness", "verticality", "diagonality")]
    changed = rows.loc[rows["changed"], columns].rename(
        columns={"category": "category first", "category_other": "category second"}
    )
    changed.columns = [str(column).replace("_difference", " change") for column in changed.columns]
    said = f"{len(changed)} of {len(rows)} heads are of another kind in the second report."
    table = html_table(changed, said, "Heads that changed") if len(changed) else f"<p>{said}</p>"
    return f"<h3>Head by head</h3>{table}{csv_link(rows, 'comparison.csv', f'Save all {len(rows)} heads as CSV')}"


def _names(first: HeadReport, second: HeadReport) -> tuple[str, str]:
    """What to call both: their models, with the corpus where the models are the same."""
    names = [str(report.provenance.get("model") or "an unnamed model") for report in (first, second)]
    if names[0] == names[1]:
        corpora = [str(report.provenance.get("corpus") or "unnamed corpus") for report in (first, second)]
        names = [f"{name} on {corpus}" for name, corpus in zip(names, corpora, strict=True)]
    if names[0] == names[1]:
        names = [f"{name} ({place})" for name, place in zip(names, ("first", "second"), strict=True)]
    return names[0], names[1]
