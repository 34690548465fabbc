"""Scores of predicted boundaries against reference boundaries; `boundaries.counting` has the rules of counting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat_probe.errors import AlignmentError, ConfigurationError
from sat_probe.measures.bootstrap import ratio
from sat_probe.measures.boundaries.counting import Counting
from sat_probe.measures.boundaries.hits import COMPONENTS, by_utterance, count_boundaries

RATES = ("precision", "recall", "f1", "over_segmentation", "r_value")


def boundary_scores(
    references: Sequence[ArrayLike], predictions: Sequence[ArrayLike], tolerance: float = 0.02, *, counting: Counting
) -> BoundaryScores:
    """Return scores of predicted boundaries against reference boundaries, micro-averaged over utterances.

    Args:
        references: one ascending sequence of times (s) per utterance; a flat sequence of numbers is one utterance.
        predictions: likewise, in the same order.
        tolerance: largest distance (s) at which a prediction finds a reference, inclusive.
        counting: "rasanen", "strict" or "lenient", see `sat_probe.measures.boundaries.counting`; required, because it
            changes the result.

    Returns:
        The components (references, predictions, hits) and the rates computed from their sums. A rate whose denominator
        is zero is NaN: precision without predictions; recall, over-segmentation and R-value without references; F1
        without either. With references but no prediction, recall and F1 are 0 and the R-value is 1 - 1 / sqrt(2).

    Raises:
        AlignmentError: if boundaries are not finite, negative, unsorted or duplicate, or the lists differ in length.
        ConfigurationError: if the tolerance is not positive and finite, or the counting rule unknown.
            Both are ValueErrors.

    Examples:
        >>> from sat_probe import boundary_scores
        >>> boundary_scores([0.1, 0.35, 0.5], [0.11, 0.33, 0.7], counting="rasanen").hits
        2
    """
    return BoundaryScoreAccumulator(tolerance, counting=counting).update(references, predictions).compute()


def r_value(references: ArrayLike, predictions: ArrayLike, hits: ArrayLike) -> NDArray[np.float64]:
    """R-value of Räsänen et al. 2009: 1 is perfect, counts may be arrays; NaN without references.

    HR = hits / references, OS = predictions / references - 1, r1 = sqrt((1 - HR)^2 + OS^2),
    r2 = (HR - 1 - OS) / sqrt(2), R = 1 - (|r1| + |r2|) / 2.
    """
    hit_rate = ratio(hits, references)
    excess = ratio(predictions, references) - 1
    distances = np.hypot(1 - hit_rate, excess) + np.abs(hit_rate - 1 - excess) / np.sqrt(2)
    value: NDArray[np.float64] = 1 - distances / 2
    return value


def boundary_rates(
    references: ArrayLike, predictions: ArrayLike, hits: ArrayLike, prediction_hits: ArrayLike
) -> dict[str, NDArray[np.float64]]:
    """The rates of :data:`RATES` from their components (numbers, or arrays of one shape); 0 / 0 is NaN."""
    precision = ratio(prediction_hits, predictions)
    recall = ratio(hits, references)
    # the harmonic mean, in the form that is 0 and not 0 / 0 when only one side is empty
    found, finders = np.asarray(hits), np.asarray(prediction_hits)
    both_sides = np.asarray(references) * finders + np.asarray(predictions) * found
    f1 = np.where(both_sides > 0, ratio(2.0 * found * finders, both_sides), 0.0)
    return {
        "precision": precision,
        "recall": recall,
        "f1": np.where(np.add(references, predictions) > 0, f1, np.nan),
        "over_segmentation": ratio(predictions, references) - 1,
        "r_value": r_value(references, predictions, hits),
    }


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class BoundaryScores:
    """Boundary scores with their components per utterance. Also a mapping: ``dict(scores)``."""

    counting: Counting
    tolerance: float
    utterance_ids: tuple[str | int, ...]
    counts: np.ndarray  # (utterances, 4) int64, columns as in COMPONENTS

    references: int
    predictions: int
    hits: int  # references found
    prediction_hits: int  # predictions that found one; equals hits except under "lenient"

    precision: float
    recall: float
    f1: float
    over_segmentation: float
    r_value: float

    def per_utterance(self) -> dict[str, Any]:
        """Columns ``utterance``, the components and the rates, one row per utterance, for ``pandas.DataFrame``."""
        columns = dict(zip(COMPONENTS, self.counts.T, strict=True))
        return {"utterance": list(self.utterance_ids), **columns, **boundary_rates(*self.counts.T)}

    def interval(
        self, rate: str = "r_value", *, confidence: float = 0.95, replicates: int = 1000, seed: int = 0
    ) -> tuple[float, float]:
        """Percentile bootstrap interval of a rate over utterances; (NaN, NaN) for fewer than two utterances."""
        return bootstrap_interval(self.counts, rate, confidence=confidence, replicates=replicates, seed=seed)

    def keys(self) -> tuple[str, ...]:
        return (*COMPONENTS, *RATES)

    def __getitem__(self, name: str) -> float:
        if name not in self.keys():
            raise KeyError(name)
        value: float = getattr(self, name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.keys())

    def __repr__(self) -> str:
        rates = ", ".join(f"{name}={self[name]:.4f}" for name in RATES)
        return (
            f"BoundaryScores({rates}, hits={self.hits}, references={self.references}, predictions={self.predictions}, "
            f"utterances={len(self.counts)}, counting={self.counting!r}, tolerance={self.tolerance} s)"
        )


class BoundaryScoreAccumulator:
    """Counts of boundaries, batch by batch; the merged parts of a corpus equal the whole."""

    def __init__(self, tolerance: float = 0.02, *, counting: Counting) -> None:
        if counting not in get_args(Counting):
            raise ConfigurationError(
                f"unknown counting rule {counting!r}: choose one of {', '.join(get_args(Counting))}"
            )
        if not (isinstance(tolerance, (int, float, np.number)) and np.isfinite(tolerance) and tolerance > 0):
            raise ConfigurationError(f"tolerance must be a positive number of seconds, got {tolerance!r}")
        self.tolerance = float(tolerance)
        self.counting: Counting = counting
        self._ids: list[str | int] = []
        self._counts: list[np.ndarray] = []

    def update(
        self,
        references: Sequence[ArrayLike],
        predictions: Sequence[ArrayLike],
        utterance_ids: Sequence[str | int] | None = None,
    ) -> BoundaryScoreAccumulator:
        """Count a batch of utterances and return itself; arguments and errors as in :func:`boundary_scores`."""
        references, predictions = by_utterance(references, predictions)
        if len(references) != len(predictions):
            raise AlignmentError(
                f"{len(references)} reference utterances but {len(predictions)} predicted ones: give one list of "
                "boundaries per utterance on both sides, empty where there is none"
            )
        if utterance_ids is None:
            utterance_ids = range(len(self._ids), len(self._ids) + len(references))
        elif len(utterance_ids) != len(references):
            raise AlignmentError(f"{len(utterance_ids)} utterance ids for {len(references)} utterances")
        counts = count_boundaries(references, predictions, self.tolerance, self.counting)
        self._ids.extend(utterance_ids)
        self._counts.append(counts)
        return self

    def merge(self, other: BoundaryScoreAccumulator) -> BoundaryScoreAccumulator:
        """Add the counts of another accumulator of the same rule and tolerance, and return itself."""
        if (other.counting, other.tolerance) != (self.counting, self.tolerance):
            raise ConfigurationError(
                f"cannot merge counts under {other.counting!r} +- {other.tolerance} s into {self.counting!r} "
                f"+- {self.tolerance} s"
            )
        self._ids.extend(other._ids)
        self._counts.extend(other._counts)
        return self

    def compute(self) -> BoundaryScores:
        """Scores of everything counted so far."""
        counts = np.concatenate([np.zeros((0, len(COMPONENTS)), np.int64), *self._counts])
        totals = [int(total) for total in counts.sum(axis=0)]
        rates: dict[str, Any] = {name: float(value) for name, value in boundary_rates(*totals).items()}
        return BoundaryScores(self.counting, self.tolerance, tuple(self._ids), counts, *totals, **rates)


def bootstrap_interval(
    counts: np.ndarray, rate: str = "r_value", *, confidence: float = 0.95, replicates: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """:meth:`BoundaryScores.interval` of counts (utterances, 4) as :func:`count_boundaries` gives them."""
    if rate not in RATES:
        raise ConfigurationError(f"no rate {rate!r}: choose one of {', '.join(RATES)}")
    if not 0 < confidence < 1:
        raise ConfigurationError(f"confidence must lie between 0 and 1, got {confidence!r}")
    if len(counts) < 2:
        return float("nan"), float("nan")
    # in sorted order, so that the interval does not depend on the order of the utterances
    counts = counts[np.lexsort(counts.T)]
    rng = np.random.default_rng(seed)
    chances = np.full(len(counts), 1 / len(counts))
    sums = np.stack([rng.multinomial(len(counts), chances) @ counts for _ in range(replicates)])
    tail = 50 * (1 - confidence)
    values = boundary_rates(*sums.T)[rate]
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.percentile(values, [tail, 100 - tail])
    return float(low), float(high)
