"""Importance curves: scores of probes while heads are removed or the span is limited (figures 5 and 6a)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from sat_probe.errors import ReportError
from sat_probe.reports.plots.segmentation import plot_performance
from sat_probe.reports.report_data import ReportData


def importance_curves(table: pd.DataFrame, kind: str, task: str, mode: str) -> pd.DataFrame:
    """The curves of one figure, as :func:`plot_performance` draws them.

    Random orders become one curve, their mean, with the band from the worst to the best.

    Args:
        table: ``importance`` of a report.
        kind: ``heads`` (figure 5) or ``span`` (figure 6a).
        task: name of the task.
        mode: ``retrain`` or ``frozen``.

    Raises:
        ReportError: if the table has no such points.
    """
    part = table[(table["kind"] == kind) & (table["task"] == task) & (table["mode"] == mode)]
    if part.empty:
        raise ReportError(f"the table of importance has no {kind} curves of {task} ({mode})")
    curves: pd.DataFrame = part
    if kind == "span":
        return curves
    random = part[part["ranking"] == "random"]
    if random.empty:
        return curves
    by_count = random.groupby("removed", as_index=False)["value"]
    band = by_count.mean().assign(
        ranking="random", value_low=by_count.min()["value"].to_numpy(), value_high=by_count.max()["value"].to_numpy()
    )
    joined: pd.DataFrame = pd.concat([curves[curves["ranking"] != "random"], band], ignore_index=True)
    return joined


def plot_importance(table: pd.DataFrame, kind: str, task: str, mode: str, ax: Axes | None = None) -> Axes:
    """Figure 5 (``kind="heads"``) or 6a (``"span"``) for one task; arguments as for :func:`importance_curves`."""
    curves = importance_curves(table, kind, task, mode)
    metric = str(curves["metric"].iloc[0])
    x, series = ("removed", "ranking") if kind == "heads" else ("span", "span_mode")
    intact = curves[curves["removed"].eq(0) & curves["span"].isna()] if "span" in curves else curves
    baseline = float(intact["value"].iloc[0]) if len(intact) else None
    drawn = curves.drop(columns=["value_low", "value_high"]) if _crowded(curves, series) else curves
    ax = plot_performance(drawn, x, "value", series=series, baseline=baseline, ax=ax)
    caption = "heads removed" if kind == "heads" else "span (frames)"
    ax.set(xlabel=caption, ylabel="L1" if metric == "l1" else metric, title=f"{task}, {mode}")
    return ax


def importance_drawings(report: ReportData) -> Iterator[tuple[str, Callable[[], Axes]]]:
    """Name of every figure that the table ``importance`` has points for, and the function that draws it."""
    table = report.tables.get("importance")
    if table is None or table.empty:
        return
    for kind, task, mode in table[["kind", "task", "mode"]].drop_duplicates().itertuples(index=False):
        yield f"importance-{kind}-{task}-{mode}", partial(plot_importance, table, kind, task, mode)


def _crowded(curves: pd.DataFrame, series: str) -> bool:
    """Whether bands would hide each other."""
    return int(np.unique(curves[series].astype(str)).size) > 4
