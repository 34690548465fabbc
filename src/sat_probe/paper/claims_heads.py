"""Claims about categories, offsets and relation maps, checked on the tables of heads."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from sat_probe.measures.bootstrap import percentile_interval
from sat_probe.measures.head_metrics import CATEGORIES
from sat_probe.paper.files import StudyFiles
from sat_probe.paper.finding import ACROSS, Finding, Z, difference, finding_from_interval, not_measured

STABLE = 0.95  # share of replicates that must agree for a category to count as sure
REPLICATES = 2000


def all_categories(files: StudyFiles) -> list[Finding]:
    """Return the number of heads in the rarest category; its interval follows from the stability of the categories."""
    findings = []
    for model, heads, file in _heads(files):
        counts = {name: category_count(heads, name) for name in CATEGORIES}
        shares = ", ".join(f"{counts[name][0] / len(heads):.0%} {name}" for name in CATEGORIES)
        sure = int((heads["category_stability"] >= STABLE).sum())
        rarest = min(counts.values())
        text = f"{shares} of {len(heads)} heads ({sure} surely); heads of the rarest"
        findings.append(finding_from_interval(model, "", text, rarest, "heads", file))
    return findings or [not_measured(ACROSS, "no model")]


def most_diagonal_heads(files: StudyFiles) -> list[Finding]:
    """Return the diagonal heads of the smallest C_num minus those of the best other model."""
    return _first_against_others(files, "diagonal", 1)


def more_global_heads(files: StudyFiles) -> list[Finding]:
    """Return the global heads of the largest C_num minus those of the smallest."""
    return _first_against_others(files, "global", -1)


def _first_against_others(files: StudyFiles, category: str, sign: int) -> list[Finding]:
    counts = {model: category_count(heads, category) for model, heads, _ in _heads(files)}
    file = ", ".join(f"tables/{model}-heads.csv" for model in counts)
    if len(counts) < 2:
        return [not_measured(ACROSS, "a second model")]
    first, *others = counts
    rival = max(others, key=lambda model: counts[model][0]) if sign > 0 else others[-1]
    low, high = (first, rival) if sign > 0 else (rival, first)
    text = ", ".join(f"{model} {count[0]:.0f}" for model, count in counts.items())
    text, number = f"{text}; {low} minus {high}", difference(counts[low], counts[high])
    return [finding_from_interval(ACROSS, "", text, number, "heads", file)]


def category_count(heads: pd.DataFrame, category: str) -> tuple[float, float, float]:
    """Return the number of heads in a category with an interval: each head changes it as often as in the bootstrap."""
    count = float((heads["category"] == category).sum())
    stability = heads["category_stability"].to_numpy(dtype=float)
    half = Z * float(np.sqrt((stability * (1 - stability)).sum()))
    return count, count - half, count + half


def focused_heads(heads: pd.DataFrame) -> pd.DataFrame:
    """Return the focused diagonal heads: the half of them with the smallest spread."""
    diagonal = heads[heads["category"] == "diagonal"]
    return diagonal[diagonal["spread_ms"] <= diagonal["spread_ms"].median()]


def off_the_main_diagonal(files: StudyFiles) -> list[Finding]:
    """Return the smallest distance of a focused diagonal head's offset from the frame itself, minus half a frame."""
    findings = []
    for model, heads, file in _heads(files):
        focused = focused_heads(heads)
        if focused.empty:
            findings.append(not_measured(model, "a diagonal head"))
            continue
        half = files.origin(f"analysis-{model}")["frame_hop_ms"] / 2
        distances = [_distance(row) for _, row in focused.iterrows()]
        nearest = min(distances)
        beside = sum(low > half for _, low, _ in distances)
        text = f"{beside} of {len(focused)} look aside by over half a frame ({half:.3g} ms); the nearest, less that"
        number = nearest[0] - half, nearest[1] - half, nearest[2] - half
        findings.append(finding_from_interval(model, "", text, number, "ms", file))
    return findings or [not_measured(ACROSS, "no model")]


def offset_grows(files: StudyFiles) -> list[Finding]:
    """Return the change of the diagonal heads' mean absolute offset from one C_num to the next."""
    findings = []
    for case, chosen in (("focused diagonal heads", focused_heads), ("all diagonal heads", _diagonal)):
        means = {
            model: _mean_distance(part) for model, heads, _ in _heads(files) if len(part := chosen(heads))
        }
        file = ", ".join(f"tables/{model}-heads.csv" for model in means)
        if len(means) < 2:
            return [not_measured(ACROSS, "a second model with diagonal heads")]
        text = ", ".join(f"{model} {mean[0]:.0f} ms" for model, mean in means.items())
        steps = [difference(means[after], means[before]) for before, after in pairwise(means)]
        names = list(means)
        findings.append(
            finding_from_interval(
                ACROSS, case, f"{text}; the smallest step of {len(steps)}", min(steps), "ms", file
            )
            if len(names) > 2
            else finding_from_interval(
                ACROSS, case, f"{text}; {names[1]} minus {names[0]}", steps[0], "ms", file
            )
        )
    return findings


def vertical_heads_choose_phones(files: StudyFiles) -> list[Finding]:
    """Return the strongest focus or neglect of a phone (|C|, eq. 6) of vertical heads minus other heads (resampled)."""
    findings = []
    for model, heads, _ in _heads(files):
        name = f"{model}-concentration"
        file = f"tables/{name}.csv"
        if not files.has(name):
            findings.append(not_measured(model, "the relation map"))
            continue
        extremes = (
            files.table(name)
            .groupby(["layer", "head"])["concentration"]
            .agg(lambda values: np.nanmax(np.abs(values)))
        )
        category = heads.set_index(["layer", "head"])["category"].reindex(extremes.index)
        vertical, others = extremes[category == "vertical"], extremes[category != "vertical"]
        if vertical.empty or others.empty:
            findings.append(not_measured(model, "a vertical head"))
            continue
        signed = files.table(name)
        focus = int(
            (signed.groupby(["layer", "head"])["concentration"].agg(_extreme).loc[vertical.index] > 0).sum()
        )
        text = (
            f"vertical {vertical.mean():.2f} ({focus} of {len(vertical)} focus, the others neglect), other heads "
            f"{others.mean():.2f}; difference"
        )
        findings.append(finding_from_interval(model, "", text, _means_difference(vertical, others), "", file))
    return findings or [not_measured(ACROSS, "no model")]


def _heads(files: StudyFiles) -> list[tuple[str, pd.DataFrame, str]]:
    """Return name, heads and file of each analysed model, smallest C_num first."""
    known = [
        model for model in sorted(files.models, key=files.models.__getitem__) if files.has(f"{model}-heads")
    ]
    return [(model, files.table(f"{model}-heads"), f"tables/{model}-heads.csv") for model in known]


def _diagonal(heads: pd.DataFrame) -> pd.DataFrame:
    return heads[heads["category"] == "diagonal"]


def _distance(head: pd.Series) -> tuple[float, float, float]:
    """Return the |offset| of a head (ms) with its interval."""
    ends = abs(head["mean_offset_ms_low"]), abs(head["mean_offset_ms_high"])
    around_zero = head["mean_offset_ms_low"] <= 0 <= head["mean_offset_ms_high"]
    return abs(head["mean_offset_ms"]), 0.0 if around_zero else min(ends), max(ends)


def _mean_distance(heads: pd.DataFrame) -> tuple[float, float, float]:
    """Return the mean |offset| (ms), with the widest possible interval: all heads err in the same direction."""
    value, low, high = np.mean([_distance(row) for _, row in heads.iterrows()], axis=0)
    return float(value), float(low), float(high)


def _extreme(values: pd.Series) -> float:
    return float(values.iloc[int(np.nanargmax(np.abs(values.to_numpy(dtype=float))))])


def _means_difference(first: pd.Series, second: pd.Series) -> tuple[float, float, float]:
    """Return the difference of two means with a percentile interval over resampled members of both."""
    rng = np.random.default_rng(0)

    def means(values: pd.Series) -> np.ndarray:
        return rng.choice(values.to_numpy(dtype=float), (REPLICATES, len(values))).mean(axis=1)

    low, high = percentile_interval(means(first) - means(second))
    return float(first.mean() - second.mean()), float(low), float(high)
