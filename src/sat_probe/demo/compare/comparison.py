"""Comparison of two reports as HTML: numbers, figures on the same axes, and the change of each head."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from sat_probe.demo.browse.heads_table import TABLE_CSS, csv_link, html_table
from sat_probe.demo.errors import message_html
from sat_probe.demo.inline_figure import inline_figure
from sat_probe.demo.theme import page_file
from sat_probe.errors import ReportError
from sat_probe.measures.head_metrics import CATEGORIES, RANKED
from sat_probe.reports.head_report import HeadReport

if TYPE_CHECKING:  # matplotlib is imported only when a figure is drawn
    from matplotlib.axes import Axes

SCALES = ("nats", "share of log T")
PAIR_CSS = TABLE_CSS + page_file("pair.css")


class Side(NamedTuple):
    """One of the two reports, with its name on the page."""

    name: str
    report: HeadReport


Sides = tuple[Side, Side]


def distinct_names(first: Side, second: Side) -> Sides:
    """Return both sides, with "(first)" and "(second)" added to their names if these are the same."""
    if first.name != second.name:
        return first, second
    return first._replace(name=f"{first.name} (first)"), second._replace(name=f"{second.name} (second)")


def overview_html(sides: Sides) -> str:
    """Return the table of the counts and shares of the categories, and the quartiles of the metrics."""
    rows = []
    for category in CATEGORIES:
        counts = [(side.report.counts[category], len(side.report.heads)) for side in sides]
        rows.append((f"{category} heads", *(f"{count} ({count / heads:.0%})" for count, heads in counts)))
    for metric in RANKED:
        values = [side.report.heads[metric].astype(float).quantile([0.25, 0.5, 0.75]) for side in sides]
        rows.append((metric, *(f"{middle:.3g} ({low:.3g} to {high:.3g})" for low, middle, high in values)))
    table = pd.DataFrame(rows, columns=["", *(side.name for side in sides)])
    return html_table(table, "Heads of each category; median and quartiles of each metric", "Both reports in numbers")


def figures_html(sides: Sides, scale: str) -> str:
    """Return pairs of figures on the same axes.

    Raises:
        ReportError: if a table lacks the metrics of this scale.
    """
    if scale not in SCALES:
        raise ReportError("choose one of the two scales")
    end = "" if scale == SCALES[0] else "_per_log_length"
    x, y = f"globalness{end}", f"verticality{end}"
    for side in sides:
        if missing := [column for column in (x, y) if column not in side.report.heads]:
            raise ReportError(f"{side.name} has no {missing[0]!r}; choose the other scale")
    from sat_probe.reports.plots.heads import plot_categories, plot_distribution, plot_layers

    pairs = (
        _pair("Category of every head", plot_categories, sides, shared=False),
        _pair("Categories in each layer", plot_layers, sides),
        _pair("Globalness and diagonality", lambda heads: plot_distribution(heads, x, "diagonality"), sides),
        _pair("Globalness and verticality", lambda heads: plot_distribution(heads, x, y), sides),
    )
    return "".join(pairs)


def _pair(title: str, draw: Callable[[pd.DataFrame], Axes], sides: Sides, shared: bool = True) -> str:
    drawn = [draw(side.report.heads) for side in sides]
    if shared:  # equal distances mean the same on both sides
        (left, right), (low, high) = (
            (min(limits)[0], max(limits, key=lambda ends: ends[1])[1])
            for limits in ([ax.get_xlim() for ax in drawn], [ax.get_ylim() for ax in drawn])
        )
        for ax in drawn:
            ax.set(xlim=(left, right), ylim=(low, high))
    figures = []
    for ax, (name, report) in zip(drawn, sides, strict=True):
        ax.set_title("")  # the heading above serves both
        counts = ", ".join(f"{count} {category}" for category, count in report.counts.items())
        alt = f"{title}, {name}: {len(report.heads)} heads, {counts}."
        figures.append(f"<figure>{inline_figure(ax, alt)}<figcaption>{html.escape(name)}</figcaption></figure>")
    return f'<h3>{title}</h3><div class="pair">{"".join(figures)}</div>'


def changes_html(sides: Sides) -> str:
    """Return the table of the heads that changed, or why there is none for models of different shapes."""
    heading = "<h3>Head by head</h3>"
    try:
        rows = sides[0].report.compare(sides[1].report)
    except ReportError as error:
        return f"{heading}<p>{message_html(str(error))}</p>"
    columns = ["layer", "head", "category", "category_other", *(f"{metric}_difference" for metric in RANKED)]
    changed = rows.loc[rows["changed"], columns]
    changed.columns = pd.Index(
        ["layer", "head", "category, first", "category, second", *(f"{metric}, change" for metric in RANKED)]
    )
    said = f"{len(changed)} of {len(rows)} heads have another category in the second report."
    if missing := rows.attrs["missing"]:
        said += f" Heads that only one of the two models has are left out: {missing}."
    table = html_table(changed, said, "Heads that changed") if len(changed) else f"<p>{said}</p>"
    return f"{heading}{table}{csv_link(rows, 'comparison.csv', f'Save all {len(rows)} heads as CSV')}"
