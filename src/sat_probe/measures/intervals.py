"""Intervals of differences between scores on the same utterances, and of medians."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat_probe.errors import AlignmentError, ReportError
from sat_probe.measures.bootstrap import percentile_interval, ratio, utterance_draws
from sat_probe.measures.boundaries.score import r_value

Number = tuple[float, float, float]  # value, and the ends of its interval


def paired_difference(
    first: NDArray[Any],
    second: NDArray[Any],
    items: NDArray[Any],
    *,
    replicates: int = 1000,
    seed: int = 0,
    level: float = 0.95,
) -> Number:
    """Return the score of the first side minus that of the second, with its interval.

    A score is ``sum_u total[u] / sum_u items[u]``: an accuracy of correct and all frames, an L1 of errors and frames.
    The score of a side with several points, such as a curve, is the mean over its points. Each replicate draws the
    utterances once for both sides (Efron & Tibshirani 1993, section 8), so that the difficulty of an utterance cancels.

    Args:
        first, second: (utterances,) or (utterances, points) totals; row i of both is the same utterance.
        items: (utterances,) divisor of both sides: frames or utterances scored, 0 or more. With the totals of the
            second side itself, the difference is relative to it.
        replicates: resampled corpora.
        seed: of the resampling.
        level: probability that the interval covers.

    Returns:
        The difference and the ends of its interval; NaN where nothing was scored, ends also for fewer than two
        utterances.

    Raises:
        ReportError: if the sides have different utterances, or one has no points.
    """
    items = np.asarray(items, dtype=np.float64)
    sides = [_mean_of_points(side, len(items)) for side in (first, second)]
    change = sides[0] - sides[1]
    difference = float(ratio(change.sum(), items.sum()))
    if len(items) < 2:
        return difference, float("nan"), float("nan")
    draws = utterance_draws(len(items), replicates, seed)
    low, high = percentile_interval(ratio(draws @ change, draws @ items), level)
    return difference, float(low), float(high)


def r_value_difference(
    first: NDArray[Any], second: NDArray[Any], *, replicates: int = 1000, seed: int = 0, level: float = 0.95
) -> Number:
    """Return the R-value of the first source of boundaries minus that of the second, with its interval.

    Each replicate draws the utterances once for both sources, as in :func:`paired_difference`. The R-value (Räsänen et
    al. 2009) is that of the summed counts, as in :func:`sat_probe.measures.boundaries.score.boundary_scores`.

    Args:
        first, second: (utterances, 3) references, predictions, hits; row i of both is the same utterance.
        replicates: resampled corpora.
        seed: of the resampling.
        level: probability that the interval covers.

    Returns:
        The difference and the ends of its interval; the ends are NaN for fewer than two utterances.

    Raises:
        AlignmentError: if the two do not count the same utterances (another shape, or other references).
    """
    first, second = np.asarray(first), np.asarray(second)
    if first.shape != second.shape or first.ndim != 2 or first.shape[1] != 3:
        raise AlignmentError(
            f"counts of two sources must both be (utterances, 3), got {first.shape} and {second.shape}"
        )
    if not np.array_equal(first[:, 0], second[:, 0]):
        raise AlignmentError("the two sources were not counted on the same utterances: their references differ")
    difference = float(r_value(*first.sum(axis=0)) - r_value(*second.sum(axis=0)))
    if len(first) < 2:
        return difference, float("nan"), float("nan")
    draws = utterance_draws(len(first), replicates, seed)
    low, high = percentile_interval(r_value(*(draws @ first).T) - r_value(*(draws @ second).T), level)
    return difference, float(low), float(high)


def median_interval(values: NDArray[Any], level: float = 0.95) -> Number:
    """Return the median and a distribution-free interval of it (Conover 1999, section 3.2).

    The ends are order statistics. Fewer than six values cannot give 95 %: their ends are NaN.

    Args:
        values: (n,) independent measurements.
        level: probability that the interval covers, at least.
    """
    from scipy.stats import quantile_test

    if not len(values):
        return float("nan"), float("nan"), float("nan")
    ends = quantile_test(np.asarray(values, dtype=np.float64), p=0.5).confidence_interval(level)
    return float(np.median(values)), float(ends.low), float(ends.high)


def _mean_of_points(side: NDArray[Any], utterances: int) -> NDArray[np.float64]:
    """(utterances,) mean totals: all points have the same divisor, so the mean of scores is the score of the mean."""
    totals = np.asarray(side, dtype=np.float64)
    totals = totals[:, None] if totals.ndim == 1 else totals
    if totals.ndim != 2 or len(totals) != utterances or totals.shape[1] == 0:
        raise ReportError(
            f"totals must be (utterances,) or (utterances, points) of {utterances} utterances, got {np.shape(side)}"
        )
    return np.asarray(totals.mean(axis=1))
