"""Every figure of a head report. Each `plot_*` takes data and `ax=None` and returns the Axes it drew on.

`save_figures` draws all figures that the tables of a report allow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from sat_probe.reports.figures import write_figure
from sat_probe.reports.plots_heads import (
    plot_categories,
    plot_distribution,
    plot_layers,
    plot_offsets,
    plot_ranking,
)

if TYPE_CHECKING:
    from sat_probe.reports.head_report import HeadReport

__all__ = [
    "plot_categories",
    "plot_distribution",
    "plot_layers",
    "plot_offsets",
    "plot_ranking",
    "save_figures",
    "write_figure",
]


def save_figures(report: HeadReport, folder: str | Path) -> list[Path]:
    """Draw every figure that the report has the tables for into `folder`, each as SVG and PNG; returns the paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    return [path for name, draw in _drawings(report) for path in write_figure(draw(), folder / name)]


def _drawings(report: HeadReport) -> Iterator[tuple[str, Callable[[], Axes]]]:
    heads = report.heads
    yield "categories", lambda: plot_categories(heads)
    yield "layers", lambda: plot_layers(heads)
    yield "globalness-diagonality", lambda: plot_distribution(heads, "globalness", "diagonality")
    yield "globalness-verticality", lambda: plot_distribution(heads, "globalness", "verticality")
    yield "ranking", lambda: plot_ranking(heads)
    yield "offsets", lambda: plot_offsets(heads)
