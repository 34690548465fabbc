"""Claims of the paper about categories, offsets and relation maps, checked on the tables of heads."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from sat_probe.measures.bootstrap import percentile_interval
from sat_probe.measures.head_metrics import CATEGORIES
from sat_probe.paper.files import StudyFiles
from sat_probe.paper.finding import ACROSS, Finding, apart, found, missing

Z = 1.96  # of a 95 % interval
STABLE = 0.95  # share of replicates that agree on a category that is sure
REPLICATES = 2000


def all_categories(files: StudyFiles) -> list[Finding]:
    """Heads of the rarest category; its interval from how sure each head's category is."""
    found_ = []
    for model, heads, file in _heads(files):
        counts = {name: category_count(heads, name) for name in CATEGORIES}
        shares = ", ".join(f"{counts[name][0] / len(heads):.0%} {name}" for name in CATEGORIES)
        sure = int((heads["category_stability"] >= STABLE).sum())
        rarest = min(counts.values())
        text = f"{shares} of {len(heads)} heads ({sure} surely); heads of the rarest"
        found_.append(found(model, "", text, rarest, "heads", file))
    return found_ or [missing(ACROSS, "no model")]


def most_diagonal_heads(files: StudyFiles) -> list[Finding]:
    """Diagonal heads of the smallest C_num minus those of the model that has the most otherwise."""
    return _first_against_others(files, "diagonal", 1)


def more_global_heads(files: StudyFiles) -> list[Finding]:
    """Global heads of the largest C_num minus those of the smallest."""
    return _first_against_others(files, "global", -1)


def _first_against_others(files: StudyFiles, category: str, sign: int) -> list[Finding]:
    counts = {model: category_count(heads, category) for model, heads, _ in _heads(files)}
    file = ", ".join(f"tables/{model}-heads.csv" for model in counts)
    if len(counts) < 2:
        return [missing(ACROSS, "a second model")]
    first, *others = counts
    rival = max(others, key=lambda model: counts[model][0]) if sign > 0 else others[-1]
    low, high = (first, rival) if sign > 0 else (rival, first)
    text = ", ".join(f"{model} {count[0]:.0f}" for model, count in counts.items())
    return [found(ACROSS, "", f"{text}; {low} minus {high}", apart(counts[low], counts[high]), "heads", file)]


def category_count(heads: pd.DataFrame, category: str) -> tuple[float, float, float]:
    """How many heads are of a category, with an interval: each head changes its mind as often as in the bootstrap."""
    count = float((heads["category"] == category).sum())
    stability = heads["category_stability"].to_numpy(dtype=float)
    half = Z * float(np.sqrt((stability * (1 - stability)).sum()))
    return count, count - half, count + half


def focused_heads(heads: pd.DataFrame) -> pd.DataFrame:
    """Diagonal heads that look at few frames: the half of them with the smallest spread."""
    diagonal = heads[heads["category"] == "diagonal"]
    return diagonal[diagonal["spread_ms"] <= diagonal["spread_ms"].median()]


def off_the_main_diagonal(files: StudyFiles) -> list[Finding]:
    """Focused diagonal heads: the smallest distance of their offset from the frame itself, less half a frame."""
    findings = []
    for model, heads, file in _heads(files):
        focused = focused_heads(heads)
        if focused.empty:
            findings.append(missing(model, "a diagonal head"))
            continue
        half = files.origin(f"analysis-{model}")["frame_hop_ms"] / 2
        distances = [_distance(row) for _, row in focused.iterrows()]
        nearest = min(distances)
        beside = sum(low > half for _, low, _ in distances)
        text = f"{beside} of {len(focused)} look aside by over half a frame ({half:.3g} ms); the nearest, less that"
        number = nearest[0] - half, nearest[1] - half, nearest[2] - half
        findings.append(found(model, "", text, number, "ms", file))
    return findings or [missing(ACROSS, "no model")]


def offset_grows(files: StudyFiles) -> list[Finding]:
    """Mean distance of the offset of diagonal heads, from one C_num to the next."""
    findings = []
    for case, chosen in (("focused diagonal heads", focused_heads), ("all diagonal heads", _diagonal)):
        means = {
            model: _mean_distance(part) for model, heads, _ in _heads(files) if len(part := chosen(heads))
        }
        file = ", ".join(f"tables/{model}-heads.csv" for model in means)
        if len(means) < 2:
            return [missing(ACROSS, "a second model with diagonal heads")]
        text = ", ".join(f"{model} {mean[0]:.0f} ms" for model, mean in means.items())
        steps = [apart(means[after], means[before]) for before, after in pairwise(means)]
        names = list(means)
        findings.append(
            found(ACROSS, case, f"{text}; the smallest step of {len(steps)}", min(steps), "ms", file)
            if len(names) > 2
            else found(ACROSS, case, f"{text}; {names[1]} minus {names[0]}", steps[0], "ms", file)
        )
    return findings


def vertical_heads_choose_phones(files: StudyFiles) -> list[Finding]:
    """Largest focus or neglect of a phone (|C|, eq. 6), vertical heads minus the others; heads are resampled."""
    findings = []
    for model, heads, _ in _heads(files):
        name = f"{model}-concentration"
        file = f"tables/{name}.csv"
        if not files.has(name):
            findings.append(missing(model, "the relation map"))
            continue
        extremes = (
            files.table(name)
            .groupby(["layer", "head"])["concentration"]
            .agg(lambda values: np.nanmax(np.abs(values)))
        )
        category = heads.set_index(["layer", "head"])["category"].reindex(extremes.index)
        vertical, others = extremes[category == "vertical"], extremes[category != "vertical"]
        if vertical.empty or others.empty:
            findings.append(missing(model, "a vertical head"))
            continue
        signed = files.table(name)
        focus = int(
            (signed.groupby(["layer", "head"])["concentration"].agg(_extreme).loc[vertical.index] > 0).sum()
        )
        text = (
            f"vertical {vertical.mean():.2f} ({focus} of {len(vertical)} focus, the others neglect), other heads "
            f"{others.mean():.2f}; difference"
        )
        findings.append(found(model, "", text, _means_apart(vertical, others), "", file))
    return findings or [missing(ACROSS, "no model")]


def _heads(files: StudyFiles) -> list[tuple[str, pd.DataFrame, str]]:
    """Name, heads and file of each model that was analysed, smallest C_num first."""
    known = [
        model for model in sorted(files.models, key=files.models.__getitem__) if files.has(f"{model}-heads")
    ]
    return [(model, files.table(f"{model}-heads"), f"tables/{model}-heads.csv") for model in known]


def _diagonal(heads: pd.DataFrame) -> pd.DataFrame:
    return heads[heads["category"] == "diagonal"]


def _distance(head: pd.Series) -> tuple[float, float, float]:
    """|offset| of a head (ms), with its interval."""
    ends = abs(head["mean_offset_ms_low"]), abs(head["mean_offset_ms_high"])
    around_zero = head["mean_offset_ms_low"] <= 0 <= head["mean_offset_ms_high"]
    return abs(head["mean_offset_ms"]), 0.0 if around_zero else min(ends), max(ends)


def _mean_distance(heads: pd.DataFrame) -> tuple[float, float, float]:
    """Mean of |offset| (ms); its interval as if all heads erred together, which is the widest it can be."""
    value, low, high = np.mean([_distance(row) for _, row in heads.iterrows()], axis=0)
    return float(value), float(low), float(high)


def _extreme(values: pd.Series) -> float:
    return float(values.iloc[int(np.nanargmax(np.abs(values.to_numpy(dtype=float))))])


def _means_apart(first: pd.Series, second: pd.Series) -> tuple[float, float, float]:
    """Difference of two means, with a percentile interval over resampled members of both."""
    rng = np.random.default_rng(0)

    def means(values: pd.Series) -> np.ndarray:
        return rng.choice(values.to_numpy(dtype=float), (REPLICATES, len(values))).mean(axis=1)

    low, high = percentile_interval(means(first) - means(second))
    return float(first.mean() - second.mean()), float(low), float(high)
