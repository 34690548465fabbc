"""A self-contained HTML page that shows a report: it opens from disk and needs no network.

Large parts (plotly.js, maps, relation maps) are packed with gzip into the page; the browser unpacks them with its
`DecompressionStream`. Attention maps are averaged until the page is small enough.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from sat_probe.measures.relations.result import MINIMUM_UTTERANCES
from sat_probe.reports.page.content import (
    RELATION_TABLES,
    concentration_content,
    example_content,
    head_records,
    relation_content,
)
from sat_probe.reports.palette import AXIS_NAMES, CATEGORIES, CATEGORY_COLOURS, CATEGORY_INK, CATEGORY_LETTERS
from sat_probe.reports.report_data import ReportData

PLOTLY = "plotly-cartesian-4.1.1.min.js.gz"  # MIT; from npm by scripts/vendor_plotly.py
LISTED = 12  # entries shown of a list; a corpus can have hundreds of speakers
_CAPTIONS = {"heads": "while heads are removed", "span": "while attention reaches less far"}
SCRIPTS = ("data.js", "table.js", "speech.js", "charts.js", "frame.js", "main.js")


def render_page(report: ReportData) -> str:
    """The page as HTML: head table and grid, one head in detail with sound, relation map, and concentration.

    If the report has no example or no relation maps, the page says so, and how to add them.
    """
    folder = files("sat_probe") / "reports" / "page"
    blobs = {"plotly": (folder / PLOTLY).read_bytes()}
    known = report.provenance
    content = {
        "provenance": {str(name): _shown(value, known) for name, value in known.items()},
        "categories": list(CATEGORIES),
        "colours": dict(CATEGORY_COLOURS),
        "ink": dict(CATEGORY_INK),
        "letters": dict(CATEGORY_LETTERS),
        "axisNames": AXIS_NAMES,
        "shape": report.shape,
        "heads": head_records(report),
        "example": example_content(report, blobs),
        "relations": [
            relation_content(report, name, title, blobs)
            for name, title in RELATION_TABLES.items()
            if name in report.tables and len(report.tables[name])
        ],
        "concentration": concentration_content(report),
        "minimumUtterances": MINIMUM_UTTERANCES,
    }
    model = known.model or "a speech model"
    model = "the bundled model" if model == "bundled" else html.escape(model)
    parts = {
        "title": f"Attention heads of {model}",
        "style": (folder / "page.css").read_text(encoding="utf-8"),
        "data": json.dumps(content, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
        "importance": _importance_section(report),
        "blobs": "\n".join(_blob(name, packed) for name, packed in blobs.items()),
        "script": "\n".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS),
    }
    page = (folder / "page.html").read_text(encoding="utf-8")
    # one pass: braces in a report stay braces
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page)


def _importance_section(report: ReportData) -> str:
    """HTML section with the curves of every task, of retrained probes if there are any; empty without curves."""
    table = report.tables.get("importance")
    if table is None or table.empty:
        return ""
    from sat_probe.reports.plots.axes import svg_of  # matplotlib: not for pages without curves
    from sat_probe.reports.plots.importance import plot_importance

    figures = []
    for task, part in table.groupby("task", sort=False):
        mode = "retrain" if (part["mode"] == "retrain").any() else "frozen"
        for kind, caption in _CAPTIONS.items():
            if ((part["kind"] == kind) & (part["mode"] == mode)).any():
                drawn = svg_of(plot_importance(table, kind, str(task), mode))
                picture = f"data:image/svg+xml;base64,{base64.b64encode(drawn).decode()}"
                words = html.escape(f"{task} {caption}")
                figures.append(f'<figure><img src="{picture}" alt="{words}" width="100%"></figure>')
    return (
        '<section aria-labelledby="importance-title">\n  <h2 id="importance-title">Which heads matter</h2>\n'
        "  <p>Scores of probes on the hidden states while heads are removed in different orders, or attention "
        'is limited to a span of frames.</p>\n  <div class="columns">\n' + "\n".join(figures) + "\n  </div>\n</section>"
    )


def _blob(name: str, packed: bytes) -> str:
    return f'<script type="text/plain" id="blob-{name}">{base64.b64encode(packed).decode()}</script>'


def _shown(value: Any, whole: Mapping[str, Any]) -> str:
    """A value of the provenance in words; for a study, only what differs from the provenance of the report."""
    if isinstance(value, dict):
        own = {name: part for name, part in value.items() if part is not None and part != whole.get(name)}
        return ", ".join(f"{name} {_nested(part)}" for name, part in own.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(map(str, value))
    return "" if value is None else str(value)


def _nested(value: Any) -> str:
    if isinstance(value, dict):
        return f"({', '.join(f'{name} {_nested(part)}' for name, part in value.items() if part is not None)})"
    if isinstance(value, (list, tuple)):
        named = ", ".join(_nested(part) for part in value[:LISTED])
        return f"[{named}{f', ... {len(value)} in all' if len(value) > LISTED else ''}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
