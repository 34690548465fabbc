"""Which references are found and which predictions find one, under each counting rule, for many utterances at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from sat_probe.errors import AlignmentError

Counting = Literal["rasanen", "strict", "lenient"]

COMPONENTS = ("references", "predictions", "hits", "prediction_hits")
NANOSECONDS = 1_000_000_000
LONGEST = 1e8  # seconds, about three years: beyond it lies a wrong unit, not a recording


def count_boundaries(
    references: Sequence[Any], predictions: Sequence[Any], tolerance: float, counting: Counting
) -> np.ndarray:
    """Components per utterance, (utterances, 4) int64 in the order of :data:`COMPONENTS`; all utterances at once."""
    reference_ticks, reference_lengths = _ticks(references, "references")
    prediction_ticks, prediction_lengths = _ticks(predictions, "predictions")
    reach = round(min(tolerance, 1e9) * NANOSECONDS)
    reference_owners = np.repeat(np.arange(len(reference_lengths)), reference_lengths)
    prediction_owners = np.repeat(np.arange(len(prediction_lengths)), prediction_lengths)
    # utterances are laid out one after the other on one line, too far apart to reach each other
    ends = np.zeros(len(reference_lengths) + 1, np.int64)
    np.maximum.at(ends, reference_owners + 1, reference_ticks)
    np.maximum.at(ends, prediction_owners + 1, prediction_ticks)
    ends[1:] += 2 * reach + 1
    origins = np.cumsum(ends)[:-1]
    reference_ticks += origins[reference_owners]
    prediction_ticks += origins[prediction_owners]
    found, finders = _hits(reference_ticks, prediction_ticks, reach, counting)
    hits = np.bincount(reference_owners[found], minlength=len(reference_lengths))
    finds = (
        np.bincount(prediction_owners[finders], minlength=len(reference_lengths))
        if counting == "lenient"
        else hits
    )
    return np.stack([reference_lengths, prediction_lengths, hits, finds], axis=1).astype(np.int64)


def _hits(references: np.ndarray, predictions: np.ndarray, reach: int, counting: Counting) -> tuple[Any, Any]:
    """Indices of the references hit, and under "lenient" of the predictions that hit; times ascending int64."""
    if counting == "rasanen":
        # with t the midpoint of neighbours a and b, p <= t is 2 p <= a + b: no rounding
        nearest = np.searchsorted(references[:-1] + references[1:], 2 * predictions)
        within = (
            np.abs(references[nearest] - predictions) <= reach if len(references) else nearest.astype(bool)
        )
        return np.unique(nearest[within]), None
    first = np.searchsorted(predictions, references - reach)
    last = np.searchsorted(predictions, references + reach, side="right")
    candidates = np.flatnonzero(last > first)
    if counting == "strict":
        return candidates[_match(first[candidates], last[candidates])], None
    lower = np.searchsorted(references, predictions - reach)
    upper = np.searchsorted(references, predictions + reach, side="right")
    return candidates, np.flatnonzero(upper > lower)


def _match(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Which references get a partner in the largest one-to-one matching, (references,) bool.

    Reference i may take predictions first[i] .. last[i] - 1, both bounds ascending: then giving each reference in turn
    the earliest free prediction is optimal.
    """
    matched = np.ones(len(first), dtype=bool)
    # references that share no prediction with a neighbour are served; the rest take their turn
    shares = last[:-1] > first[1:]
    contested = np.flatnonzero(np.append(shares, False) | np.insert(shares, 0, False))
    free, served = 0, []
    for lowest, stop in zip(first[contested].tolist(), last[contested].tolist(), strict=True):
        partner = lowest if lowest > free else free
        served.append(partner < stop)
        if partner < stop:
            free = partner + 1
    matched[contested] = served
    return matched


def by_utterance(
    references: Sequence[Any], predictions: Sequence[Any]
) -> tuple[Sequence[Any], Sequence[Any]]:
    """One sequence of times per utterance: flat sequences of numbers are taken as a single utterance."""
    flat = [len(times) > 0 and np.ndim(times[0]) == 0 for times in (references, predictions)]
    if not any(flat):
        return references, predictions
    if all(
        is_flat or len(times) == 0 for is_flat, times in zip(flat, (references, predictions), strict=True)
    ):
        return [references], [predictions]
    raise AlignmentError(
        "one side is a flat list of times and the other a list of utterances: give one list per utterance on both"
    )


def _ticks(utterances: Sequence[Any], role: str) -> tuple[np.ndarray, np.ndarray]:
    """All times in nanoseconds, one utterance after the other (times,) int64, and the lengths (utterances,)."""
    arrays = [np.asarray(times) for times in utterances]
    for index, times in enumerate(arrays):
        if times.ndim != 1 or (times.dtype.kind not in "iuf" and len(times)):
            raise AlignmentError(
                f"{role} of utterance {index} must be a flat list of times in seconds, "
                f"got an array of shape {times.shape} and type {times.dtype}"
            )
    lengths = np.array([len(times) for times in arrays], dtype=np.int64)
    # float32 carries microseconds at best: rounding gives back the decimal that was meant
    seconds = np.concatenate(
        [np.zeros(0)]
        + [
            np.round(a.astype(np.float64), 6) if a.dtype.kind == "f" and a.dtype.itemsize < 8 else a
            for a in arrays
        ]
    ).astype(np.float64, copy=False)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    usable = np.isfinite(seconds) & (seconds >= 0) & (seconds <= LONGEST)
    if not usable.all():
        _refuse(seconds, owners, int(np.argmin(usable)), role, "is not a time from 0 s on")
    same_utterance = owners[1:] == owners[:-1]
    falling = same_utterance & (seconds[1:] <= seconds[:-1])
    if falling.any():
        at = int(np.argmax(falling)) + 1
        _refuse(
            seconds,
            owners,
            at,
            role,
            "is a duplicate" if seconds[at] == seconds[at - 1] else "comes after a later one",
        )
    return np.rint(seconds * NANOSECONDS).astype(np.int64), lengths


def _refuse(seconds: np.ndarray, owners: np.ndarray, at: int, role: str, why: str) -> None:
    raise AlignmentError(
        f"{role} of utterance {owners[at]}: boundary {seconds[at]} {why}; "
        "give finite, ascending, distinct times in seconds"
    )
