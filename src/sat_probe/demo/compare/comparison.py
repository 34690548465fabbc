"""Two head reports as a page shows them: numbers, figures on the same axes, and what became of each head."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from sat_probe.demo.browse.heads_table import TABLE_CSS, csv_link, html_table
from sat_probe.demo.inline_figure import inline_figure
from sat_probe.errors import ReportError
from sat_probe.measures.head_metrics import CATEGORIES, RANKED
from sat_probe.reports.head_report import HeadReport

if TYPE_CHECKING:  # matplotlib: not before the first view
    from matplotlib.axes import Axes

SCALES = ("nats", "share of log T")
PAIR_CSS = (
    TABLE_CSS
    + """
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 12px;
  align-items: end; }
h3 { font-size: 1.1rem; font-weight: 600; margin: 24px 0 8px; }
figure { margin: 0; min-width: 0; }
figcaption { color: var(--sat-soft); font-size: 14px; text-align: center; overflow-wrap: anywhere; }
"""
)


class Side(NamedTuple):
    """One of the two reports, and what to call it."""

    name: str
    report: HeadReport


Sides = tuple[Side, Side]


def named_apart(first: Side, second: Side) -> Sides:
    """The same two, their names made different if they are not."""
    if first.name != second.name:
        return first, second
    return first._replace(name=f"{first.name} (first)"), second._replace(name=f"{second.name} (second)")


def shown_overview(sides: Sides) -> str:
    """Counts and shares of the categories, and where the metrics of both lie."""
    rows = []
    for category in CATEGORIES:
        counts = [(side.report.counts[category], len(side.report.heads)) for side in sides]
        rows.append((f"{category} heads", *(f"{count} ({count / heads:.0%})" for count, heads in counts)))
    for metric in RANKED:
        values = [side.report.heads[metric].astype(float).quantile([0.25, 0.5, 0.75]) for side in sides]
        rows.append((metric, *(f"{middle:.3g} ({low:.3g} to {high:.3g})" for low, middle, high in values)))
    table = pd.DataFrame(rows, columns=["", *(side.name for side in sides)])
    return html_table(
        table, "Heads of each kind; of each metric the median and the quartiles", "Both in numbers"
    )


def shown_figures(sides: Sides, scale: str) -> str:
    """Pairs of figures on the same axes.

    Raises:
        ReportError: a table lacks the metrics that this scale shows.
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
        _pair("Kinds of heads in each layer", plot_layers, sides),
        _pair("Globalness and diagonality", lambda heads: plot_distribution(heads, x, "diagonality"), sides),
        _pair("Globalness and verticality", lambda heads: plot_distribution(heads, x, y), sides),
    )
    return "".join(pairs)


def _pair(title: str, draw: Callable[[pd.DataFrame], Axes], sides: Sides, shared: bool = True) -> str:
    drawn = [draw(side.report.heads) for side in sides]
    if shared:  # the same distance means the same on both sides
        (left, right), (low, high) = (
            (min(limits)[0], max(limits, key=lambda ends: ends[1])[1])
            for limits in ([ax.get_xlim() for ax in drawn], [ax.get_ylim() for ax in drawn])
        )
        for ax in drawn:
            ax.set(xlim=(left, right), ylim=(low, high))
    figures = []
    for ax, (name, report) in zip(drawn, sides, strict=True):
        ax.set_title("")  # the heading says it for both
        counts = ", ".join(f"{count} {category}" for category, count in report.counts.items())
        alt = f"{title}, {name}: {len(report.heads)} heads, {counts}."
        figures.append(
            f"<figure>{inline_figure(ax, alt)}<figcaption>{html.escape(name)}</figcaption></figure>"
        )
    return f'<h3>{title}</h3><div class="pair">{"".join(figures)}</div>'


def shown_changes(sides: Sides) -> str:
    """What became of each head, where both models have the same ones; else why there is no such table."""
    heading = "<h3>Head by head</h3>"
    try:
        rows = sides[0].report.compare(sides[1].report)
    except ReportError:
        tables = (side.report.heads for side in sides)
        shapes = " against ".join(
            f"{len(heads)} heads in {heads['layer'].nunique()} layers" for heads in tables
        )
        return f"{heading}<p>Not for these two ({shapes}): only models of one shape compare head by head.</p>"
    columns = ["layer", "head", "category", "category_other", *(f"{metric}_difference" for metric in RANKED)]
    changed = rows.loc[rows["changed"], columns]
    changed.columns = pd.Index(
        ["layer", "head", "category, first", "category, second", *(f"{metric}, change" for metric in RANKED)]
    )
    said = f"{len(changed)} of {len(rows)} heads are of another kind in the second report."
    table = html_table(changed, said, "Heads that changed") if len(changed) else f"<p>{said}</p>"
    return f"{heading}{table}{csv_link(rows, 'comparison.csv', f'Save all {len(rows)} heads as CSV')}"
