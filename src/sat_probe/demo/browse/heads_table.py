"""Tables of heads: HTML to read, and a link that saves them as CSV."""

from __future__ import annotations

import base64
import html

import pandas as pd

from sat_probe.demo.theme import page_file
from sat_probe.errors import ReportError
from sat_probe.reports.palette import CATEGORIES, CATEGORY_LETTERS

NAMES = {
    "category_stability": "sure",
    "mean_offset_ms": "offset (ms)",
    "spread_ms": "spread (ms)",
    "max_weight": "max",
    "sink_share": "sinks",
    "globalness_per_log_length": "globalness / log T",
    "verticality_per_log_length": "verticality / log T",
}
TABLE_CSS = page_file("table.css")


def select_heads(
    heads: pd.DataFrame,
    categories: list[str],
    first_layer: float | None = None,
    last_layer: float | None = None,
    metric: str = "globalness",
    at_least: float | None = None,
    at_most: float | None = None,
    sort_by: str = "layer",
    descending: bool = False,
) -> pd.DataFrame:
    """Return the rows of a table of heads that are within all bounds (inclusive; None for no bound), sorted.

    Bounds exclude heads whose metric is NaN. Heads with equal values are sorted by layer and head.

    Raises:
        ReportError: if the table lacks the metric or column.
    """
    for column in (metric, sort_by):
        if column not in heads:
            raise ReportError(f"this report does not have {column!r}; it has {', '.join(map(str, heads.columns))}")
    kept = heads["category"].isin(categories)
    bounds = (("layer", first_layer, last_layer), (metric, at_least, at_most))
    for column, low, high in bounds:
        if low is not None:
            kept &= heads[column] >= low
        if high is not None:
            kept &= heads[column] <= high
    ordered = heads[kept].sort_values(["layer", "head"])
    return ordered.sort_values(sort_by, ascending=not descending, kind="stable")


def html_table(table: pd.DataFrame, caption: str, name: str) -> str:
    """Return a table with numbers to four digits and dashes for missing ones; all text is escaped.

    Args:
        table: any table; columns named "category..." get the letters and colours of the figures.
        caption: caption of the table.
        name: name of the scrolling area for screen readers.
    """
    numeric = pd.api.types.is_numeric_dtype
    columns = [(str(name), "" if numeric(table[name]) else ' class="word"') for name in table]
    head = "".join(
        f'<th scope="col"{kind}>{html.escape(NAMES.get(name, name.replace("_", " ")))}</th>' for name, kind in columns
    )
    rows = []
    for row in table.itertuples(index=False):
        cells = (f"<td{kind}>{_cell(name, value)}</td>" for (name, kind), value in zip(columns, row, strict=True))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    label = html.escape(name, quote=True)
    return (
        f'<div class="heads" tabindex="0" role="region" aria-label="{label}"><table>'
        f"<caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def csv_link(table: pd.DataFrame, file_name: str, text: str) -> str:
    """Return a link that saves the table as CSV with all digits; the link contains the data, so no file is kept."""
    content = base64.b64encode(table.to_csv(index=False, lineterminator="\n").encode()).decode()
    name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in file_name)
    address = f"data:text/csv;charset=utf-8;base64,{content}"
    return f'<a class="csv" download="{name}" href="{address}">{html.escape(text)}</a>'


def _cell(column: str, value: object) -> str:
    if column.startswith("category") and value in CATEGORIES:
        return f'<span class="letter sat-{value}" aria-hidden="true">{CATEGORY_LETTERS[str(value)]}</span>{value}'
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "–" if value != value else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:.4g}"
    return html.escape(str(value))
