"""Reports in a terminal and in a notebook: the category of every head, then the clearest heads of each category."""

from __future__ import annotations

import html
import io
import math

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from sat_probe.reports.palette import CATEGORY_COLOURS, CATEGORY_INK, CATEGORY_LETTERS
from sat_probe.reports.report_data import METRICS, ReportData, clearest_heads

STABLE = 0.9  # share of bootstrap replicates below which a category is uncertain: its letter is lower case
SHOWN = 5  # heads listed per category
_OPTIONAL = {"mean_offset_ms": "offset ms", "spread_ms": "spread ms", "max_weight": "max", "sink_share": "sinks"}
_NOTE = "Capital letter: at least 90 % of bootstrap replicates over utterances agree on the category."


def as_rich(report: ReportData) -> RenderableType:
    """Heading, grid of categories (layers down, heads across) and the clearest heads of each category."""
    heading = Text.assemble((_title(report), "bold"), "\n", _measured(report), "\n")
    legend = Text(f"{_legend(report)}\n", style="dim")
    return Group(heading, _grid(report), legend, _clearest(report.heads))


def as_text(report: ReportData) -> str:
    """The same without colours, 110 characters wide."""
    console = Console(file=io.StringIO(), width=110, color_system=None, force_terminal=False)
    console.print(as_rich(report))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines())


def as_html(report: ReportData) -> str:
    """Heading and grid as HTML, for notebooks."""
    shown = _letters(report)
    style = "text-align:center;padding:2px 6px;font-family:monospace"
    rows = []
    for layer, row in shown.iterrows():
        cells = []
        for column, letter in row.items():
            name = _named(letter)
            colours = f"background:{CATEGORY_COLOURS[name]};color:{CATEGORY_INK[name]}" if name else ""
            title = f"layer {layer}, head {column}: {name or 'removed'}"
            cells.append(f'<td title="{title}" style="{style};{colours}">{letter}</td>')
        rows.append(f'<tr><th style="{style}">{layer}</th>{"".join(cells)}</tr>')
    top = "".join(f'<th style="{style}">{column}</th>' for column in shown.columns)
    return (
        f"<p><b>{html.escape(_title(report))}</b><br>{html.escape(_measured(report))}</p>"
        f'<table><tr><th style="{style}">layer \\ head</th>{top}</tr>{"".join(rows)}</table>'
        f"<p>{html.escape(_legend(report))}</p>"
    )


def _title(report: ReportData) -> str:
    revision = report.provenance.revision
    return f"{report.model_name}{f' at {revision[:12]}' if revision else ''}: {len(report.heads)} attention heads"


def _measured(report: ReportData) -> str:
    known = report.provenance
    parts = [f"measured on {known.corpus or 'an unnamed corpus'}"]
    if known.split:
        parts.append(known.split)
    if known.utterances is not None:
        parts.append(f"{known.utterances} utterance{'' if known.utterances == 1 else 's'}")
    if known.seconds is not None:
        parts.append(f"{known.seconds:.1f} s of audio")
    if known.skipped:
        parts.append(f"{known.skipped} skipped")
    return ", ".join(parts)


def _letters(report: ReportData) -> pd.DataFrame:
    """Letter of each head by layer and head: lower case if the category is uncertain, "" for a removed head."""
    heads, (layers, columns) = report.heads, report.shape
    letters = heads["category"].astype(str).map(dict(CATEGORY_LETTERS))
    if "category_stability" in heads:
        letters = letters.where(heads["category_stability"] >= STABLE, letters.str.lower())
    cells = heads[["layer", "head"]].assign(letter=letters)
    wide = cells.pivot(index="layer", columns="head", values="letter")
    return wide.reindex(index=range(layers), columns=range(columns)).astype(object).fillna("")


def _named(letter: str) -> str | None:
    return next((name for name, own in CATEGORY_LETTERS.items() if own == letter.upper()), None)


def _grid(report: ReportData) -> Table:
    shown = _letters(report)
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("layer", justify="right", style="dim", no_wrap=True)
    for column in shown.columns:
        table.add_column(str(column), justify="center", no_wrap=True)
    for layer, row in shown.iterrows():
        table.add_row(str(layer), *(_coloured(letter) for letter in row))
    return table


def _coloured(letter: str) -> Text:
    colour = CATEGORY_COLOURS.get(_named(letter) or "", "")
    return Text(letter, style=f"bold {colour}" if letter.isupper() else colour)


def _legend(report: ReportData) -> str:
    counts = ", ".join(f"{CATEGORY_LETTERS[name]} {name} {count}" for name, count in report.counts.items())
    if removed := math.prod(report.shape) - len(report.heads):
        counts += f", blank removed {removed}"
    return f"{counts}. {_NOTE}" if "category_stability" in report.heads else f"{counts}."


def _clearest(heads: pd.DataFrame) -> Table:
    extra = {column: title for column, title in _OPTIONAL.items() if column in heads}
    title = f"Clearest heads of each category (up to {SHOWN})"
    table = Table(box=None, padding=(0, 1, 0, 0), title=title, title_justify="left", title_style="")
    table.add_column("", no_wrap=True)
    for heading in ("layer", "head", "metric", "95 % interval", *extra.values()):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, metric in METRICS.items():
        for _, row in clearest_heads(heads, name, SHOWN).iterrows():
            low, high = row.get(f"{metric}_low", math.nan), row.get(f"{metric}_high", math.nan)
            table.add_row(
                Text(name, style=CATEGORY_COLOURS[name]),
                str(row["layer"]),
                str(row["head"]),
                f"{row[metric]:.3f}",
                f"{low:.3f} .. {high:.3f}" if math.isfinite(low) else "",
                *(f"{row[column]:{'+.1f' if column == 'mean_offset_ms' else '.2f'}}" for column in extra),
            )
    return table
