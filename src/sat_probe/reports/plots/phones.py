"""Figures of relation maps: one head's map with phone axes, and concentration against verticality (figure 4)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.patches import Rectangle

from sat_probe.errors import ReportError
from sat_probe.measures.relations.result import MINIMUM_UTTERANCES
from sat_probe.reports.palette import (
    CATEGORIES,
    CATEGORY_COLOURS,
    CATEGORY_MARKERS,
    RELATION_COLOURMAP,
    UNRELIABLE_COLOUR,
)
from sat_probe.reports.plots.axes import axes_or_new, figure_of, tidy


def plot_relation_map(
    cells: pd.DataFrame, operations: pd.DataFrame | None = None, title: str = "", ax: Axes | None = None
) -> Axes:
    """The relation map of one head (eq. 5): red where query phones (rows) prefer a key phone (columns), blue where they
    avoid it, grey with a cross where too few utterances have both phones, white dots where the interval includes 0.

    Args:
        cells: rows of the table `relation_maps` of one head, or `report.relation_map(layer, head)`: phones x phones.
        operations: rows of the table `operations` of the same head; what they name is framed and listed.
    """
    phones, values, unsure = _cells(cells)
    side = max(0.155 * len(phones), 2.4)
    ax = axes_or_new(ax, 1.9 + side, 1.2 + side)
    shown = np.ma.masked_invalid(values)
    top = max(1.0, float(np.quantile(shown.compressed(), 0.99)) if shown.count() else 1.0)
    norm = TwoSlopeNorm(0.0, vmin=-1.0, vmax=top)  # -1 is the floor: no attention at all
    cmap = RELATION_COLOURMAP
    ax.set_facecolor(UNRELIABLE_COLOUR)
    image = ax.imshow(shown, cmap=cmap, norm=norm, interpolation="nearest")
    rows, columns = np.nonzero(np.isnan(values))
    ax.scatter(columns, rows, s=5, marker="x", color="#8c8c8c", linewidth=0.5)
    rows, columns = np.nonzero(unsure)
    ax.scatter(columns, rows, s=1.5, marker="o", color="#666666", linewidth=0)
    size = 6 if len(phones) > 15 else 8
    ax.set_xticks(range(len(phones)), phones, rotation=90, fontsize=size)
    ax.set_yticks(range(len(phones)), phones, fontsize=size)
    ax.tick_params(length=1.5, pad=1)
    ax.set(xlabel="key phone (attended to)", ylabel="query phone (attending)")
    bar = figure_of(ax).colorbar(image, ax=ax, fraction=0.04, pad=0.02, extend="max")
    bar.set_label("relation: −1 none, 0 as uniform, +1 twice", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    named = [] if operations is None else list(operations["operation"])
    for name in named:
        _frame(ax, name, phones)
    listed = "; ".join(named[:4]) + (f" (+ {len(named) - 4} more)" if len(named) > 4 else "")
    ax.set_title("\n".join(line for line in (title, listed) if line), fontsize=9)
    return ax


def plot_concentration(
    heads: pd.DataFrame, concentration: pd.DataFrame, zoom: float | None = 1.0, ax: Axes | None = None
) -> Axes:
    """Figure 4: the strongest focus (> 0) or neglect (< 0) of every head against its verticality, with a zoom around 0.

    Args:
        heads: the head table.
        concentration: the table `concentration` (layer, head, phone, concentration, low, high).
        zoom: a second panel shows |concentration| up to this, on a figure of its own; None leaves it out.
    """
    extreme = extreme_concentration(concentration)
    points = heads.merge(extreme, on=["layer", "head"])
    near = points[points["concentration"].abs() <= zoom] if zoom is not None else points.iloc[:0]
    beside = None
    if ax is None and 1 < len(near) < len(points):
        ax = axes_or_new(None, 8.6, 4.4, box=(0.08, 0.12, 0.52, 0.82))
        beside = tidy(figure_of(ax).add_axes((0.66, 0.12, 0.32, 0.82)))
    ax = tidy(axes_or_new(ax, 6.4, 4.4))
    _draw_extremes(ax, points, label_above=float(points["concentration"].abs().quantile(0.6)))
    ax.set(xlabel="verticality (nats)", ylabel="strongest focus (+) or neglect (−)")
    ax.legend(frameon=False, fontsize=8)
    if beside is not None:
        _draw_extremes(beside, near, label_above=0.0)
        beside.set(xlabel="verticality (nats)")
        beside.set_title(f"within ±{zoom:g}", fontsize=9)
        ax.axhspan(near["concentration"].min(), near["concentration"].max(), color="#f2f2f2", zorder=-1)
    return ax


def extreme_concentration(concentration: pd.DataFrame) -> pd.DataFrame:
    """The row of each head with the largest |concentration|, among those whose interval excludes 0 if there are any."""
    known = concentration.dropna(subset=["concentration"])
    if known.empty:
        raise ReportError("the concentration table holds no defined value")
    sure = (known["low"] > 0) | (known["high"] < 0) if "low" in known else pd.Series(True, index=known.index)
    ordered = known.assign(_sure=sure, _size=known["concentration"].abs())
    ordered = ordered.sort_values(["_sure", "_size"], ascending=False, kind="stable")
    return ordered.drop_duplicates(["layer", "head"])[["layer", "head", "phone", "concentration"]]


def _draw_extremes(ax: Axes, points: pd.DataFrame, label_above: float) -> None:
    for name in CATEGORIES:
        part = points[points["category"] == name]
        ax.scatter(
            part["verticality"], part["concentration"], s=24, marker=CATEGORY_MARKERS[name],
            color=CATEGORY_COLOURS[name], edgecolor="black", linewidth=0.4, label=name,
        )  # fmt: skip
    far = points[points["concentration"].abs() >= label_above]
    for phone, x, y in zip(far["phone"], far["verticality"], far["concentration"], strict=True):
        ax.annotate(str(phone), (x, y), xytext=(3, 3), textcoords="offset points", fontsize=6.5)
    ax.axhline(0, color="black", linewidth=0.7)


def _cells(cells: pd.DataFrame) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Phones, relations (NaN with too few utterances), and which of them have an interval that includes 0."""
    if "query_phone" not in cells:
        return list(map(str, cells.columns)), cells.to_numpy(dtype=float), np.zeros(cells.shape, dtype=bool)
    if cells.duplicated(["query_phone", "key_phone"]).any():
        raise ReportError("a relation map shows one head: select the rows of one layer and head")
    phones = list(dict.fromkeys(cells["query_phone"].astype(str)))

    def square(column: str) -> np.ndarray:
        indexed = cells.assign(query=cells["query_phone"].astype(str), key=cells["key_phone"].astype(str))
        table = indexed.pivot(index="query", columns="key", values=column)
        return table.loc[phones, phones].to_numpy(dtype=float)

    values = square("relation")
    if "utterances" in cells:
        values = np.where(square("utterances") >= MINIMUM_UTTERANCES, values, np.nan)
    unsure = np.zeros(values.shape, dtype=bool)
    if "low" in cells:
        unsure = ~np.isnan(values) & ~((square("low") > 0) | (square("high") < 0))
    return phones, values, unsure


def _frame(ax: Axes, operation: str, phones: list[str]) -> None:
    what = operation.removeprefix("not ").removeprefix("to ")
    if what == "identity":
        boxes = [(index, index, 1) for index in range(len(phones))]
    else:
        boxes = [(phones.index(what), 0, len(phones))] if what in phones else []
    style = ":" if operation.startswith("not") else "-"
    for column, row, height in boxes:
        corner = (column - 0.5, row - 0.5)
        ax.add_patch(Rectangle(corner, 1, height, fill=False, edgecolor="black", linewidth=1.1, linestyle=style))
