"""Claims about phone boundaries from attention, checked on counts per utterance of the test speakers."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd

from sat_probe.measures.boundaries.score import r_value
from sat_probe.measures.intervals import r_value_difference
from sat_probe.paper.files import StudyFiles
from sat_probe.paper.finding import ACROSS, Finding, finding_from_interval, not_measured

_COUNTS = ["references", "predictions", "hits"]


def setting_words(setting: str) -> str:
    """Return "rows-and-columns-3" as "rows and columns, 3 shifts"."""
    features, _, shifts = setting.rpartition("-")
    return f"{features.replace('-', ' ')}, {shifts} shift{'s' if shifts != '1' else ''}"


def attention_beats_mfcc(files: StudyFiles) -> list[Finding]:
    """Return the R-value of the head chosen on the validation speakers minus that of MFCC, paired over utterances."""
    findings = []
    for setting in files.settings:
        for model in files.models:
            if files.has(f"{model}-{setting}-segmentation_counts"):
                findings.append(against_mfcc(files, model, setting))
    return findings or [not_measured(ACROSS, "segmentation")]


def against_mfcc(files: StudyFiles, model: str, setting: str) -> Finding:
    """Return the finding about attention and MFCC for one model and setting."""
    name = f"{model}-{setting}-segmentation_counts"
    file = f"tables/{name}.csv"
    counts = files.table(name)
    attention, mfcc = (source_counts(counts, kind) for kind in ("attention", "mfcc"))
    place = counts[counts["source"] == "attention"].iloc[0]
    text = (
        f"attention (layer {place['layer']:.0f}, head {place['head']:.0f}) {percent(attention)}, MFCC {percent(mfcc)}; "
        "difference"
    )
    number = tuple(100 * part for part in r_value_difference(attention, mfcc))
    return finding_from_interval(model, setting_words(setting), text, number, "points", file)  # type: ignore[arg-type]


def falls_with_c_num(files: StudyFiles) -> list[Finding]:
    """Return the smallest fall of the R-value from one C_num to the next, paired over utterances."""
    findings = []
    for setting in files.settings:
        names = {model: f"{model}-{setting}-segmentation_counts" for model in files.models}
        known = [
            model for model in sorted(files.models, key=files.models.__getitem__) if files.has(names[model])
        ]
        file = ", ".join(f"tables/{names[model]}.csv" for model in known)
        if len(known) < 2:
            continue
        counts = {model: source_counts(files.table(names[model]), "attention") for model in known}
        falls = {
            (before, after): r_value_difference(counts[before], counts[after])
            for before, after in pairwise(known)
        }
        least = min(falls, key=lambda pair: falls[pair][0])
        text = ", ".join(f"{model} {percent(counts[model])}" for model in known)
        text += f"; the smallest fall, {least[0]} minus {least[1]}"
        number = tuple(100 * part for part in falls[least])
        findings.append(finding_from_interval(ACROSS, setting_words(setting), text, number, "points", file))  # type: ignore[arg-type]
    return findings or [not_measured(ACROSS, "segmentation of a second model")]


def source_counts(counts: pd.DataFrame, source: str) -> np.ndarray:
    """Return (utterances, 3) references, predictions and hits of a source, sorted by utterance id."""
    return counts[counts["source"] == source].sort_values("utterance")[_COUNTS].to_numpy()


def percent(counts: np.ndarray) -> str:
    """Return the R-value of summed counts, in per cent."""
    return f"{100 * float(r_value(*counts.sum(axis=0))):.2f}"
