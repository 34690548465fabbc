"""Claims about the heads of a model and the phone boundaries they find, checked on the tables of a study."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pandas as pd

from sat_probe.measures.bootstrap import percentile_interval
from sat_probe.measures.boundaries.score import r_value
from sat_probe.measures.head_metrics import CATEGORIES
from sat_probe.measures.intervals import Number, r_value_difference
from sat_probe.paper.files import StudyFiles
from sat_probe.paper.finding import ACROSS, Finding, Z, difference, finding_from_interval, not_measured

STABLE = 0.95  # share of replicates that must agree for a category to count as sure
REPLICATES = 2000
_COUNTS = ["references", "predictions", "hits"]


def all_categories(files: StudyFiles) -> Iterator[Finding]:
    """Yield the number of heads in the rarest category; its interval follows from the stability of the categories."""
    for model, heads in _heads(files).items():
        counts = {name: category_count(heads, name) for name in CATEGORIES}
        shares = ", ".join(f"{counts[name][0] / len(heads):.0%} {name}" for name in CATEGORIES)
        sure = int((heads["category_stability"] >= STABLE).sum())
        text = f"{shares} of {len(heads)} heads ({sure} surely); heads of the rarest"
        yield finding_from_interval(model, "", text, min(counts.values()), "heads", files.links(f"{model}-heads"))


def most_diagonal_heads(files: StudyFiles) -> Iterator[Finding]:
    """Yield the diagonal heads of the smallest C_num minus those of the best other model."""
    counts = {model: category_count(heads, "diagonal") for model, heads in _heads(files).items()}
    if len(counts) > 1:
        first, *others = counts
        yield _count_difference(files, counts, first, max(others, key=lambda model: counts[model][0]))


def more_global_heads(files: StudyFiles) -> Iterator[Finding]:
    """Yield the global heads of the largest C_num minus those of the smallest."""
    counts = {model: category_count(heads, "global") for model, heads in _heads(files).items()}
    if len(counts) > 1:
        yield _count_difference(files, counts, list(counts)[-1], next(iter(counts)))


def _count_difference(files: StudyFiles, counts: dict[str, Number], more: str, less: str) -> Finding:
    text = ", ".join(f"{model} {count[0]:.0f}" for model, count in counts.items()) + f"; {more} minus {less}"
    number = difference(counts[more], counts[less])
    return finding_from_interval(ACROSS, "", text, number, "heads", files.links(*(f"{one}-heads" for one in counts)))


def category_count(heads: pd.DataFrame, category: str) -> Number:
    """Return the number of heads in a category with an interval: each head changes it as often as in the bootstrap."""
    count = float((heads["category"] == category).sum())
    stability = heads["category_stability"].to_numpy(dtype=float)
    half = Z * float(np.sqrt((stability * (1 - stability)).sum()))
    return count, count - half, count + half


def focused_heads(heads: pd.DataFrame) -> pd.DataFrame:
    """Return the focused diagonal heads: the half of them with the smallest spread."""
    diagonal = _diagonal(heads)
    return diagonal[diagonal["spread_ms"] <= diagonal["spread_ms"].median()]


def off_the_main_diagonal(files: StudyFiles) -> Iterator[Finding]:
    """Yield the smallest distance of a focused diagonal head's offset from the frame itself, minus half a frame."""
    for model, heads in _heads(files).items():
        distances = [_distance(row) for _, row in focused_heads(heads).iterrows()]
        if not distances:
            yield not_measured(model, "a diagonal head")
            continue
        half = files.origin(f"analysis-{model}")["frame_hop_ms"] / 2
        value, low, high = (one - half for one in min(distances))
        beside = sum(low > half for _, low, _ in distances)
        text = f"{beside} of {len(distances)} look aside by over half a frame ({half:.3g} ms); the nearest, less that"
        yield finding_from_interval(model, "", text, (value, low, high), "ms", files.links(f"{model}-heads"))


def offset_grows(files: StudyFiles) -> Iterator[Finding]:
    """Yield the change of the diagonal heads' mean absolute offset from one C_num to the next."""
    choices: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
        "focused diagonal heads": focused_heads, "all diagonal heads": _diagonal,
    }  # fmt: skip
    for case, chosen in choices.items():
        parts = {model: chosen(heads) for model, heads in _heads(files).items()}
        means = {model: _mean_distance(part) for model, part in parts.items() if len(part)}
        if len(means) < 2:
            continue
        names, steps = list(means), [difference(after, before) for before, after in pairwise(means.values())]
        text = ", ".join(f"{model} {mean[0]:.0f} ms" for model, mean in means.items())
        text += f"; the smallest step of {len(steps)}" if len(steps) > 1 else f"; {names[1]} minus {names[0]}"
        file = files.links(*(f"{model}-heads" for model in means))
        yield finding_from_interval(ACROSS, case, text, min(steps), "ms", file)


def vertical_heads_choose_phones(files: StudyFiles) -> Iterator[Finding]:
    """Yield the strongest focus or neglect of a phone (|C|, eq. 6) of vertical heads minus other heads (resampled)."""
    for model, heads in _heads(files).items():
        name = f"{model}-concentration"
        if not files.has(name):
            yield not_measured(model, "the relation map")
            continue
        strongest = files.table(name).groupby(["layer", "head"])["concentration"].agg(_extreme)
        category = heads.set_index(["layer", "head"])["category"].reindex(strongest.index)
        vertical, others = strongest[category == "vertical"], strongest[category != "vertical"].abs()
        if vertical.empty or others.empty:
            yield not_measured(model, "a vertical head")
            continue
        focus, vertical = int((vertical > 0).sum()), vertical.abs()
        text = (
            f"vertical {vertical.mean():.2f} ({focus} of {len(vertical)} focus, the others neglect), other heads "
            f"{others.mean():.2f}; difference"
        )
        number = _means_difference(vertical, others)
        yield finding_from_interval(model, "", text, number, "", files.links(name))


def attention_beats_mfcc(files: StudyFiles) -> Iterator[Finding]:
    """Yield the R-value of the head chosen on the validation speakers minus that of MFCC, paired over utterances."""
    for setting in files.settings:
        for model in files.models:
            name = f"{model}-{setting}-segmentation_counts"
            if not files.has(name):
                continue
            counts = files.table(name)
            attention, mfcc = (source_counts(counts, kind) for kind in ("attention", "mfcc"))
            place = counts[counts["source"] == "attention"].iloc[0]
            text = (
                f"attention (layer {place['layer']:.0f}, head {place['head']:.0f}) {_percent(attention)}, "
                f"MFCC {_percent(mfcc)}; difference"
            )
            number = points_difference(attention, mfcc)
            yield finding_from_interval(model, setting_words(setting), text, number, "points", files.links(name))


def falls_with_c_num(files: StudyFiles) -> Iterator[Finding]:
    """Yield the smallest fall of the R-value from one C_num to the next, paired over utterances."""
    for setting in files.settings:
        names = {model: f"{model}-{setting}-segmentation_counts" for model in _by_c_num(files)}
        names = {model: name for model, name in names.items() if files.has(name)}
        if len(names) < 2:
            continue
        counts = {model: source_counts(files.table(name), "attention") for model, name in names.items()}
        falls = {pair: points_difference(*(counts[model] for model in pair)) for pair in pairwise(counts)}
        least = min(falls, key=lambda pair: falls[pair][0])
        text = ", ".join(f"{model} {_percent(own)}" for model, own in counts.items())
        text += f"; the smallest fall, {least[0]} minus {least[1]}"
        file = files.links(*names.values())
        yield finding_from_interval(ACROSS, setting_words(setting), text, falls[least], "points", file)


def setting_words(setting: str) -> str:
    """Return "rows-and-columns-3" as "rows and columns, 3 shifts"."""
    features, _, shifts = setting.rpartition("-")
    return f"{features.replace('-', ' ')}, {shifts} shift{'s' if shifts != '1' else ''}"


def source_counts(counts: pd.DataFrame, source: str) -> np.ndarray:
    """Return (utterances, 3) references, predictions and hits of a source, sorted by utterance id."""
    return counts[counts["source"] == source].sort_values("utterance")[_COUNTS].to_numpy()


def points_difference(first: np.ndarray, second: np.ndarray) -> Number:
    """Return the paired difference of two R-values with its interval, in points of a per cent."""
    value, low, high = r_value_difference(first, second)
    return 100 * value, 100 * low, 100 * high


def _percent(counts: np.ndarray) -> str:
    return f"{100 * float(r_value(*counts.sum(axis=0))):.2f}"


def _by_c_num(files: StudyFiles) -> list[str]:
    return sorted(files.models, key=files.models.__getitem__)


def _heads(files: StudyFiles) -> dict[str, pd.DataFrame]:
    """Return the heads of each analysed model, smallest C_num first."""
    return {model: files.table(f"{model}-heads") for model in _by_c_num(files) if files.has(f"{model}-heads")}


def _diagonal(heads: pd.DataFrame) -> pd.DataFrame:
    return heads[heads["category"] == "diagonal"]


def _distance(head: pd.Series) -> Number:
    """Return the |offset| of a head (ms) with its interval."""
    ends = abs(head["mean_offset_ms_low"]), abs(head["mean_offset_ms_high"])
    around_zero = head["mean_offset_ms_low"] <= 0 <= head["mean_offset_ms_high"]
    return abs(head["mean_offset_ms"]), 0.0 if around_zero else min(ends), max(ends)


def _mean_distance(heads: pd.DataFrame) -> Number:
    """Return the mean |offset| (ms), with the widest possible interval: all heads err in the same direction."""
    value, low, high = np.mean([_distance(row) for _, row in heads.iterrows()], axis=0)
    return float(value), float(low), float(high)


def _extreme(values: pd.Series) -> float:
    return float(values.iloc[int(np.nanargmax(np.abs(values.to_numpy(dtype=float))))])


def _means_difference(first: pd.Series, second: pd.Series) -> Number:
    """Return the difference of two means with a percentile interval over resampled members of both."""
    rng = np.random.default_rng(0)

    def means(values: pd.Series) -> np.ndarray:
        return rng.choice(values.to_numpy(dtype=float), (REPLICATES, len(values))).mean(axis=1)

    low, high = percentile_interval(means(first) - means(second))
    return float(first.mean() - second.mean()), float(low), float(high)
