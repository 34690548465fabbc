"""What kind of head is it? Globalness, verticality, diagonality (Yang et al. 2020, section 4), and categories by rank.

Formulas on sums over the queries of one utterance; every metric is computed per utterance and then averaged over
utterances,
as the paper does. The accumulator that makes the sums is in ``head_accumulator.py``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CATEGORIES = ("global", "vertical", "diagonal")
RANKED = ("globalness", "verticality", "diagonality")  # the metric behind each category
METRICS = (
    *RANKED,
    "max_weight",
    "mean_offset",
    "spread",
    "globalness_per_log_length",
    "verticality_per_log_length",
    "sink_share",
)
SINK_THRESHOLD = (
    0.3  # a key that draws more than this share of all attention is an attention sink (Gu et al. 2025)
)


def globalness(row_entropy_sum: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Eq. 1: mean entropy of the rows, in nats; ``row_entropy_sum`` sums it over the T queries."""
    return row_entropy_sum / length


def verticality(column_sums: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Eq. 2: minus the entropy of the mean row, in nats; ``column_sums`` is (..., T), attention summed over queries."""
    mean_row = column_sums / length
    return np.where(mean_row > 0, mean_row * np.log(np.where(mean_row > 0, mean_row, 1.0)), 0.0).sum(-1)


def diagonality(offset_sums: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Eq. 3: minus the mean distance |query - key| under the attention, as a share of T.

    ``offset_sums`` is (..., 2 T - 1): attention summed over all pairs with key - query = -(T - 1) ... T - 1.
    """
    return -(offset_sums * np.abs(_offsets(length))).sum(-1) / length**2


def mean_offset(offset_sums: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Mean of key - query under the attention, in frames: negative looks back."""
    return (offset_sums * _offsets(length)).sum(-1) / length


def spread(offset_sums: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Standard deviation of key - query under the attention, in frames."""
    offsets = _offsets(length)
    centred = offsets - mean_offset(offset_sums, length)[..., None]
    return np.sqrt((offset_sums * centred**2).sum(-1) / length)


def sink_share(column_sums: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """1.0 if one key draws more than 30 % of all attention of the utterance, else 0.0."""
    return (column_sums.max(-1) / length > SINK_THRESHOLD).astype(np.float64)


def ranks(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rank of each head among all heads of the model, 1 = highest; equal values share the better rank.

    Args:
        values: (..., layers, heads).
    """
    flat = values.reshape(*values.shape[:-2], -1)
    ordered = np.sort(-flat, axis=-1)
    if flat.ndim == 1:
        return (np.searchsorted(ordered, -flat) + 1).reshape(values.shape)
    each = [np.searchsorted(one, -row) + 1 for one, row in zip(ordered, flat, strict=True)]
    return np.stack(each).reshape(values.shape)


def categories(metrics: NDArray[np.float64]) -> NDArray[np.int64]:
    """Index into CATEGORIES of the metric in whose list each head stands highest; the first of them on a tie.

    Args:
        metrics: (3, ..., layers, heads) globalness, verticality, diagonality.
    """
    return np.stack([ranks(metric) for metric in metrics]).argmin(axis=0)


def _offsets(length: int) -> NDArray[np.float64]:
    return np.arange(1 - length, length, dtype=np.float64)
