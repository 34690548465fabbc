"""All figures of a report. Each `plot_*` takes data and `ax=None` and returns the Axes it drew on.

`save_figures` draws every figure that the report has the tables for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from sat_probe.reports.palette import CATEGORIES
from sat_probe.reports.plots.axes import write_figure
from sat_probe.reports.plots.heads import plot_categories, plot_distribution, plot_layers, plot_offsets, plot_ranking
from sat_probe.reports.plots.importance import importance_drawings, plot_importance
from sat_probe.reports.plots.maps import plot_attention_grid, plot_head
from sat_probe.reports.plots.phones import plot_concentration, plot_relation_map
from sat_probe.reports.plots.segmentation import (
    plot_kernel_gram,
    plot_performance,
    plot_precision_recall,
    plot_segmentation,
    segmentation_drawings,
)
from sat_probe.reports.report_data import ReportData, clearest_heads

__all__ = [
    "plot_attention_grid",
    "plot_categories",
    "plot_concentration",
    "plot_distribution",
    "plot_head",
    "plot_importance",
    "plot_kernel_gram",
    "plot_layers",
    "plot_offsets",
    "plot_performance",
    "plot_precision_recall",
    "plot_ranking",
    "plot_relation_map",
    "plot_segmentation",
    "save_figures",
    "write_figure",
]


def save_figures(report: ReportData, folder: str | Path) -> list[Path]:
    """Draw every figure that the report has the tables for, as SVG and PNG; return the paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return [path for name, draw in drawings(report) for path in write_figure(draw(), folder / name)]


def representative_heads(heads: pd.DataFrame) -> dict[str, tuple[int, int]]:
    """The head (layer, head) of each category that is highest in the metric of the category."""
    best = {name: clearest_heads(heads, name, 1) for name in CATEGORIES}
    return {name: (int(row["layer"].iloc[0]), int(row["head"].iloc[0])) for name, row in best.items() if len(row)}


def drawings(report: ReportData) -> Iterator[tuple[str, Callable[[], Axes]]]:
    """Name of every figure that the report has the tables for, and the function that draws it."""
    heads, tables, example = report.heads, report.tables, report.example
    yield "categories", lambda: plot_categories(heads, shape=report.shape)
    yield "layers", lambda: plot_layers(heads, layers=report.shape[0])
    yield "globalness-diagonality", lambda: plot_distribution(heads, "globalness", "diagonality")
    yield "globalness-verticality", lambda: plot_distribution(heads, "globalness", "verticality")
    yield "ranking", lambda: plot_ranking(heads)
    yield "offsets", lambda: plot_offsets(heads, shape=report.shape)
    if example is not None:
        yield "attention-grid", lambda: plot_attention_grid(example.maps, heads)
        waveform, rate = example.waveform, example.sampling_rate
        for name, (layer, head) in representative_heads(heads).items():
            title = f"{example.id}: layer {layer}, head {head} ({name})"
            head_map = partial(plot_head, example.weights(layer, head), example.times, waveform, rate)
            yield f"head-{name}", partial(head_map, example.phones, title)
    if "concentration" in tables:
        yield "concentration", lambda: plot_concentration(heads, tables["concentration"])
    if "relation_maps" in tables:
        operations = tables.get("operations")
        for name, (layer, head) in _clear_heads(report).items():
            named = None if operations is None else _rows(operations, layer, head)
            cells = _rows(tables["relation_maps"], layer, head)
            title = f"layer {layer}, head {head}"
            yield f"relation-{name}", partial(plot_relation_map, cells, named, title)
            if name == "to-phones" and "relation_maps_by_class" in tables:
                classes = _rows(tables["relation_maps_by_class"], layer, head)
                yield "relation-classes", partial(plot_relation_map, classes, title=title)
    yield from segmentation_drawings(report)
    yield from importance_drawings(report)


def _clear_heads(report: ReportData) -> dict[str, tuple[int, int]]:
    """Heads whose relation maps are drawn: the clearest of each kind of operation, or else of each category."""
    operations = report.tables.get("operations")
    if operations is None or operations.empty:
        return representative_heads(report.heads)
    kinds = {
        "identity": operations["operation"] == "identity",
        "to-silence": operations["operation"] == "to sil",
        "to-phones": operations["operation"].str.startswith("to ") & (operations["operation"] != "to sil"),
        "not-to": operations["operation"].str.startswith("not to "),
        "not-identity": operations["operation"] == "not identity",
    }
    found: dict[str, tuple[int, int]] = {}
    for name, chosen in kinds.items():
        part = operations[chosen.to_numpy(dtype=bool)]
        if len(part):
            best = part.iloc[int(part["score"].abs().to_numpy(dtype=float).argmax())]
            head = int(best["layer"]), int(best["head"])
            if head not in found.values():  # one map a head
                found[name] = head
    return found


def _rows(table: pd.DataFrame, layer: int, head: int) -> pd.DataFrame:
    return table[(table["layer"] == layer) & (table["head"] == head)]
