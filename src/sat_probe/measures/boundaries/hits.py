"""Counts of references found, and of predictions that find one, for many utterances at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from sat_probe.errors import AlignmentError
from sat_probe.measures.boundaries.counting import Counting

COMPONENTS = ("references", "predictions", "hits", "prediction_hits")
NANOSECONDS = 1_000_000_000
LONGEST = 1e8  # seconds, about three years: a longer time has the wrong unit


def count_boundaries(
    references: Sequence[ArrayLike], predictions: Sequence[ArrayLike], tolerance: float, counting: Counting
) -> np.ndarray:
    """Components per utterance, (utterances, 4) int64 in the order of :data:`COMPONENTS`; all utterances at once."""
    reference_ticks, reference_lengths, reference_owners = _ticks(references, "references")
    prediction_ticks, prediction_lengths, prediction_owners = _ticks(predictions, "predictions")
    # no two times of an utterance are further apart than the latest of all
    ends = np.maximum(_last(reference_ticks, reference_lengths), _last(prediction_ticks, prediction_lengths))
    latest = int(ends.max(initial=0))
    reach = latest if tolerance * NANOSECONDS > latest else round(tolerance * NANOSECONDS)
    utterances = len(reference_lengths)
    # utterances are laid out one after the other on one line, too far apart to reach each other
    room = np.append(0, ends + 2 * reach + 1)
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
    """Indices of the references found and of the predictions that find one, ascending; times are ascending integers."""
    if not len(references) or not len(predictions):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if counting == "rasanen":
        # with t the midpoint of neighbours a and b, p <= t is 2 p <= a + b: no rounding
        nearest = np.searchsorted(references[:-1] + references[1:], 2 * predictions)
        inside = np.flatnonzero(np.abs(references[nearest] - predictions) <= reach)
        owners = nearest[inside]
        first_inside = np.append(True, owners[1:] != owners[:-1])[: len(owners)]
        return owners[first_inside], inside[first_inside]
    if counting == "lenient":
        return _near(references, predictions, reach), _near(predictions, references, reach)
    first = np.searchsorted(predictions, references - reach)
    last = np.searchsorted(predictions, references + reach, side="right")
    found = np.flatnonzero(last > first)
    partners = _match(first[found], last[found])
    return found[partners >= 0], partners[partners >= 0]


def _near(times: np.ndarray, others: np.ndarray, reach: int) -> np.ndarray:
    """Indices of times within reach of any other; both ascending, neither empty."""
    after = np.searchsorted(others, times)
    later = others[np.minimum(after, len(others) - 1)]
    earlier = others[np.maximum(after - 1, 0)]
    return np.flatnonzero(np.minimum(np.abs(later - times), np.abs(times - earlier)) <= reach)


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
    references: Sequence[ArrayLike], predictions: Sequence[ArrayLike]
) -> tuple[Sequence[ArrayLike], Sequence[ArrayLike]]:
    """One sequence of times per utterance; flat sequences of numbers are one utterance."""
    flat = [len(times) > 0 and np.ndim(times[0]) == 0 for times in (references, predictions)]
    if not any(flat):
        return references, predictions
    if all(is_flat or len(times) == 0 for is_flat, times in zip(flat, (references, predictions), strict=True)):
        return [cast(ArrayLike, references)], [cast(ArrayLike, predictions)]
    raise AlignmentError(
        "one side is a flat list of times and the other a list of utterances: give one list per utterance on both"
    )


def _last(ticks: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Last time of each utterance, 0 for one without times."""
    ends = np.cumsum(lengths) - 1
    return np.where(lengths > 0, ticks[ends] if len(ticks) else 0, 0)


def _ticks(utterances: Sequence[ArrayLike], role: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All times (times,) in nanoseconds, one utterance after the other; lengths (utterances,); owners (times,)."""
    arrays = [np.asarray(times) for times in utterances]
    if {times.dtype for times in arrays} - {np.dtype(np.float64)} or {times.ndim for times in arrays} - {1}:
        arrays = [_as_float64(times, index, role) for index, times in enumerate(arrays)]
    lengths = np.array([len(times) for times in arrays], dtype=np.int64)
    owners = np.repeat(np.arange(len(lengths)), lengths)
    seconds = np.concatenate([np.zeros(0), *arrays])
    if len(seconds) and not (seconds.min() >= 0 and seconds.max() <= LONGEST):  # false for NaN
        at = int(np.argmin((seconds >= 0) & (seconds <= LONGEST)))
        _refuse(seconds, owners, at, role, "is not a time from 0 s on")
    falling = (seconds[1:] <= seconds[:-1]) & (owners[1:] == owners[:-1])
    if falling.any():
        at = int(np.argmax(falling)) + 1
        equal = seconds[at] == seconds[at - 1]
        _refuse(seconds, owners, at, role, "is a duplicate" if equal else "comes after a later one")
    return np.rint(seconds * NANOSECONDS).astype(np.int64), lengths, owners


def _as_float64(times: np.ndarray, index: int, role: str) -> np.ndarray:
    if times.ndim != 1 or (times.dtype.kind not in "iuf" and len(times)):
        raise AlignmentError(
            f"{role} of utterance {index} must be a flat list of times in seconds, "
            f"got an array of shape {times.shape} and type {times.dtype}"
        )
    if times.dtype.kind != "f" or times.dtype.itemsize >= 8:
        return times.astype(np.float64)
    # take the shortest decimal that float32 or float16 can tell from its neighbours; rounding, because arithmetic in
    # these types may have missed it by a little
    return np.round(times.astype(str).astype(np.float64), 6)


def _refuse(seconds: np.ndarray, owners: np.ndarray, at: int, role: str, why: str) -> None:
    raise AlignmentError(
        f"{role} of utterance {owners[at]}: boundary {seconds[at]} {why}; "
        "give finite, ascending, distinct times in seconds"
    )
