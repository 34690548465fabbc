"""Figures of segmentation: kernel-Gram matrix (figure 2), speech with boundaries, curves (figure 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from sat_probe.errors import ReportError
from sat_probe.reports.example import Example
from sat_probe.reports.palette import (
    ATTENTION_COLOURMAP,
    PREDICTION_COLOUR,
    REFERENCE_COLOUR,
    SERIES_COLOURS,
    SERIES_MARKERS,
    SPECTROGRAM_COLOURMAP,
)
from sat_probe.reports.plots.axes import axes_or_new, tidy
from sat_probe.reports.report_data import ReportData
from sat_probe.reports.spectrogram import log_spectrogram

SOURCES = ("mfcc", "log_mel", "hidden", "attention")  # in the figure of precision and recall


def segmentation_drawings(report: ReportData) -> Iterator[tuple[str, Callable[[], Axes]]]:
    """Name of every figure of segmentation that the report has the tables for, and the function that draws it.

    Precision against recall; and for the head that the example was segmented by: its map, the true segments, the
    similarity matrix, the filtered one with its score curve, and the boundaries on the spectrogram.
    """
    table, curve = report.tables.get("segmentation"), report.tables.get("segmentation_curve")
    if table is None or curve is None:
        return
    yield "segmentation-precision-recall", partial(plot_precision_recall, best_curves(table, curve), "source")
    if report.example is not None and report.example.phones:
        tolerance = (report.provenance.segmentation or {}).get("tolerance", 0.02)
        yield from _example_drawings(report.example, tolerance)


def best_curves(table: pd.DataFrame, curve: pd.DataFrame) -> pd.DataFrame:
    """Curve of the best source of each kind (by its validation score), named by head or layer."""
    parts = []
    for kind in SOURCES:
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


def _example_drawings(example: Example, tolerance: float) -> Iterator[tuple[str, Callable[[], Axes]]]:
    seen, references = example.segmented, example.references
    if seen is None:
        return
    layer, head = seen.head
    predictions = example.boundaries[seen.head]
    segment = np.searchsorted(references, seen.times, side="right")
    name = f"{example.id}: layer {layer}, head {head}"
    draw = partial(plot_kernel_gram, times=seen.times, references=references)
    weights = partial(plot_kernel_gram, np.sqrt(example.weights(layer, head)), example.times, references)
    yield "segmentation-map", partial(weights, title=f"{name}, attention")
    same_segment = segment[:, None] == segment[None]
    yield "segmentation-truth", partial(draw, same_segment, title=f"{example.id}: true segments")
    yield "segmentation-similarity", partial(draw, seen.similarity, title=f"{name}, similarity")
    filtered = partial(draw, seen.filtered, predictions=predictions, curve=seen.curve)
    yield "segmentation-filtered", partial(filtered, title=f"{name}, filtered")
    speech = partial(plot_segmentation, example.waveform, example.sampling_rate, references, predictions)
    yield "segmentation-speech", partial(speech, tolerance, name)


def plot_kernel_gram(
    gram: ArrayLike,
    times: ArrayLike,
    references: ArrayLike = (),
    predictions: ArrayLike = (),
    curve: ArrayLike | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Figure 2: a kernel-Gram matrix, plain or filtered, with reference and predicted boundaries and the score curve.

    Args:
        gram: (T, T) similarities of the frames.
        times: (T,) frame centres, seconds.
        references, predictions: boundaries, seconds.
        curve: (T,) score S[t], whose minima are the predictions; drawn above the matrix.
    """
    gram, times = np.asarray(gram, dtype=float), np.asarray(times, dtype=float)
    if gram.shape != (len(times), len(times)) or len(times) < 2:
        raise ReportError(f"a kernel-Gram matrix of {gram.shape} does not fit {len(times)} frame times")
    ax = axes_or_new(ax, 5.4, 5.6)
    half = (times[1] - times[0]) / 2
    low, high = times[0] - half, times[-1] + half
    ax.imshow(gram, extent=(low, high, high, low), cmap=ATTENTION_COLOURMAP, interpolation="nearest", aspect="auto")
    inner = np.sort(np.asarray(references, dtype=float))
    for start, end in pairwise([low, *inner, high] if len(inner) else []):
        square = Rectangle((start, start), end - start, end - start, fill=False)
        square.set(edgecolor=REFERENCE_COLOUR, linewidth=1.1)
        ax.add_patch(square)
    found = np.asarray(predictions, dtype=float)
    ax.plot(found, found, "o", markersize=4, color="white", markeredgecolor=PREDICTION_COLOUR, markeredgewidth=1.3)
    ax.set(xlabel="time (s)", ylabel="time (s)", xlim=(low, high), ylim=(high, low))
    if curve is not None:
        above, curve = ax.inset_axes((0, 1.01, 1, 0.18), sharex=ax), np.asarray(curve, dtype=float)
        above.plot(times, curve, color="black", linewidth=0.9)
        for moment in np.asarray(references, dtype=float):
            above.axvline(moment, color=REFERENCE_COLOUR, linewidth=0.7)
        scores = np.interp(found, times, curve)
        above.plot(found, scores, "o", markersize=3.5, color="white", markeredgecolor=PREDICTION_COLOUR)
        above.set_ylabel("score", fontsize=7)
        above.tick_params(labelsize=6, labelbottom=False)
        above.spines[["top", "right"]].set_visible(False)
    ax.set_title(title, fontsize=10, y=1.2 if curve is not None else 1.0)
    return ax


def plot_segmentation(
    waveform: ArrayLike,
    sampling_rate: int,
    references: ArrayLike,
    predictions: ArrayLike,
    tolerance: float = 0.02,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Spectrogram with reference boundaries (upper half) and predicted ones (lower half); a cross marks a false alarm.

    Args:
        waveform: (samples,).
        sampling_rate: Hz.
        references, predictions: boundaries, seconds.
        tolerance: how far from a reference a prediction may lie, seconds.
    """
    ax = axes_or_new(ax, 8.0, 2.8)
    seconds, hertz, level = log_spectrogram(waveform, sampling_rate)
    top = sampling_rate / 2000
    span = (seconds[0], seconds[-1], hertz[0] / 1000, hertz[-1] / 1000)
    ax.imshow(level, extent=span, origin="lower", aspect="auto", cmap=SPECTROGRAM_COLOURMAP)
    truth, found = np.asarray(references, dtype=float), np.asarray(predictions, dtype=float)
    ax.vlines(truth, top / 2, top, color=REFERENCE_COLOUR, linewidth=1.3, label="reference")
    ax.vlines(found, 0, top / 2, color=PREDICTION_COLOUR, linewidth=1.3, linestyle=(0, (4, 1)), label="predicted")
    distance = np.abs(found[:, None] - truth[None]).min(axis=1, initial=np.inf)
    false = found[distance > tolerance + 1e-9]
    ax.plot(false, np.full(len(false), 0.04 * top), "x", color="black", markersize=5, label="false alarm")
    ax.set(xlabel="time (s)", ylabel="kHz", xlim=(0, len(np.asarray(waveform)) / sampling_rate), ylim=(0, top))
    ax.set_title(title, fontsize=10, loc="left")
    ax.legend(fontsize=7, ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False)
    return ax


def plot_precision_recall(curves: pd.DataFrame, series: str | None = None, ax: Axes | None = None) -> Axes:
    """Precision against recall as beta is swept; the thin grey lines join points of equal F-score.

    Args:
        curves: the table `segmentation_curve`, rates in 0..1 or in per cent: columns recall and precision.
        series: column that tells the curves apart.
    """
    ax = tidy(axes_or_new(ax, 4.6, 4.0))
    _need_columns(curves, "recall", "precision", *([series] if series else []))
    unit = 100.0 if curves[["recall", "precision"]].max().max() > 1.5 else 1.0
    recall = np.linspace(0.02, 1, 200)
    for level in (0.5, 0.6, 0.7, 0.8, 0.9):
        valid = 2 * recall > level
        precision = level * recall[valid] / (2 * recall[valid] - level)
        ax.plot(recall[valid] * unit, precision * unit, color="#cccccc", linewidth=0.6, zorder=1)
        ax.annotate(f"F {level:g}", (unit, level / (2 - level) * unit), fontsize=6, color="#808080")
    for index, (name, part) in enumerate(_series(curves, series)):
        part = part.sort_values("beta" if "beta" in part else "recall")
        ax.plot(
            part["recall"], part["precision"], label=name, markersize=3.5,
            color=SERIES_COLOURS[index % 7], marker=SERIES_MARKERS[index % 7],
        )  # fmt: skip
    ax.set(xlabel="recall", ylabel="precision", xlim=(0, unit * 1.04), ylim=(0, unit * 1.04))
    if series:
        ax.legend(frameon=False, fontsize=8)
    return ax


def plot_performance(
    curves: pd.DataFrame,
    x: str,
    y: str,
    series: str | None = None,
    baseline: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Figure 5: how a probing score changes as heads are removed or the span is limited; one line per `series`.

    Args:
        curves: a table that another study wrote, one row per measured point; `<y>_low` and `<y>_high` give a band.
        x: column along the axis, e.g. heads removed or span in frames; infinite values stand last, as "full".
        y: column of the score.
        baseline: score of the untouched model, drawn as a dashed line.
    """
    _need_columns(curves, x, y, *([series] if series else []))
    ax = tidy(axes_or_new(ax, 4.8, 3.6))
    steps = np.sort(curves[x].astype(float).fillna(np.inf).unique())
    unlimited = np.isinf(steps).any()
    # a span has no even scale
    place = {value: (index if unlimited else value) for index, value in enumerate(steps)}
    for index, (name, part) in enumerate(_series(curves, series)):
        position = part[x].astype(float).fillna(np.inf).map(place)
        part = part.assign(_x=position).sort_values("_x")
        colour, marker = SERIES_COLOURS[index % 7], SERIES_MARKERS[index % 7]
        ax.plot(part["_x"], part[y], color=colour, marker=marker, markersize=4, label=name)
        if f"{y}_low" in part:
            ax.fill_between(part["_x"], part[f"{y}_low"], part[f"{y}_high"], color=colour, alpha=0.18, linewidth=0)
    if baseline is not None:
        ax.axhline(baseline, color="black", linestyle="--", linewidth=0.8, label="untouched")
    if unlimited:
        ax.set_xticks(list(place.values()), ["full" if np.isinf(value) else f"{value:g}" for value in place])
    ax.set(xlabel=x.replace("_", " "), ylabel=y.replace("_", " "))
    if series or baseline is not None:
        ax.legend(frameon=False, fontsize=8)
    return ax


def _series(curves: pd.DataFrame, series: str | None) -> list[tuple[str, pd.DataFrame]]:
    if not series:
        return [("", curves)]
    return [(str(name), part) for name, part in curves.groupby(series, sort=False)]


def _need_columns(curves: pd.DataFrame, *columns: str) -> None:
    if missing := [column for column in columns if column not in curves]:
        raise ReportError(f"the table lacks {', '.join(missing)}; it has {', '.join(map(str, curves.columns))}")
