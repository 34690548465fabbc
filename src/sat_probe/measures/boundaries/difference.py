"""How much better one source finds boundaries than another, on the same utterances: a paired bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat_probe.errors import AlignmentError
from sat_probe.measures.bootstrap import percentile_interval, utterance_draws
from sat_probe.measures.boundaries.score import r_value


def r_value_difference(
    first: NDArray[Any], second: NDArray[Any], *, replicates: int = 1000, seed: int = 0, level: float = 0.95
) -> tuple[float, float, float]:
    """R-value of the first source minus that of the second, with its interval.

    Each replicate draws the utterances once for both sources (Efron & Tibshirani 1993, section 8), so that what makes
    an utterance hard for both cancels. The R-value (Räsänen et al. 2009) is of the summed counts, as in
    :func:`sat_probe.measures.boundaries.score.boundary_scores`.

    Args:
        first, second: (utterances, 3) references, predictions, hits; row i of both is the same utterance.
        replicates: resampled corpora.
        seed: of the resampling.
        level: probability that the interval covers.

    Returns:
        The difference, and the ends of its interval; those are NaN for fewer than two utterances.

    Raises:
        AlignmentError: if the two do not count the same utterances (another shape, or other references).
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] != 3:
        raise AlignmentError(
            f"counts of two sources must both be (utterances, 3), got {first.shape} and {second.shape}"
        )
    if not np.array_equal(first[:, 0], second[:, 0]):
        raise AlignmentError(
            "the two sources were not counted on the same utterances: their references differ"
        )
    difference = _difference(first.sum(axis=0), second.sum(axis=0))
    utterances = len(first)
    if utterances < 2:
        return float(difference), float("nan"), float("nan")
    draws = utterance_draws(utterances, replicates, seed)
    low, high = percentile_interval(_difference((draws @ first).T, (draws @ second).T), level)
    return float(difference), float(low), float(high)


def _difference(first: NDArray[Any], second: NDArray[Any]) -> Any:
    """From counts (3, ...)."""
    return r_value(*first) - r_value(*second)
