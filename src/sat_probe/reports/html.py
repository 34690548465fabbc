"""One self-contained page that shows a head report: opens from disk, asks nothing of any network.

What is bulky (plotly.js, maps, relation maps) is packed with gzip into the page; the browser unpacks it with its own
`DecompressionStream`. Attention maps are averaged down until the page stays small.
"""

from __future__ import annotations

import base64
import gzip
import html
import io
import json
import math
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from sat_probe.measures.relation_result import MINIMUM_UTTERANCES
from sat_probe.reports.example import example_weights
from sat_probe.reports.palette import CATEGORIES, CATEGORY_COLOURS, CATEGORY_INK, CATEGORY_LETTERS
from sat_probe.reports.plots_heads import AXIS_NAMES
from sat_probe.reports.plots_maps import average_blocks, log_spectrogram

if TYPE_CHECKING:
    from sat_probe.reports.head_report import HeadReport

PLOTLY = "plotly-cartesian-4.1.1.min.js.gz"  # plotly.js-cartesian-dist-min on npm, MIT, plotly-LICENSE.txt beside it
SCRIPTS = ("data.js", "table.js", "speech.js", "charts.js", "main.js")
MAPS_BUDGET = 2_400_000  # bytes that the maps of the example may take in the page
INTERVAL_HEADS = 200  # models with more heads show relation maps without intervals, to keep the page small


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
        "provenance": {str(name): _shown(value) for name, value in report.provenance.items()},
        "categories": list(CATEGORIES),
        "colours": dict(CATEGORY_COLOURS),
        "ink": dict(CATEGORY_INK),
        "letters": dict(CATEGORY_LETTERS),
        "axisNames": AXIS_NAMES,
        "heads": _records(report),
        "example": _example(report, blobs),
        "relations": _relations(report, blobs),
    }
    model = html.escape(str(report.provenance.get("model", "a speech model")))
    scripts = "\n".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)
    parts = {
        "title": f"Attention heads of {model}",
        "style": (folder / "page.css").read_text(encoding="utf-8"),
        "data": json.dumps(content, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c"),
        "blobs": "\n".join(_blob(name, packed) for name, packed in blobs.items()),
        "script": scripts,
    }
    page = (folder / "page.html").read_text(encoding="utf-8")
    return re.sub(
        r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page
    )  # one pass: braces in a report stay braces


def _records(report: HeadReport) -> list[dict[str, Any]]:
    """One object per head for table and detail; segmentation and operations join their head."""
    heads = report.heads.sort_values(["layer", "head"])
    records: list[dict[str, Any]] = [
        {str(name): _plain(value) for name, value in row.items()} for row in heads.to_dict("records")
    ]
    operations, scores = report.tables.get("operations"), report.tables.get("segmentation")
    for record in records:
        record["operations"] = []
        if operations is not None:
            own = operations[
                (operations["layer"] == record["layer"]) & (operations["head"] == record["head"])
            ]
            record["operations"] = [str(name) for name in own["operation"]]
        if scores is not None and {"layer", "head", "r_value"} <= set(scores):
            own = scores[(scores["layer"] == record["layer"]) & (scores["head"] == record["head"])]
            record["r_value"] = _plain(own["r_value"].max()) if len(own) else None
    return records


def _example(report: HeadReport, blobs: dict[str, bytes]) -> dict[str, Any] | None:
    example = report.examples
    if not example:
        return None
    layers, heads, frames = example["maps"].shape[:3]
    factor = 1
    while True:
        side = math.ceil(frames / factor)
        maps = np.zeros((layers, heads, side, side), dtype=np.uint8)
        scale = np.zeros((layers, heads))
        for layer, head in np.ndindex(layers, heads):
            weights = average_blocks(example_weights(example, layer, head), factor)
            scale[layer, head] = max(float(weights.max()), 1e-30)
            maps[layer, head] = np.rint(255 * np.sqrt(weights / scale[layer, head]))
        packed = gzip.compress(maps.tobytes(), 9, mtime=0)
        if len(packed) * 4 / 3 <= MAPS_BUDGET or side <= 16:
            break
        factor += 1
    blobs["maps"] = packed
    waveform, rate = soundfile.read(io.BytesIO(example["audio"]))
    waveform = waveform if waveform.ndim == 1 else waveform.mean(axis=1)
    seconds, hertz, level = log_spectrogram(waveform, rate)
    kept = slice(None, None, 2)  # a window every 10 ms is enough on a screen
    shades = np.rint(255 * (level - level.min()) / max(float(np.ptp(level)), 1e-9)).astype(np.uint8)[
        kept, kept
    ]
    blobs["spectrogram"] = gzip.compress(np.ascontiguousarray(shades).tobytes(), 9, mtime=0)
    times = np.asarray(example["times"], dtype=float)
    starts = np.arange(0, frames, factor)
    sound = io.BytesIO()  # browsers seek in WAV to the sample, in FLAC without a seek table not at all
    soundfile.write(sound, waveform, rate, format="WAV", subtype="PCM_16")
    blobs["audio"] = gzip.compress(sound.getvalue(), 9, mtime=0)
    return {
        "id": example["id"],
        "duration": len(waveform) / rate,
        "times": [round(float(times[first : first + factor].mean()), 5) for first in starts],
        "averaged": factor,
        "phones": [[round(start, 4), round(end, 4), label] for start, end, label in example["phones"]],
        "shape": [layers, heads, side],
        "scale": [[float(f"{value:.4g}") for value in row] for row in scale],
        "spectrogram": {
            "seconds": [round(float(value), 4) for value in seconds[kept]],
            "kilohertz": [round(float(value) / 1000, 3) for value in hertz[kept]],
        },
    }


def _relations(report: HeadReport, blobs: dict[str, bytes]) -> dict[str, Any] | None:
    """Relation maps as thousandths in 16 bits, head after head; -32768 is undefined."""
    cells = report.tables.get("relation_maps")
    if cells is None or cells.empty:
        return None
    phones = list(dict.fromkeys(cells["query_phone"].astype(str)))
    order = {phone: index for index, phone in enumerate(phones)}
    layers, heads = int(report.heads["layer"].max()) + 1, int(report.heads["head"].max()) + 1
    place = (
        cells["layer"].to_numpy(),
        cells["head"].to_numpy(),
        cells["query_phone"].astype(str).map(order).to_numpy(),
        cells["key_phone"].astype(str).map(order).to_numpy(),
    )

    def cube(column: str) -> np.ndarray:
        values = np.full((layers, heads, len(phones), len(phones)), np.nan)
        if column in cells:
            values[place] = cells[column].to_numpy(dtype=float)
        return values

    planes = (
        ["relation", "low", "high"] if layers * heads <= INTERVAL_HEADS and "low" in cells else ["relation"]
    )
    numbers = np.stack([cube(name) for name in planes])
    codes = np.where(
        np.isnan(numbers), -32768, np.clip(np.rint(1000 * np.nan_to_num(numbers)), -32767, 32767)
    )
    blobs["relations"] = gzip.compress(codes.astype("<i2").tobytes(), 9, mtime=0)
    utterances = cube("utterances")
    evidence = np.nan_to_num(np.nanmax(utterances, axis=(0, 1))) if "utterances" in cells else None
    result = {
        "phones": phones,
        "shape": [layers, heads],
        "planes": len(planes),
        "minimum": MINIMUM_UTTERANCES,
    }
    result["utterances"] = None if evidence is None else evidence.astype(int).tolist()
    table = report.tables.get("concentration")
    if table is not None:
        result["concentration"] = [
            [
                int(row["layer"]),
                int(row["head"]),
                str(row["phone"]),
                *(_plain(row.get(name)) for name in ("concentration", "low", "high")),
            ]
            for row in table.to_dict("records")
        ]
    return result


def _blob(name: str, packed: bytes) -> str:
    return f'<script type="text/plain" id="blob-{name}">{base64.b64encode(packed).decode()}</script>'


def _plain(value: Any) -> Any:
    """A JSON value: numbers short, NaN as null."""
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    number = float(value)
    return float(f"{number:.5g}") if math.isfinite(number) else None


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    if isinstance(value, (list, tuple)):
        return "; ".join(map(str, value))
    return "" if value is None else str(value)
