"""One self-contained page that shows a head report: opens from disk, asks nothing of any network.

What is bulky (plotly.js, maps, relation maps) is packed with gzip into the page; the browser unpacks it with its own
`DecompressionStream`. Attention maps are averaged down until the page stays small.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sat_probe.measures.relations.result import MINIMUM_UTTERANCES
from sat_probe.reports.axis_names import AXIS_NAMES
from sat_probe.reports.page.content import (
    RELATION_TABLES,
    concentration_content,
    example_content,
    head_records,
    relation_content,
)
from sat_probe.reports.page.importance import importance_section
from sat_probe.reports.palette import CATEGORIES, CATEGORY_COLOURS, CATEGORY_INK, CATEGORY_LETTERS

if TYPE_CHECKING:
    from sat_probe.reports.head_report import HeadReport

PLOTLY = "plotly-cartesian-4.1.1.min.js.gz"  # plotly.js-cartesian-dist-min on npm, MIT, plotly-LICENSE.txt beside it
LISTED = 12  # of a list within a study; a corpus can have hundreds of speakers
SCRIPTS = ("data.js", "table.js", "speech.js", "charts.js", "frame.js", "main.js")


def write_page(report: HeadReport, path: str | Path) -> Path:
    """Write `render_page(report)` to a file, in UTF-8; returns its path."""
    path = Path(path)
    path.write_text(render_page(report), encoding="utf-8")
    return path


def render_page(report: HeadReport) -> str:
    """The page, as HTML: head table and grid, one head in detail with sound, relation map, and concentration.

    Whatever the report lacks (an example, relation maps) the page says is missing, and how to add it.
    """
    folder = files("sat_probe") / "reports" / "page"
    blobs = {"plotly": (folder / PLOTLY).read_bytes()}
    content = {
        "provenance": {
            str(name): _shown(value, report.provenance) for name, value in report.provenance.items()
        },
        "categories": list(CATEGORIES),
        "colours": dict(CATEGORY_COLOURS),
        "ink": dict(CATEGORY_INK),
        "letters": dict(CATEGORY_LETTERS),
        "axisNames": AXIS_NAMES,
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
    model = str(report.provenance.get("model") or "a speech model")
    model = "the bundled model" if model == "bundled" else html.escape(model)
    scripts = "\n".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)
    parts = {
        "title": f"Attention heads of {model}",
        "style": (folder / "page.css").read_text(encoding="utf-8"),
        "data": json.dumps(content, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
        "importance": importance_section(report),
        "blobs": "\n".join(_blob(name, packed) for name, packed in blobs.items()),
        "script": scripts,
    }
    page = (folder / "page.html").read_text(encoding="utf-8")
    return re.sub(
        r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page
    )  # one pass: braces in a report stay braces


def _blob(name: str, packed: bytes) -> str:
    return f'<script type="text/plain" id="blob-{name}">{base64.b64encode(packed).decode()}</script>'


def _shown(value: Any, whole: Mapping[str, Any]) -> str:
    """A value of the provenance in words; of a study within it what the whole does not say already."""
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
