"""The median of a few repeated measurements, with an interval that assumes nothing about how they scatter."""

from __future__ import annotations

from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat_probe.measures.paired_difference import Number


def median_interval(values: NDArray[Any], level: float = 0.95) -> Number:
    """Median and the order statistics that hold the median of the distribution with at least this probability.

    The ends are the k-th smallest and k-th largest value with the greatest k for which ``2 P(B < k) <= 1 - level``, B
    binomial of n throws of a coin: a value is below the true median half of the time (Conover 1999, section 3.2). Less
    than six values cannot give 95 %: their ends are NaN.

    Args:
        values: (n,) independent measurements.
        level: probability that the interval covers, at least.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    count, below, rank = len(ordered), 0, 0
    while rank < count and 2 * (below + comb(count, rank)) <= (1 - level) * 2**count:
        below += comb(count, rank)
        rank += 1
    median = float(np.median(ordered)) if count else float("nan")
    if rank == 0:
        return median, float("nan"), float("nan")
    return median, float(ordered[rank - 1]), float(ordered[count - rank])
