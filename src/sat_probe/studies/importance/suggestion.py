"""Suggestion of the largest removal within an accepted loss, looked up on measured curves, and advice in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from sat_probe.errors import ConfigurationError, ReportError
from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.task_curves import task_curves

FEW = 20  # test utterances; a percentile bootstrap of fewer is too narrow
_POINT = ["kind", "ranking", "seed", "removed", "span", "span_mode", "heads"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A removal that stays within the tolerance.

    Attributes:
        heads: heads to remove, as (layer, head); empty for a limited span.
        ranking: their order; None for a span.
        span: limit of attention (frames); None for no limit.
        span_mode: of the span.
        losses: by task, accuracy lost (in shares of 1), or share by which L1 grew.
        intervals: by task, the 95 % interval of the loss, paired over test utterances; empty without their sums.
    """

    heads: tuple[tuple[int, int], ...]
    ranking: str | None
    span: int | None
    span_mode: str | None
    losses: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def suggest(
    table: pd.DataFrame,
    tolerance: float | Mapping[str, float],
    kind: str = "heads",
    mode: str = "retrain",
    counts: pd.DataFrame | None = None,
) -> Suggestion | None:
    """Return the largest removal for which no task loses more than the tolerance, by point estimates.

    Random orders are left out; they are a baseline.

    Args:
        table: ``importance`` of a report.
        tolerance: accuracy that may be lost (0.01 is one percentage point), respectively share by which L1 may grow;
            one for all tasks or one by task, in which case the others may lose anything.
        kind: ``heads`` finds the most heads to remove, ``span`` the shortest span.
        mode: the probes that count; reconstruction has only ``frozen`` and always counts.
        counts: ``importance_counts`` of the report, for intervals of the losses.

    Returns:
        None if nothing can be removed.

    Raises:
        ConfigurationError: for an unknown kind, mode or task.
        ReportError: if the table has no such points.
    """
    if kind not in ("heads", "span"):
        raise ConfigurationError(f"there is no kind {kind!r} of removal; there are heads, span")
    chosen = table[(table["kind"] == kind) & ((table["mode"] == mode) | (table["metric"] == "l1"))]
    if not (table["mode"] == mode).any() and not (table["metric"] == "l1").all():
        raise ConfigurationError(f"the table has no probes of the mode {mode!r}")
    if chosen.empty:
        raise ReportError(f"the table of importance has no points of the kind {kind!r}")
    tasks = list(chosen["task"].unique())
    limits = dict(tolerance) if isinstance(tolerance, Mapping) else dict.fromkeys(tasks, float(tolerance))
    unknown = [task for task in limits if task not in tasks]
    if unknown:
        raise ConfigurationError(f"no task {unknown[0]!r} was measured; there are {', '.join(tasks)}")
    intact = chosen[(chosen["removed"] == 0) & chosen["span"].isna()].groupby("task")["value"].first()
    found = []
    for _, point in chosen[chosen["ranking"] != "random"].groupby(_POINT, dropna=False, sort=False):
        losses = {str(row.task): _loss(row, float(intact[str(row.task)])) for row in point.itertuples()}
        first = point.iloc[0]
        size = float(first["removed"]) if kind == "heads" else -float(first["span"])
        nothing = first["removed"] == 0 and pd.isna(first["span"])
        # a loss that is NaN stays within nothing
        if nothing or not all(losses[task] <= limit + 1e-12 for task, limit in limits.items()):
            continue
        total = sum(math.inf if math.isnan(loss) else loss for loss in losses.values())
        found.append(((size, -total), losses, point))
    if not found:
        return None
    _, losses, point = max(found, key=lambda one: one[0])
    return _suggestion(point.iloc[0], losses, {} if counts is None else _intervals(point, table, counts))


def suggested_heads(report: HeadReport, tolerance: float) -> list[tuple[int, int]]:
    """Return the heads that `suggest` finds on the curves of a report, by retrained probes if it has them; never all.

    Raises:
        ReportError: if the report has no curves, or no step stays within the tolerance.
    """
    table = report.tables.get("importance")
    if table is None or table.empty:
        raise ReportError("the report has no ablation curves; make them with sat-probe importance")
    table = table[table["removed"] < len(report.heads)]  # a model keeps at least one head
    found = suggest(table, tolerance, mode="retrain" if (table["mode"] == "retrain").any() else "frozen")
    if found is None:
        raise ReportError(f"no removal of heads on the curves of the report stays within a loss of {tolerance:g}")
    return list(found.heads)


def _loss(row: object, intact: float) -> float:
    value = float(row.value)  # type: ignore[attr-defined]
    return intact - value if row.metric == "accuracy" else value / intact - 1  # type: ignore[attr-defined]


def _intervals(point: pd.DataFrame, table: pd.DataFrame, counts: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Return the intervals of the losses of one point, by task."""
    modes = dict(zip(point["task"], point["mode"], strict=True))
    found = {}
    for curves in task_curves(table, counts):
        if modes.get(curves.task) == curves.mode:
            _, low, high = curves.loss(int(point["point"].iloc[0]))
            found[curves.task] = low, high
    return found


def _suggestion(
    row: pd.Series, losses: Mapping[str, float], intervals: Mapping[str, tuple[float, float]]
) -> Suggestion:
    pairs = [head.split(".") for head in str(row["heads"]).split(",") if head]
    return Suggestion(
        heads=tuple((int(layer), int(head)) for layer, head in pairs),
        ranking=None if pd.isna(row["ranking"]) else str(row["ranking"]),
        span=None if pd.isna(row["span"]) else int(row["span"]),
        span_mode=None if pd.isna(row["span_mode"]) else str(row["span_mode"]),
        losses=losses,
        intervals=intervals,
    )


def advice(kind: str, found: Suggestion | None, max_loss: float, all_heads: int) -> str:
    """Return what can be removed, with the option of `sat-probe refine` that removes it."""
    if found is None:
        return f"No {'removal of heads' if kind == 'heads' else 'span'} stays within a loss of {max_loss:g}."
    lost = ", ".join(
        f"{name} {loss:+.3f} ({found.intervals[name][0]:+.3f} to {found.intervals[name][1]:+.3f})"
        for name, loss in found.losses.items()
    )
    if kind == "span":
        return f"Attention can be limited (loss: {lost}):\n  --span {found.span} --span-mode {found.span_mode}"
    if len(found.heads) == all_heads:
        return (
            f"All {all_heads} heads can be removed (loss: {lost}): these probes do not need attention. sat-probe "
            "refine keeps at least one head; with --report and --max-loss it takes the step before."
        )
    named = ",".join(f"{layer}.{head}" for layer, head in found.heads)
    return f"{len(found.heads)} heads can be removed by {found.ranking} (loss: {lost}):\n  --heads {named}"


def confidence(found: Suggestion, max_loss: float, tested: int) -> str:
    """Return whether the upper ends of the intervals stay within the acceptable loss too."""
    spoken = "1 test utterance" if tested == 1 else f"{tested} test utterances"
    ends = {name: high for name, (_, high) in found.intervals.items()}
    unknown = [name for name in found.losses if not math.isfinite(ends.get(name, math.nan))]
    if unknown:
        return f"  Not sure: no interval for {', '.join(unknown)} ({spoken})."
    worst = max(ends, key=lambda name: ends[name])
    if ends[worst] > max_loss:
        return f"  Not sure: {worst} could lose up to {ends[worst]:+.3f}, more than {max_loss:g} ({spoken})."
    few = "; intervals of so few look too narrow" if tested < FEW else ""
    return f"  Sure for this speech: the upper ends are within {max_loss:g} too ({spoken}{few})."
