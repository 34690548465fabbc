"""Bootstrap over utterances with Poisson weights, whose sums can be merged.

The Poisson bootstrap (Chamandy et al. 2012) gives each utterance an independent Poisson(1) count in each replicate,
instead of drawing a fixed number with replacement. Here the counts depend only on the utterance's id, so replicate sums
of parts of a corpus add up to those of the whole, in any order and on any number of machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class PoissonBootstrap:
    """Replicate weights of utterances.

    Args:
        replicates: number of resampled corpora.
        seed: of the replicates.
    """

    replicates: int = 1000
    seed: int = 0

    def weights(self, utterance_id: str) -> NDArray[np.float64]:
        """(replicates,) number of times that each replicate contains this utterance."""
        digest = blake2b(f"{self.seed}/{utterance_id}".encode(), digest_size=16).digest()
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))
        return generator.poisson(1.0, self.replicates).astype(np.float64)


def utterance_draws(utterances: int, replicates: int, seed: int) -> NDArray[np.int64]:
    """(replicates, utterances) number of times that each resampled corpus contains each utterance.

    Efron & Tibshirani 1993, section 6.2; for comparisons made when all utterances are known.
    """
    generator = np.random.default_rng(seed)
    return generator.multinomial(utterances, np.full(utterances, 1 / utterances), replicates)


def percentile_interval(
    replicates: NDArray[np.float64], level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Percentile bootstrap interval (Efron & Tibshirani 1993, section 13.3).

    Args:
        replicates: (replicates, ...) the statistic in each replicate; NaN where it is undefined.
        level: probability that the interval covers.

    Returns:
        Lower and upper ends, each (...); NaN where fewer than two replicates are defined.
    """
    tail = (1.0 - level) / 2
    defined = np.isfinite(replicates).sum(axis=0) >= 2
    filled = np.where(defined, replicates, 0.0)  # nanquantile warns about columns without any number
    low, high = np.nanquantile(filled, [tail, 1.0 - tail], axis=0)
    return np.where(defined, low, np.nan), np.where(defined, high, np.nan)


def ratio(numerator: ArrayLike, denominator: ArrayLike) -> NDArray[np.float64]:
    """Quotient of sums, NaN where the denominator is not above 0; shapes are broadcast."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0))
