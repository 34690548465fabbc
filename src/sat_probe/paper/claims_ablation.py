"""Claims about pruning, spans, speed and training, checked on importance curves and repeated timings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sat_probe.measures.intervals import Number, median_interval
from sat_probe.paper.files import StudyFiles
from sat_probe.paper.finding import Finding, Z, finding_from_interval
from sat_probe.reports.task_curves import TaskCurves, task_curves

TASKS = {
    "reconstruction": "reconstruction", "phones_hidden": "phones", "speakers_frame": "speakers, frame",
    "speakers_utterance": "speakers, utterance",
}  # fmt: skip
TOLERATED = 0.01  # accuracy, or share of the L1, that may be lost where the paper says that nothing is lost


@dataclass(frozen=True, slots=True)
class _Case:
    """Curves of one task and kind of probe, of one model on one corpus."""

    model: str
    words: str
    curves: TaskCurves
    files: str
    hop_ms: float

    @property
    def unit(self) -> str:
        return self.curves.metric.replace("l1", "L1")

    def finding(self, text: str, number: Number, detail: bool = False) -> Finding:
        return finding_from_interval(self.model, self.words, text, number, self.unit, self.files, detail)


def order_differences(
    files: StudyFiles, worse: str, better: str, first: bool = True, only: str = ""
) -> Iterator[Finding]:
    """Yield the harm of pruning in one order minus that in another: after some heads, and over the whole curve.

    Args:
        files: the study.
        worse, better: the two rankings.
        first: compare after the first step; otherwise after two thirds of the heads.
        only: how the names of the tasks to look at begin.
    """
    for case in _cases(files, only):
        left, right = (case.curves.removals(ranking) for ranking in (worse, better))
        counts = list(left)
        if len(counts) < 2 or left.keys() != right.keys():
            continue
        count = counts[1] if first else counts[round(2 / 3 * (len(counts) - 1))]
        for told, chosen in ((f"{count} heads", [count]), ("mean over the curve", counts[1:-1])):
            if not chosen:
                continue
            harmed, spared = ([side[count] for count in chosen] for side in (left, right))
            text = (
                f"{told}: by {worse} {case.curves.score(harmed):.3f}, by {better} {case.curves.score(spared):.3f}; "
                "harm, first minus second"
            )
            yield case.finding(text, case.curves.gain(spared, harmed), len(chosen) > 1)


def half_can_go(files: StudyFiles) -> Iterator[Finding]:
    """Yield the tolerated loss minus the loss after removing half of the heads by globalness."""
    for case in _cases(files, ""):
        points = case.curves.removals("globalness")
        if not points:
            continue
        half = list(points)[(len(points) - 1) // 2]
        intact = case.curves.score([case.curves.intact])
        tolerated = TOLERATED * (1 if case.unit == "accuracy" else intact)
        without = case.curves.score([points[half]])
        text = f"intact {intact:.3f}, without {half} heads {without:.3f}; {tolerated:.3f} tolerated less lost"
        room = case.curves.gain([points[half]], [case.curves.intact], allowance=TOLERATED)
        yield case.finding(text, room)


def near_span_helps_phones(files: StudyFiles) -> Iterator[Finding]:
    """Yield the phone accuracy with a span of 15 to 25 frames minus that with the full span."""
    for case in _cases(files, "phones"):
        near = {span: point for span, point in case.curves.spans().items() if 15 <= span <= 25}
        if not near:
            continue
        intact, points = case.curves.intact, list(near.values())
        text = (
            f"all {case.curves.score([intact]):.3f}, mean of spans {' and '.join(map(str, near))} (frames of "
            f"{case.hop_ms:.4g} ms) {case.curves.score(points):.3f}; difference"
        )
        yield case.finding(text, case.curves.gain(points, [intact]))


def removal_is_faster(files: StudyFiles) -> Iterator[Finding]:
    """Yield the time each removal saves, as a share of the intact model's time: the median over repeats."""
    for model in files.models:
        name = f"{model}-speed"
        if not files.has(name):
            continue
        table = files.table(name)
        times = table.pivot(index="repeat", columns="version", values="real_time_factor")
        adds = table.groupby("version")["multiply_adds"].first()
        for version in dict.fromkeys(table["version"]):
            if version == "intact":
                continue
            saved = 1 - (times[version] / times["intact"]).to_numpy()
            removed = int(table[table["version"] == version]["removed"].iloc[0])
            heads = f"{removed} heads fewer, " if removed else ""
            share = adds[version] / adds["intact"]
            text = f"{heads}{share:.2f} of the multiply-adds; median of the time saved in {len(saved)} repeats"
            yield finding_from_interval(model, version, text, median_interval(saved), "share", files.links(name))


def far_from_untrained(files: StudyFiles) -> Iterator[Finding]:
    """Yield the number of head statistics outside the range of all untrained models, minus the number by chance."""
    if not files.has("control"):
        return
    for family, table in null_distances(files.table("control")).groupby("family", sort=False):
        outside, count, seeds = int(table["outside"].sum()), len(table), int(table["seeds"].iloc[0])
        # each statistic is below or above all of n random ones by chance 2 times in n + 1
        expected = 2 * count / (seeds + 1)
        text = (
            f"{outside} of {count} statistics outside all {seeds} untrained models (by chance {expected:.1f}), median "
            f"distance {table['z'].abs().median():.1f} standard deviations; outside less by chance"
        )
        half = Z * float(np.sqrt(expected * (1 - 2 / (seeds + 1))))
        number = outside - expected, outside - expected - half, outside - expected + half
        yield finding_from_interval(str(family), "", text, number, "statistics", files.links("control"))


def null_distances(control: pd.DataFrame) -> pd.DataFrame:
    """Return each statistic of each trained model beside the untrained models of its shape.

    Returns:
        Columns family, statistic, trained, null_mean, null_deviation, z, rank (untrained models below it), seeds,
        outside (below or above all of them).
    """
    rows = []
    for (family, statistic), part in control.groupby(["family", "statistic"], sort=False):
        trained = float(part[part["weights"] == "trained"]["value"].iloc[0])
        null = part[part["weights"] == "random"]["value"].to_numpy(dtype=float)
        deviation = float(null.std(ddof=1))
        z = (trained - null.mean()) / deviation if deviation > 0 else float("nan")
        rows.append(
            {
                "family": family, "statistic": statistic, "trained": trained, "null_mean": float(null.mean()),
                "null_deviation": deviation, "z": z, "rank": int((null < trained).sum()), "seeds": len(null),
                "outside": bool(trained < null.min() or trained > null.max()),
            }
        )  # fmt: skip
    return pd.DataFrame(rows)


def _cases(files: StudyFiles, only: str) -> Iterator[_Case]:
    """Yield every task and kind of probe, of every model and corpus, whose tables have sums per utterance."""
    for model in files.models:
        for corpus in files.probing:
            names = [f"{model}-{table}-{corpus}" for table in ("importance", "importance_counts")]
            if not all(map(files.has, names)):
                continue
            hop = files.origin(f"importance-{model}-{corpus}").get("frame_hop_ms", float("nan"))
            for curves in task_curves(*map(files.table, names)):
                if curves.task.startswith(only):
                    words = TASKS.get(curves.task, curves.task)
                    words += "" if curves.task == "reconstruction" else f" ({curves.mode})"
                    yield _Case(model, f"{words}, {corpus}", curves, files.links(*names), hop)
