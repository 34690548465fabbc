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
    latest = max((int(ticks.max()) for ticks in (reference_ticks, prediction_ticks) if ticks.size), default=0)
    reach = latest if tolerance * NANOSECONDS > latest else round(tolerance * NANOSECONDS)
    utterances = len(reference_lengths)
    reference_owners = np.repeat(np.arange(utterances), reference_lengths)
    prediction_owners = np.repeat(np.arange(utterances), prediction_lengths)
    # utterances are laid out one after the other on one line, too far apart to reach each other
    room = np.zeros(utterances + 1, np.int64)
    np.maximum.at(room, reference_owners + 1, reference_ticks)
    np.maximum.at(room, prediction_owners + 1, prediction_ticks)
    room[1:] += 2 * reach + 1
    if room.sum(dtype=np.float64) > 2**61:
        half = utterances // 2
        parts = ((references[:half], predictions[:half]), (references[half:], predictions[half:]))
        return np.concatenate([count_boundaries(*part, tolerance, counting) for part in parts])
    origins = np.cumsum(room)[:-1]
    reference_ticks += origins[reference_owners]
    prediction_ticks += origins[prediction_owners]
    found, finders = hit_indices(reference_ticks, prediction_ticks, reach, counting)
    hits = np.bincount(reference_owners[found], minlength=utterances)
    prediction_hits = np.bincount(prediction_owners[finders], minlength=utterances)
    return np.stack([reference_lengths, prediction_lengths, hits, prediction_hits], axis=1)


def hit_indices(
    references: np.ndarray, predictions: np.ndarray, reach: int, counting: Counting
) -> tuple[np.ndarray, np.ndarray]:
    """Which references are found and which predictions find one: ascending indices. Times are ascending integers."""
    if not len(references) or not len(predictions):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if counting == "rasanen":
        # with t the midpoint of neighbours a and b, p <= t is 2 p <= a + b: no rounding
        nearest = np.searchsorted(references[:-1] + references[1:], 2 * predictions)
        inside = np.flatnonzero(np.abs(references[nearest] - predictions) <= reach)
        found, first_inside = np.unique(nearest[inside], return_index=True)
        return found, inside[first_inside]
    first = np.searchsorted(predictions, references - reach)
    last = np.searchsorted(predictions, references + reach, side="right")
    found = np.flatnonzero(last > first)
    if counting == "strict":
        partners = _match(first[found], last[found])
        return found[partners >= 0], partners[partners >= 0]
    lower = np.searchsorted(references, predictions - reach)
    upper = np.searchsorted(references, predictions + reach, side="right")
    return found, np.flatnonzero(upper > lower)


def _match(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Partner of each reference in the largest one-to-one matching, (references,) int64, -1 for none.

    Reference i may take predictions first[i] .. last[i] - 1, both bounds ascending: then giving each reference in turn
    the earliest free prediction is optimal.
    """
    partners = first.astype(np.int64)
    # references that share no prediction with a neighbour take their first; the rest wait their turn
    shares = last[:-1] > first[1:]
    contested = np.flatnonzero(np.append(shares, False) | np.insert(shares, 0, False))
    free, taken = 0, []
    for lowest, stop in zip(first[contested].tolist(), last[contested].tolist(), strict=True):
        partner = lowest if lowest > free else free
        if partner < stop:
            free = partner + 1
            taken.append(partner)
        else:
            taken.append(-1)
    partners[contested] = taken
    return partners


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
