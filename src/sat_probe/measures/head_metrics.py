"""Head metrics (globalness, verticality, diagonality; Yang et al. 2020, section 4) and head categories by rank.

The formulas take sums over the queries of one utterance. Every metric is computed per utterance and then averaged over
utterances, as in the paper. ``head_accumulator`` collects the sums.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sat_probe.errors import ModelError

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
# A key that receives more than this share of all attention is an attention sink (Gu et al. 2025).
SINK_THRESHOLD = 0.3


def globalness(row_entropy_sum: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Eq. 1: mean entropy of the rows, in nats; ``row_entropy_sum`` sums it over the T queries."""
    return row_entropy_sum / length


def verticality(column_sums: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Eq. 2: minus the entropy of the mean row, in nats; ``column_sums`` (..., T) is attention summed over queries."""
    mean_row = column_sums / length
    terms = np.where(mean_row > 0, mean_row * np.log(np.where(mean_row > 0, mean_row, 1.0)), 0.0)
    return np.asarray(terms.sum(-1))


def diagonality(offset_sums: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Eq. 3: minus the mean distance |query - key| under the attention, as a share of T.

    ``offset_sums`` (..., 2 T - 1) is attention summed over all pairs with key - query = -(T - 1) ... T - 1.
    """
    return np.asarray(-(offset_sums * np.abs(_offsets(length))).sum(-1) / length**2)


def mean_offset(offset_sums: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Mean of key - query under the attention, in frames; negative values look back."""
    return np.asarray((offset_sums * _offsets(length)).sum(-1) / length)


def spread(offset_sums: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Standard deviation of key - query under the attention, in frames."""
    offsets = _offsets(length)
    centred = offsets - mean_offset(offset_sums, length)[..., None]
    return np.asarray(np.sqrt((offset_sums * centred**2).sum(-1) / length))


def sink_share(column_sums: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """1.0 if one key receives more than 30 % of all attention of the utterance, else 0.0."""
    return np.asarray(column_sums.max(-1) / length > SINK_THRESHOLD, dtype=np.float64)


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rank of each head among all heads of the model, 1 = highest; equal values share the better rank.

    Args:
        values: (..., layers, heads), NaN for heads without a value: they have no rank (NaN), and take none from others.
    """
    rows = values.reshape(-1, values.shape[-2] * values.shape[-1])
    places = np.stack([np.searchsorted(np.sort(-row), -row) + 1.0 for row in rows])  # NaN sorts last
    return np.where(np.isnan(values), np.nan, places.reshape(values.shape))


def categories(metrics: NDArray[np.float64]) -> NDArray[np.str_]:
    """Name in CATEGORIES of the metric in which each head ranks highest, the first of them on a tie; "" without a rank.

    Args:
        metrics: (3, ..., layers, heads) globalness, verticality, diagonality.
    """
    places = np.stack([ranks(metric) for metric in metrics])
    return np.where(np.isnan(places).any(axis=0), "", np.array(CATEGORIES)[places.argmin(axis=0)])


def present_heads(seen: NDArray[np.int64], utterances: int) -> NDArray[np.bool_]:
    """(layers, heads) whether the model has the head.

    Args:
        seen: (layers, heads) in how many utterances the head was observed.
        utterances: in how many it could be.

    Raises:
        ModelError: if a head was observed in some of them only.
    """
    partly = np.argwhere((seen > 0) & (seen < utterances))
    if len(partly):
        layer, head = partly[0]
        raise ModelError(
            f"head {head} of layer {layer} was observed in {seen[layer, head]} of {utterances} utterances; "
            "add up models that have the same heads only"
        )
    return seen > 0


def _offsets(length: int) -> NDArray[np.float64]:
    return np.arange(1 - length, length, dtype=np.float64)
