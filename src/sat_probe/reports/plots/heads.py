"""Figures of the head table: categories, metrics, rankings, offsets. Each takes `report.heads` and returns its Axes.

Heads that were removed from the model have no row; `shape` (layers and heads of the intact model) leaves their places
blank.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from sat_probe.errors import ReportError
from sat_probe.reports.palette import (
    AXIS_NAMES,
    CATEGORIES,
    CATEGORY_COLOURS,
    CATEGORY_INK,
    CATEGORY_LETTERS,
    CATEGORY_MARKERS,
)
from sat_probe.reports.plots.axes import axes_or_new, tidy


def plot_categories(heads: pd.DataFrame, ax: Axes | None = None, shape: tuple[int, int] | None = None) -> Axes:
    """Every head of the model, layers x heads, coloured and lettered by category.

    Where the table has `category_stability`, a head is the paler the fewer bootstrap replicates agree on its category.
    """
    _need(heads, "layer", "head", "category")
    layers, columns = shape or _least_shape(heads)
    ax = axes_or_new(ax, 1.9 + 0.36 * columns, 1.3 + 0.36 * layers)
    image = np.ones((layers, columns, 4))
    size = float(np.clip(90 / max(layers, columns), 5, 9))
    agreement = heads["category_stability"] if "category_stability" in heads else pd.Series(1.0, heads.index)
    strengths = (0.35 + 0.65 * agreement).fillna(1.0)
    cells = zip(heads["layer"], heads["head"], heads["category"], strengths, strict=True)
    for layer, head, category, strength in cells:
        image[layer, head] = 1 - strength * (1 - np.asarray(to_rgba(CATEGORY_COLOURS[category]), dtype=float))
        ink = CATEGORY_INK[category] if strength > 0.75 else "#000000"
        ax.text(head, layer, CATEGORY_LETTERS[category], ha="center", va="center", color=ink, fontsize=size)
    ax.imshow(image, origin="lower", aspect="equal", interpolation="nearest")
    for position in np.arange(0.5, columns - 1):
        ax.axvline(position, color="white", linewidth=1)
    for position in np.arange(0.5, layers - 1):
        ax.axhline(position, color="white", linewidth=1)
    _whole_ticks(ax, layers, columns)
    counts = heads["category"].value_counts()
    names = [f"{CATEGORY_LETTERS[name]}  {name} ({counts.get(name, 0)})" for name in CATEGORIES]
    patches = [Patch(color=CATEGORY_COLOURS[name]) for name in CATEGORIES]
    ax.legend(patches, names, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=8)
    ax.set_title("Category of every head", fontsize=10)
    return ax


def plot_distribution(
    heads: pd.DataFrame, x: str = "globalness", y: str = "diagonality", ax: Axes | None = None
) -> Axes:
    """One point per head over two metrics, with 95 % intervals where the table has them."""
    _need(heads, x, y, "category")
    ax = tidy(axes_or_new(ax, 4.6, 4.0))
    for name in CATEGORIES:
        part = heads[heads["category"] == name]
        ax.errorbar(
            part[x], part[y], xerr=_bars(part, x), yerr=_bars(part, y),
            fmt=CATEGORY_MARKERS[name], color=CATEGORY_COLOURS[name], label=name, markersize=5,
            markeredgecolor="black", markeredgewidth=0.4, elinewidth=0.7, alpha=0.9,
        )  # fmt: skip
    ax.set(xlabel=AXIS_NAMES.get(x, x), ylabel=AXIS_NAMES.get(y, y))
    ax.legend(frameon=False, fontsize=8)
    return ax


def plot_layers(heads: pd.DataFrame, ax: Axes | None = None, layers: int | None = None) -> Axes:
    """Number of heads of each category in every layer, stacked."""
    _need(heads, "layer", "category")
    ax = axes_or_new(ax, 4.6, 3.2)
    counts = pd.crosstab(heads["layer"], heads["category"])
    counts = counts.reindex(index=range(layers or _least_shape(heads)[0]), columns=list(CATEGORIES), fill_value=0)
    base = np.zeros(len(counts))
    for name in CATEGORIES:
        values = counts[name].to_numpy(dtype=float)
        bars = ax.bar(counts.index, values, bottom=base, color=CATEGORY_COLOURS[name], label=name, edgecolor="white")
        texts = [CATEGORY_LETTERS[name] if value else "" for value in values]
        ax.bar_label(bars, texts, label_type="center", color=CATEGORY_INK[name], fontsize=7)
        base += values
    ax.spines[["top", "right"]].set_visible(False)
    ax.set(xlabel="layer", ylabel="heads", xticks=counts.index)
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def plot_ranking(heads: pd.DataFrame, x: str = "max_weight", y: str = "globalness", ax: Axes | None = None) -> Axes:
    """Figure 6a: rank of each head in two pruning orders; the head of rank 1 is removed first.

    The paper prunes from the highest globalness, verticality or diagonality, but from the lowest maximum weight.
    """
    _need(heads, x, y, "category")
    ax = tidy(axes_or_new(ax, 4.4, 4.2))
    order = {column: heads[column].rank(ascending=column == "max_weight", method="first") for column in (x, y)}
    ax.plot([1, len(heads)], [1, len(heads)], color="#999999", linewidth=0.8, linestyle="--", zorder=1)
    for name in CATEGORIES:
        part = heads["category"] == name
        ax.scatter(
            order[x][part], order[y][part], s=24, marker=CATEGORY_MARKERS[name], color=CATEGORY_COLOURS[name],
            edgecolor="black", linewidth=0.4, label=name, zorder=2,
        )  # fmt: skip
    ax.set(
        xlabel=f"rank by {_plain(x)} ({'lowest' if x == 'max_weight' else 'highest'} first)",
        ylabel=f"rank by {_plain(y)} ({'lowest' if y == 'max_weight' else 'highest'} first)",
    )
    ax.legend(frameon=False, fontsize=8)
    return ax


def plot_offsets(heads: pd.DataFrame, ax: Axes | None = None, shape: tuple[int, int] | None = None) -> Axes:
    """Mean offset of every head in ms (left of 0 is the past), layer by layer, with the spread as a bar.

    Heads of the other categories are drawn small and pale: their mean offset says little.
    """
    _need(heads, "layer", "head", "category", "mean_offset_ms", "spread_ms")
    layers, columns = shape or _least_shape(heads)
    ax = tidy(axes_or_new(ax, 5.2, 1.6 + 0.36 * layers))
    # heads of a layer stand above each other
    height = heads["layer"] + (heads["head"] + 0.5) / columns * 0.7 - 0.35
    for name in CATEGORIES:
        part = heads["category"] == name
        diagonal = name == "diagonal"
        ax.errorbar(
            heads["mean_offset_ms"][part], height[part], xerr=heads["spread_ms"][part] if diagonal else None,
            fmt=CATEGORY_MARKERS[name], color=CATEGORY_COLOURS[name], markersize=4.5 if diagonal else 2.5,
            alpha=1.0 if diagonal else 0.45, elinewidth=0.7, label=name,
        )  # fmt: skip
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set(xlabel=AXIS_NAMES["mean_offset_ms"], ylabel="layer", yticks=range(layers))
    ax.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _need(heads: pd.DataFrame, *columns: str) -> None:
    if missing := [column for column in columns if column not in heads]:
        raise ReportError(f"the head table lacks {', '.join(missing)}; it has {', '.join(map(str, heads.columns))}")
    if heads.empty:
        raise ReportError("the head table is empty: nothing to draw")


def _bars(part: pd.DataFrame, column: str) -> NDArray[np.float64] | None:
    if f"{column}_low" not in part:
        return None
    below, above = part[column] - part[f"{column}_low"], part[f"{column}_high"] - part[column]
    bars: NDArray[np.float64] = np.clip(np.stack([below, above]), 0, None)
    return bars


def _plain(column: str) -> str:
    return column.removesuffix("_ms").replace("_", " ")


def _least_shape(heads: pd.DataFrame) -> tuple[int, int]:
    """Layers and heads per layer that the rows need."""
    return int(heads["layer"].max()) + 1, int(heads["head"].max()) + 1


def _whole_ticks(ax: Axes, layers: int, columns: int) -> None:
    every = 1 if max(layers, columns) <= 24 else 4
    ax.set(xticks=range(0, columns, every), yticks=range(0, layers, every), xlabel="head", ylabel="layer")
    ax.tick_params(labelsize=7, length=0)
    ax.spines[:].set_visible(False)


def category_legend(ax: Axes) -> None:
    """Markers and names of the three categories, for figures that frame or colour by category."""
    handles = [
        Line2D([], [], marker=CATEGORY_MARKERS[name], color=CATEGORY_COLOURS[name], linestyle="", label=name)
        for name in CATEGORIES
    ]
    ax.legend(handles=handles, frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
