"""Figures of phone segmentation that a report has the tables for: figure 2 of the paper, and the example's speech."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import soundfile
from matplotlib.axes import Axes

from sat_probe.reports.example_boundaries import segment_example
from sat_probe.reports.plots.segmentation import plot_kernel_gram, plot_precision_recall, plot_segmentation

if TYPE_CHECKING:
    from sat_probe.reports.head_report import HeadReport

SHOWN = ("mfcc", "log_mel", "hidden", "attention")


def segmentation_drawings(report: HeadReport) -> Iterator[tuple[str, Callable[[], Axes]]]:
    """Names of figures and what draws them: precision against recall; and of the chosen head on the example the map,
    the true segments, the similarity matrix, the filtered one with its score curve, and boundaries on the spectrogram.
    """
    table, curve = report.tables.get("segmentation"), report.tables.get("segmentation_curve")
    if table is None or curve is None:
        return
    yield "segmentation-precision-recall", partial(plot_precision_recall, best_curves(table, curve), "source")
    heads = table[table["source"] == "attention"]
    if report.examples and report.examples["phones"] and len(heads):
        yield from _example_drawings(
            report.examples, heads.iloc[0], report.provenance.get("segmentation", {})
        )


def best_curves(table: pd.DataFrame, curve: pd.DataFrame) -> pd.DataFrame:
    """Points of the curve for the best of each kind of source on the validation part, named by head or layer."""
    parts = []
    for kind in SHOWN:
        rows = table[table["source"] == kind]
        if not len(rows):
            continue
        best = rows.iloc[0]
        own = curve[curve["source"] == kind]
        name = kind
        for axis in ("layer", "head"):
            if pd.notna(best[axis]):
                own, name = own[own[axis] == best[axis]], f"{name} {axis[0].upper()}{best[axis]}"
        parts.append(own.assign(source=name).dropna(subset=["precision", "recall"]))
    return pd.concat(parts)


def _example_drawings(
    example: dict[str, Any], head: pd.Series, provenance: dict[str, Any]
) -> Iterator[tuple[str, Callable[[], Axes]]]:
    layer, index = int(head["layer"]), int(head["head"])
    seen = segment_example(example, layer, index, float(head["alpha"]), float(head["beta"]), provenance)
    times, predictions = seen.times, seen.predictions
    references = np.array([start for start, _, _ in example["phones"][1:]])
    segment = np.searchsorted(references, times, side="right")
    name = f"{example['id']}: layer {head['layer']}, head {head['head']}"
    draw = partial(plot_kernel_gram, times=times, references=references)
    yield "segmentation-map", partial(draw, np.sqrt(seen.weights), title=f"{name}, attention")
    yield (
        "segmentation-truth",
        partial(draw, segment[:, None] == segment[None], title=f"{example['id']}: true segments"),
    )
    yield "segmentation-similarity", partial(draw, seen.similarity, title=f"{name}, similarity")
    yield (
        "segmentation-filtered",
        partial(draw, seen.filtered, predictions=predictions, curve=seen.curve, title=f"{name}, filtered"),
    )
    waveform, rate = soundfile.read(io.BytesIO(example["audio"]))
    yield (
        "segmentation-speech",
        partial(
            plot_segmentation,
            waveform,
            rate,
            references,
            predictions,
            provenance.get("tolerance", 0.02),
            name,
        ),
    )
