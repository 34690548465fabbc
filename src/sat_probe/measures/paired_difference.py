"""How much one score differs from another on the same utterances: a paired bootstrap of ratios of sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat_probe.errors import ReportError
from sat_probe.measures.bootstrap import percentile_interval, utterance_draws

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
    """Score of the first side minus that of the second, with its interval.

    A score is ``sum_u total[u] / sum_u items[u]``: an accuracy of correct and all frames, an L1 of errors and frames. A
    side of several points, as those of a curve, has the mean of their scores. Each replicate draws the utterances once
    for both sides (Efron & Tibshirani 1993, section 8), so that what makes an utterance hard for both cancels.

    Args:
        first, second: (utterances,) or (utterances, points) totals; row i of both is the same utterance.
        items: (utterances,) what both are divided by: frames or utterances scored, 0 or more. With the totals of the
            second side itself the difference is relative to it.
        replicates: resampled corpora.
        seed: of the resampling.
        level: probability that the interval covers.

    Returns:
        The difference, and the ends of its interval; NaN where nothing was scored, ends also for fewer than two
        utterances.

    Raises:
        ReportError: if the sides are not of the same utterances, or one has no points.
    """
    items = np.asarray(items, dtype=np.float64)
    sides = [_mean_of_points(side, len(items)) for side in (first, second)]
    change = sides[0] - sides[1]
    difference = float(_ratio(change.sum(), items.sum()))
    if len(items) < 2:
        return difference, float("nan"), float("nan")
    draws = utterance_draws(len(items), replicates, seed)
    low, high = percentile_interval(_ratio(draws @ change, draws @ items), level)
    return difference, float(low), float(high)


def _mean_of_points(side: NDArray[Any], utterances: int) -> NDArray[np.float64]:
    """(utterances,) as all points are divided by the same items, the mean of their scores is that of mean totals."""
    totals = np.asarray(side, dtype=np.float64)
    totals = totals[:, None] if totals.ndim == 1 else totals
    if totals.ndim != 2 or len(totals) != utterances or totals.shape[1] == 0:
        raise ReportError(
            f"totals must be (utterances,) or (utterances, points) of {utterances} utterances, got {np.shape(side)}"
        )
    return np.asarray(totals.mean(axis=1))


def _ratio(total: Any, items: Any) -> Any:
    """NaN where nothing was scored."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(np.asarray(items) > 0, np.divide(total, items), np.nan)
