"""What the page of a report shows: plain JSON values, and packed bytes for what is large."""

from __future__ import annotations

import gzip
import io
import math
import zlib
from typing import Any

import numpy as np
import pandas as pd
import soundfile
from numpy.typing import NDArray

from sat_probe.reports.example import Example
from sat_probe.reports.report_data import ReportData
from sat_probe.reports.spectrogram import average_blocks, log_spectrogram

MAPS_BUDGET = 2_400_000  # bytes that the maps of the example may take in the page
SMALLEST = 16  # pixels a side below which no map is averaged
SAMPLED = 6  # heads that are packed to estimate the size of all
INTERVAL_HEADS = 200  # models with more heads show relation maps without intervals, to keep the page small
RELATION_TABLES = {
    "relation_maps": "phones",
    "relation_maps_by_class": "natural classes",
    "relation_maps_by_voicing": "voicing",
}


def head_records(report: ReportData) -> list[dict[str, Any]]:
    """One object per head for table and detail, with its R-value and operations."""
    heads = report.heads.sort_values(["layer", "head"])
    records: list[dict[str, Any]] = [
        {str(name): _plain(value) for name, value in row.items()} for row in heads.to_dict("records")
    ]
    operations, scores = report.tables.get("operations"), report.tables.get("segmentation")
    for record in records:
        record["operations"] = []
        if operations is not None:
            record["operations"] = [str(name) for name in _of_head(operations, record)["operation"]]
        if scores is not None and {"layer", "head", "r_value"} <= set(scores):
            own = _of_head(scores, record)
            record["r_value"] = _plain(own["r_value"].max()) if len(own) else None
    return records


def example_content(report: ReportData, blobs: dict[str, bytes]) -> dict[str, Any] | None:
    """Times, phones and scales of the example; its maps, spectrogram and sound go to `blobs`, packed."""
    example = report.example
    if example is None:
        return None
    layers, heads, frames = example.maps.shape[:3]
    blobs["maps"], scale, factor = packed_maps(example)
    seconds, hertz, level = log_spectrogram(example.waveform, example.sampling_rate)
    centres = (example.times[first : first + factor].mean() for first in range(0, frames, factor))
    kept = slice(None, None, 2)  # a window every 10 ms is enough on a screen
    shades = np.rint(255 * (level - level.min()) / max(float(np.ptp(level)), 1e-9)).astype(np.uint8)
    blobs["spectrogram"] = gzip.compress(np.ascontiguousarray(shades[kept, kept]).tobytes(), 9, mtime=0)
    sound = io.BytesIO()  # browsers seek in WAV to the sample, in FLAC without a seek table not at all
    soundfile.write(sound, example.samples, example.sampling_rate, format="WAV", subtype="PCM_16")
    blobs["audio"] = gzip.compress(sound.getvalue(), 9, mtime=0)
    return {
        "id": example.id,
        "duration": len(example.samples) / example.sampling_rate,
        "times": [round(float(centre), 5) for centre in centres],
        "averaged": factor,
        "phones": [[round(start, 4), round(end, 4), label] for start, end, label in example.phones],
        "shape": [layers, heads, math.ceil(frames / factor)],
        "boundaries": {
            f"{layer}.{head}": [round(float(moment), 4) for moment in moments]
            for (layer, head), moments in example.boundaries.items()
        },
        "scale": [[_plain(float(f"{value:.4g}")) for value in row] for row in scale],
        "spectrogram": {
            "seconds": [round(float(value), 4) for value in seconds[kept]],
            "kilohertz": [round(float(value) / 1000, 3) for value in hertz[kept]],
        },
    }


def packed_maps(example: Example) -> tuple[bytes, NDArray[np.float64], int]:
    """Maps of all heads for the page.

    Returns:
        gzip of (layers, heads, side, side) uint8 codes, roots of the weights in 255ths of the head's largest root;
        (layers, heads) largest weights, NaN for heads that are not there; and how many frames were averaged into one.
    """
    factor = _first_factor(example.maps)
    while True:
        codes, scale = _averaged(example, factor)
        packed = gzip.compress(codes.tobytes(), 1, mtime=0)  # 6 takes twice as long for 2 %
        if len(packed) * 4 / 3 <= MAPS_BUDGET or codes.shape[-1] <= SMALLEST:
            return packed, scale, factor
        factor += 1


def _first_factor(maps: NDArray[np.uint8]) -> int:
    """A factor to start from; packing all maps of a long recording at full size takes seconds."""
    heads = maps.reshape(-1, maps.shape[2] * maps.shape[3])
    sample = np.ascontiguousarray(heads[:: math.ceil(len(heads) / SAMPLED)])
    share = len(zlib.compress(sample.data, 1)) / sample.nbytes
    too_large = share * maps.nbytes * 4 / 3 / MAPS_BUDGET  # averaged maps pack worse than these, not better
    return max(1, math.ceil(math.sqrt(0.9 * too_large)))


def _averaged(example: Example, factor: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Codes and scales of the maps with `factor` x `factor` weights averaged into one."""
    layers, heads, frames = example.maps.shape[:3]
    side = math.ceil(frames / factor)
    codes = np.zeros((layers, heads, side, side), dtype=np.uint8)
    scale = np.full((layers, heads), np.nan)
    for layer, head in np.argwhere(np.isfinite(example.scale)):
        weights = average_blocks(example.weights(layer, head), factor)
        scale[layer, head] = max(float(weights.max()), 1e-30)
        codes[layer, head] = np.rint(255 * np.sqrt(weights / scale[layer, head]))
    return codes, scale


def relation_content(report: ReportData, name: str, title: str, blobs: dict[str, bytes]) -> dict[str, Any]:
    """A table of relation maps; its numbers go to `blobs` as thousandths in 16 bits, -32768 is undefined."""
    cells = report.tables[name]
    phones = list(dict.fromkeys(cells["query_phone"].astype(str)))
    order = {phone: index for index, phone in enumerate(phones)}
    layers, heads = report.shape
    place = (
        cells["layer"].to_numpy(),
        cells["head"].to_numpy(),
        cells["query_phone"].astype(str).map(order).to_numpy(dtype=int),
        cells["key_phone"].astype(str).map(order).to_numpy(dtype=int),
    )

    def cube(column: str) -> NDArray[np.float64]:
        values = np.full((layers, heads, len(phones), len(phones)), np.nan)
        values[place] = cells[column].to_numpy(dtype=float)
        return values

    intervals = layers * heads <= INTERVAL_HEADS and "low" in cells
    planes = ["relation", "low", "high"] if intervals else ["relation"]
    numbers = np.stack([cube(column) for column in planes])
    thousandths = np.clip(np.rint(1000 * np.nan_to_num(numbers)), -32767, 32767)
    codes = np.where(np.isnan(numbers), -32768, thousandths)
    blobs[name] = gzip.compress(codes.astype("<i2").tobytes(), 9, mtime=0)
    evidence = None
    if "utterances" in cells:  # the same for every head
        evidence = np.nan_to_num(cube("utterances")[place[0][0], place[1][0]]).astype(int).tolist()
    return {
        "name": name,
        "title": title,
        "phones": phones,
        "shape": [layers, heads],
        "planes": len(numbers),
        "utterances": evidence,
    }


def concentration_content(report: ReportData) -> list[list[Any]] | None:
    """Rows of layer, head, phone, concentration, low, high."""
    table = report.tables.get("concentration")
    if table is None or table.empty:
        return None
    return [
        [int(row["layer"]), int(row["head"]), str(row["phone"])]
        + [_plain(row.get(name)) for name in ("concentration", "low", "high")]
        for row in table.to_dict("records")
    ]


def _of_head(table: pd.DataFrame, record: dict[str, Any]) -> pd.DataFrame:
    own: pd.DataFrame = table[(table["layer"] == record["layer"]) & (table["head"] == record["head"])]
    return own


def _plain(value: Any) -> Any:
    """A JSON value: numbers short, NaN as null."""
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    number = float(value)
    return float(f"{number:.5g}") if math.isfinite(number) else None
