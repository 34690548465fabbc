"""Paired comparison of the points of ablation curves, which are all scored on the same test utterances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_probe.errors import ReportError
from sat_probe.measures.intervals import Number, paired_difference


@dataclass(frozen=True, slots=True)
class TaskCurves:
    """The curves of one task and kind of probe.

    Attributes:
        task: its name.
        mode: ``retrain`` or ``frozen``.
        metric: ``accuracy`` or ``l1``.
        rows: of ``importance``.
        items: (utterances,) frames or utterances scored.
        totals: (utterances, points) how many were right, or sums of L1.
    """

    task: str
    mode: str
    metric: str
    rows: pd.DataFrame
    items: NDArray[np.float64]
    totals: NDArray[np.float64]

    def removals(self, ranking: str) -> dict[int, int]:
        """Point by number of heads removed, in this order; empty if there is no such ranking."""
        heads = self.rows[(self.rows["kind"] == "heads") & (self.rows["ranking"] == ranking)]
        return _by(heads[heads["seed"] == heads["seed"].min()], "removed")

    def spans(self, mode: str = "zero") -> dict[int, int]:
        """Point by limited span (frames)."""
        spans = self.rows[(self.rows["kind"] == "span") & (self.rows["span_mode"] == mode)]
        return _by(spans[spans["span"].notna()], "span")

    @property
    def intact(self) -> int:
        """Point of the model without any ablation.

        Raises:
            ReportError: if it was not measured.
        """
        rows = self.rows[(self.rows["removed"] == 0) & self.rows["span"].isna()]
        if rows.empty:
            raise ReportError(f"the curves of {self.task} ({self.mode}) lack the intact model")
        return int(rows["point"].iloc[0])

    def score(self, points: Sequence[int]) -> float:
        """Mean over points of accuracy or L1."""
        return float(self.totals[:, list(points)].mean(axis=1).sum() / self.items.sum())

    def gain(self, better: Sequence[int], worse: Sequence[int], allowance: float = 0.0) -> Number:
        """How much better the first points are than the second, with a paired 95 % interval over utterances.

        Args:
            better: points, of which the mean score is taken; more accuracy, or less L1, is a gain above 0.
            worse: points to compare with.
            allowance: tolerated loss, added to the gain: accuracy, or a share of the L1 of ``worse``.
        """
        first, second = (self.totals[:, list(points)].mean(axis=1) for points in (better, worse))
        if self.metric == "l1":
            return paired_difference(second * (1 + allowance), first, self.items)
        return paired_difference(first + allowance * self.items, second, self.items)

    def loss(self, point: int) -> Number:
        """Loss of a point against the intact model: of accuracy, or the relative growth of L1."""
        ablated, intact = (self.totals[:, one] for one in (point, self.intact))
        if self.metric == "l1":
            return paired_difference(ablated, intact, intact)
        return paired_difference(intact, ablated, self.items)


def task_curves(table: pd.DataFrame, counts: pd.DataFrame | None) -> list[TaskCurves]:
    """The curves of every task and mode, in the order of the table.

    Args:
        table: ``importance`` of a report.
        counts: its ``importance_counts``.

    Raises:
        ReportError: if the report has no sums per utterance, or not of every point.
    """
    if counts is None or "point" not in table:
        raise ReportError(
            "the report has no table importance_counts: an older sat-probe made it, which kept no sums per utterance "
            "to compare ablations by; make it anew with sat-probe importance"
        )
    curves = []
    for (task, mode), rows in table.groupby(["task", "mode"], sort=False):
        own = counts[(counts["task"] == task) & (counts["mode"] == mode)]
        wanted = [f"total_{number}" for number in range(int(table["point"].max()) + 1)]
        if own.empty or not set(wanted) <= set(own) or own[wanted].isna().to_numpy().any():
            raise ReportError(
                f"importance_counts lacks points of {task} ({mode}); make the report anew with sat-probe importance"
            )
        items, totals = own["items"].to_numpy(dtype=float), own[wanted].to_numpy(dtype=float)
        curves.append(TaskCurves(str(task), str(mode), str(rows["metric"].iloc[0]), rows, items, totals))
    return curves


def _by(rows: pd.DataFrame, column: str) -> dict[int, int]:
    ordered = rows.sort_values(column)
    return dict(zip(ordered[column].astype(int).tolist(), ordered["point"].astype(int).tolist(), strict=True))
