"""The example of a report, segmented by one of its heads as the study did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sat_probe.measures.boundaries.attention_features import attention_features, upsampled_map
from sat_probe.measures.boundaries.kernel_gram import curve_minima, distances, filtered_matrix, score_curve
from sat_probe.reports.example import example_weights


@dataclass(frozen=True, slots=True)
class SegmentedExample:
    """One head's way from its map to boundaries: times (frames,) s, matrices (frames, frames), predictions s."""

    times: np.ndarray
    weights: np.ndarray
    similarity: np.ndarray
    filtered: np.ndarray
    curve: np.ndarray
    predictions: np.ndarray


def segment_example(
    example: dict[str, Any], layer: int, head: int, alpha: float, beta: float, provenance: dict[str, Any]
) -> SegmentedExample:
    """Segment the example of a report by one head, as the study did whose provenance is given."""
    factor = provenance.get("upsampling_factor", 1)
    weights = upsampled_map(example_weights(example, layer, head), factor)
    between = distances(attention_features(weights, provenance.get("attention_features", "rows")))
    centres = example["times"]
    hop = (centres[1] - centres[0]) / factor
    times = centres[0] + hop * (np.arange(len(weights)) - (factor - 1) / 2)
    similarity = similarity_matrix_of(between, alpha)
    filtered = filtered_matrix(similarity, beta)
    curve = score_curve(filtered)
    return SegmentedExample(times, weights, similarity, filtered, curve, times[0] + hop * curve_minima(curve))


def similarity_matrix_of(between: np.ndarray, alpha: float) -> np.ndarray:
    """Similarities from distances (frames, frames), alpha in units of their mean; all 1 where no frame differs."""
    return np.exp(-between / (alpha * (between.mean() or 1.0)))
