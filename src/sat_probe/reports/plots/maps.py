"""Figures of attention maps: all heads of a model at a glance, and one head with speech along both axes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike, NDArray

from sat_probe.errors import ReportError
from sat_probe.reports.palette import ATTENTION_COLOURMAP, CATEGORY_COLOURS, SPECTROGRAM_COLOURMAP
from sat_probe.reports.plots.axes import axes_or_new, figure_of
from sat_probe.reports.plots.heads import category_legend
from sat_probe.reports.spectrogram import average_blocks, log_spectrogram

Phones = Sequence[tuple[float, float, str]]  # start, end in seconds, label


def plot_attention_grid(
    maps: ArrayLike, heads: pd.DataFrame | None = None, pixels: int = 64, ax: Axes | None = None
) -> Axes:
    """The maps of all heads in one picture, layers x heads, each scaled to its own largest weight.

    Args:
        maps: (layers, heads, T, T) weights or any monotone code of them; rows are queries, time runs right and down.
        heads: the head table; its categories colour the frames, and heads without a row stay blank.
        pixels: side of one map; longer maps are averaged down to it.
    """
    maps = np.asarray(maps)
    if maps.ndim != 4:
        raise ReportError(f"the grid needs maps of (layers, heads, T, T), got {maps.shape}")
    layers, columns = maps.shape[:2]
    gap = max(3, pixels // 6)
    step = pixels + gap
    canvas = np.full((layers * step - gap, columns * step - gap), np.nan)
    ax = axes_or_new(ax, 1.6 + 0.62 * columns, 0.7 + 0.62 * layers)
    shown_heads = np.ndindex(layers, columns) if heads is None else heads[["layer", "head"]].itertuples(index=False)
    for layer, head in shown_heads:
        tile = average_blocks(maps[layer, head], -(-maps.shape[-1] // pixels))
        top, left = (layers - 1 - layer) * step, head * step  # the first layer stands at the bottom
        shown = _resize(tile, pixels)
        canvas[top : top + pixels, left : left + pixels] = shown / max(shown.max(), 1e-30)
    ax.imshow(canvas, cmap=ATTENTION_COLOURMAP, vmin=0, vmax=1, interpolation="nearest")
    if heads is not None:
        for layer, head, category in zip(heads["layer"], heads["head"], heads["category"], strict=True):
            corner = (int(head) * step - 1.5, (layers - 1 - int(layer)) * step - 1.5)
            colour = CATEGORY_COLOURS[str(category)]
            ax.add_patch(Rectangle(corner, pixels + 2, pixels + 2, fill=False, edgecolor=colour, linewidth=2.2))
        category_legend(ax)
    centres = np.arange(max(layers, columns)) * step + pixels / 2
    ax.set_xticks(centres[:columns], [str(index) for index in range(columns)])
    ax.set_yticks(centres[:layers], [str(index) for index in range(layers - 1, -1, -1)])
    ax.set(xlabel="head", ylabel="layer")
    ax.tick_params(length=0, labelsize=7)
    ax.spines[:].set_visible(False)
    return ax


def plot_head(
    weights: ArrayLike,
    times: ArrayLike,
    waveform: ArrayLike | None = None,
    sampling_rate: int = 16_000,
    phones: Phones = (),
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """One head in detail: its map with spectrogram and phone segments along both axes.

    Args:
        weights: (T, T) attention, rows are queries.
        times: (T,) centres of the frames, seconds.
        waveform: (samples,) for the spectrograms; None leaves them out.
        phones: (start, end, label) of each phone, seconds.
    """
    weights, times = np.asarray(weights, dtype=float), np.asarray(times, dtype=float)
    if weights.shape != (len(times), len(times)):
        raise ReportError(f"a map of {weights.shape} does not fit {len(times)} frame times")
    ax = axes_or_new(ax, 7.4, 6.2, box=(0.09, 0.09, 0.6, 0.716))
    hop = times[1] - times[0] if len(times) > 1 else 1.0
    low, high = times[0] - hop / 2, times[-1] + hop / 2
    # a few single peaks would leave the rest of the map dark
    image = ax.imshow(
        weights, extent=(low, high, high, low), cmap=ATTENTION_COLOURMAP, interpolation="nearest",
        vmin=0, vmax=np.quantile(weights, 0.998),
    )  # fmt: skip
    ax.set(xlabel="key time (s)", ylabel="query time (s)", xlim=(low, high), ylim=(high, low))
    offset = 0.0
    if phones:
        _strip(ax.inset_axes((0, 1.0, 1, 0.045), sharex=ax), phones, (low, high))
        _strip(ax.inset_axes((1.0, 0, 0.045, 1), sharey=ax), phones, (low, high), upright=True)
        offset = 0.045
        for start, end, _ in phones:
            for edge in {start, end}:
                ax.axvline(edge, color="white", linewidth=0.3, alpha=0.3)
                ax.axhline(edge, color="white", linewidth=0.3, alpha=0.3)
    if waveform is not None:
        seconds, hertz, level = log_spectrogram(waveform, sampling_rate)
        above = ax.inset_axes((0, 1.005 + offset, 1, 0.15), sharex=ax)
        beside = ax.inset_axes((1.005 + offset, 0, 0.15, 1), sharey=ax)
        time, kilohertz = (seconds[0], seconds[-1]), (hertz[0] / 1000, hertz[-1] / 1000)
        above.imshow(level, SPECTROGRAM_COLOURMAP, extent=(*time, *kilohertz), aspect="auto", origin="lower")
        beside.imshow(level.T, SPECTROGRAM_COLOURMAP, extent=(*kilohertz, *time), aspect="auto", origin="lower")
        above.set_ylabel("kHz", fontsize=7)
        above.tick_params(labelbottom=False, labelsize=6)
        beside.tick_params(labelleft=False, labelsize=6)
        above.set_xlim(low, high)
        beside.set_ylim(high, low)
        offset += 0.155
    bar = figure_of(ax).colorbar(image, cax=ax.inset_axes((1.04 + offset, 0.2, 0.03, 0.6)))
    bar.set_label("attention weight", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    if title:
        ax.set_title(title, fontsize=10, y=1.0 + offset + 0.01)
    return ax


def _resize(tile: NDArray[np.float64], pixels: int) -> NDArray[np.float64]:
    nearest = np.arange(pixels) * tile.shape[0] // pixels
    return tile[np.ix_(nearest, nearest)]


def _strip(ax: Axes, phones: Phones, span: tuple[float, float], upright: bool = False) -> None:
    for index, (start, end, label) in enumerate(phones):
        colour = "#f2f2f2" if index % 2 else "#d9d9d9"
        middle, roomy = (start + end) / 2, (end - start) / (span[1] - span[0]) > 0.012
        if upright:
            ax.axhspan(start, end, color=colour, linewidth=0)
            ax.text(0.5, middle, label if roomy else "", ha="center", va="center", fontsize=6)
        else:
            ax.axvspan(start, end, color=colour, linewidth=0)
            ax.text(middle, 0.5, label if roomy else "", ha="center", va="center", fontsize=6, rotation=90)
    ax.tick_params(length=0, labelleft=False, labelbottom=False)
    (ax.set_ylim(span[::-1]), ax.set_xticks([])) if upright else (ax.set_xlim(span), ax.set_yticks([]))
