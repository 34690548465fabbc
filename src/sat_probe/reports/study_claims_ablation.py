"""Claims of the paper about pruning, spans, speed and what training changes, checked on curves and repeated timings."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sat_probe.reports.study_files import StudyFiles
from sat_probe.reports.study_finding import ACROSS, Finding, apart, decided, found, missing

Number = tuple[float, float, float]
TASKS = {
    "reconstruction": "reconstruction", "phones_hidden": "phones", "speakers_frame": "speakers, frame",
    "speakers_utterance": "speakers, utterance",
}  # fmt: skip
TOLERATED = 0.01  # accuracy that may be lost where the paper says that nothing is, and share of L1 likewise


def diagonal_over_vertical(files: StudyFiles) -> list[Finding]:
    """Harm of the first step of pruning, and of all steps: most diagonal heads minus most vertical."""
    return _orders_apart(files, "diagonality", "verticality", first=True)


def vertical_over_global(files: StudyFiles) -> list[Finding]:
    """Harm of the first step of pruning, and of all steps: most vertical heads minus most global."""
    return _orders_apart(files, "verticality", "globalness", first=True)


def globalness_over_weight(files: StudyFiles) -> list[Finding]:
    """Harm of two thirds of the heads, and of all steps, by weight minus by globalness, on speakers."""
    return _orders_apart(files, "weight", "globalness", first=False, only="speakers")


def _orders_apart(files: StudyFiles, worse: str, better: str, first: bool, only: str = "") -> list[Finding]:
    findings = []
    for model, table, file in _curves(files):
        for case, part in _tasks(table, only):
            heads = part[part["kind"] == "heads"]
            if not {worse, better} <= set(heads["ranking"]):
                continue
            counts = sorted(heads["removed"].unique())
            count = counts[1] if first else counts[round(2 / 3 * (len(counts) - 1))]
            for told, chosen in ((f"{count} heads", [count]), ("mean over the curve", counts[1:-1])):
                left, right = (_mean_point(heads, ranking, chosen) for ranking in (worse, better))
                text = (
                    f"{told}: by {worse} {left[0]:.3f}, by {better} {right[0]:.3f}; harm, first minus second"
                )
                number = _harm(part, apart(left, right))
                findings.append(found(model, case, text, number, _unit(part), file))
    return findings or [missing(ACROSS, "importance")]


def half_can_go(files: StudyFiles) -> list[Finding]:
    """Loss of half the heads by globalness: tolerated less lost."""
    findings = []
    for model, table, file in _curves(files):
        for case, part in _tasks(table, ""):
            heads = part[(part["kind"] == "heads") & (part["ranking"] == "globalness")]
            if heads.empty:
                continue
            counts = sorted(heads["removed"].unique())
            half = counts[(len(counts) - 1) // 2]
            intact, without = _point(heads, "globalness", 0), _point(heads, "globalness", half)
            harm = _harm(part, apart(without, intact))
            tolerated = TOLERATED * (1 if _unit(part) == "accuracy" else intact[0])
            room = tolerated - harm[0], tolerated - harm[2], tolerated - harm[1]
            holds = harm[0] <= tolerated
            verdict = "holds" if holds else ("does not hold" if harm[1] > 0 else "not testable here")
            text = f"intact {intact[0]:.3f}, without {half} heads {without[0]:.3f}; {tolerated:.3f} tolerated less lost"
            findings.append(Finding(model, case, text, *room, _unit(part), verdict, file))  # type: ignore[arg-type]
    return findings or [missing(ACROSS, "importance")]


def near_span_helps_phones(files: StudyFiles) -> list[Finding]:
    """Phones told with a span of 15 to 25 frames, minus with all."""
    findings = []
    for model, table, file in _curves(files):
        for case, part in _tasks(table, "phones"):
            spans = part[part["kind"] == "span"]
            near = spans[spans["span"].between(15, 25)]
            if near.empty:
                continue
            full = _numbers(spans[spans["span"].isna()].iloc[0])
            mean = tuple(float(near[name].mean()) for name in ("value", "value_low", "value_high"))
            tried = " and ".join(f"{span:g}" for span in sorted(near["span"]))
            hop = files.origin(f"importance-{model}").get("frame_hop_ms", float("nan"))
            text = (
                f"all {full[0]:.3f}, mean of spans {tried} (frames of {hop:.4g} ms) {mean[0]:.3f}; difference"
            )
            findings.append(found(model, case, text, apart(mean, full), "accuracy", file))  # type: ignore[arg-type]
    return findings or [missing(ACROSS, "importance")]


def removal_is_faster(files: StudyFiles) -> list[Finding]:
    """Time saved by a removal, as share of the intact model's: the median of repeats in turn, and all of them."""
    findings = []
    for model in files.models:
        name, file = f"{model}-speed", f"tables/{model}-speed.csv"
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
            text = (
                f"{heads}{share:.2f} of the multiply-adds; median time saved, least to most of {len(saved)}"
            )
            number = float(np.median(saved)), float(saved.min()), float(saved.max())
            findings.append(found(model, version, text, number, "share", file))
    return findings or [missing(ACROSS, "speed")]


def far_from_untrained(files: StudyFiles) -> list[Finding]:
    """How many statistics of the heads lie outside those of all untrained models, less what chance alone would give."""
    file = "tables/control.csv"
    if not files.has("control"):
        return [missing(ACROSS, "the control")]
    findings = []
    for family, table in null_distances(files.table("control")).groupby("family", sort=False):
        outside, count, seeds = int(table["outside"].sum()), len(table), int(table["seeds"].iloc[0])
        # each statistic is below or above all of n random ones by chance 2 times in n + 1
        expected = 2 * count / (seeds + 1)
        text = (
            f"{outside} of {count} statistics outside all {seeds} untrained models (by chance {expected:.1f}), median "
            f"distance {table['z'].abs().median():.1f} standard deviations; outside less by chance"
        )
        half = 1.96 * float(np.sqrt(expected * (1 - 2 / (seeds + 1))))
        number = outside - expected, outside - expected - half, outside - expected + half
        findings.append(Finding(str(family), "", text, *number, "statistics", decided(*number[1:]), file))
    return findings


def null_distances(control: pd.DataFrame) -> pd.DataFrame:
    """Each statistic of each trained model against the untrained ones of its shape.

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


def _curves(files: StudyFiles) -> list[tuple[str, pd.DataFrame, str]]:
    names = {model: f"{model}-importance" for model in files.models}
    return [
        (model, files.table(name), f"tables/{name}.csv") for model, name in names.items() if files.has(name)
    ]


def _tasks(table: pd.DataFrame, only: str) -> list[tuple[str, pd.DataFrame]]:
    """Each task and kind of probe, as it is called, with its rows."""
    return [
        (TASKS.get(str(task), str(task)) + ("" if task == "reconstruction" else f" ({mode})"), part)
        for (task, mode), part in table.groupby(["task", "mode"], sort=False)
        if str(task).startswith(only)
    ]


def _numbers(row: pd.Series) -> Number:
    return float(row["value"]), float(row["value_low"]), float(row["value_high"])


def _point(heads: pd.DataFrame, ranking: str, removed: int) -> Number:
    return _numbers(heads[(heads["ranking"] == ranking) & (heads["removed"] == removed)].iloc[0])


def _mean_point(heads: pd.DataFrame, ranking: str, removed: list[int]) -> Number:
    """Mean over points of a curve; its interval as if all erred together, which is the widest it can be."""
    value, low, high = np.mean([_point(heads, ranking, count) for count in removed], axis=0)
    return float(value), float(low), float(high)


def _unit(part: pd.DataFrame) -> str:
    return str(part["metric"].iloc[0]).replace("l1", "L1")


def _harm(part: pd.DataFrame, change: Number) -> Number:
    """A change of a score as harm: more L1, or less accuracy."""
    value, low, high = change
    return change if _unit(part) == "L1" else (-value, -high, -low)
