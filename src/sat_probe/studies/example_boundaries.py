"""The example of a report, segmented as the study of segmentation did: boundaries of every head, steps of one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_probe.measures.boundaries.attention_features import attention_features, upsampled_map
from sat_probe.measures.boundaries.kernel_gram import curve_minima, distances, filtered_matrix, score_curve
from sat_probe.reports.example import Example, Head, SegmentedHead

SHORTEST = 3  # frames below which there is no inner minimum to find


def segmented_example(
    example: Example | None, table: pd.DataFrame, described: Mapping[str, Any]
) -> Example | None:
    """The example with the boundaries that every head predicts, and with the steps of the best head.

    Args:
        example: of a report; None is returned as it is.
        table: ``segmentation``, best first, with the tuned ``alpha`` and ``beta`` of each head.
        described: provenance of the study: ``upsampling_factor``, ``attention_features``.
    """
    if example is None:
        return None
    boundaries: dict[Head, NDArray[np.float64]] = {}
    best = None
    for row in table[table["source"] == "attention"].to_dict("records"):
        head = int(row["layer"]), int(row["head"])
        if len(example.times) >= SHORTEST and np.isfinite(example.scale[head]):
            steps, boundaries[head] = _segment(example, head, row["alpha"], row["beta"], described)
            best = best or steps
    return dataclasses.replace(example, boundaries=boundaries, segmented=best)


def _segment(
    example: Example, head: Head, alpha: float, beta: float, described: Mapping[str, Any]
) -> tuple[SegmentedHead, NDArray[np.float64]]:
    """The steps from the map of a head to its boundaries, and the boundaries (s); section 5 of the paper."""
    factor = described.get("upsampling_factor", 1)
    weights = upsampled_map(example.weights(*head), factor)
    between = distances(attention_features(weights, described.get("attention_features", "rows")))
    centres = example.times
    hop = (centres[1] - centres[0]) / factor
    times = centres[0] + hop * (np.arange(len(weights)) - (factor - 1) / 2)
    # alpha is in units of the mean distance, which is 0 if no two frames differ
    similarity = np.exp(-between / (alpha * (between.mean() or 1.0)))
    filtered = filtered_matrix(similarity, beta)
    curve = score_curve(filtered)
    steps = SegmentedHead(head, times, similarity.astype(np.float16), filtered, curve)
    return steps, times[0] + hop * curve_minima(curve)
