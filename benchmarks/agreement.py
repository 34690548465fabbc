"""Agreement of two alignments of one utterance at the boundaries that they share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sat_probe.phones.alignment import Alignment
from sat_probe.phones.phone_set import PhoneSet

_CLOSURES = {"bcl": "b", "dcl": "d", "gcl": "g", "pcl": "p", "tcl": "t", "kcl": "k"}
_BURSTS = {("tcl", "ch"), ("dcl", "jh"), *_CLOSURES.items()}


def with_whole_stops(alignment: Alignment) -> Alignment:
    """TIMIT labels with closures joined to their bursts, as dictionaries know stops: ``tcl t`` and ``tcl`` -> ``t``."""
    rows: list[tuple[int, int, str]] = []
    previous = ""
    for start, end, label in zip(alignment.starts.tolist(), alignment.ends.tolist(), alignment.labels, strict=True):
        if (previous, label) in _BURSTS and start == rows[-1][1]:
            rows[-1] = (rows[-1][0], end, label)
        else:
            rows.append((start, end, _CLOSURES.get(label, label)))
        previous = label
    starts, ends, labels = zip(*rows, strict=True)
    return Alignment(
        alignment.utterance_id, np.array(starts), np.array(ends), labels, alignment.sampling_rate, alignment.duration
    )


def boundary_errors(
    reference: Alignment, reference_set: PhoneSet, predicted: Alignment, predicted_set: PhoneSet
) -> NDArray[np.float64]:
    """Predicted minus reference time of every boundary that both alignments have, in seconds.

    Both are folded and neighbours of one phone merged; the two sequences are then matched at the least cost (1 for a
    phone inserted, deleted or exchanged, 1/2 if the exchanged ones are of one natural class). A boundary is shared if
    the phones on both of its sides are matched with each other.

    Args:
        reference: the trusted one.
        reference_set: what its labels fold into.
        predicted: the one to judge.
        predicted_set: what its labels fold into; the same inventory.

    Returns:
        (shared boundaries,) seconds, positive where the prediction is late.
    """
    left, right = reference.folded(reference_set).merged(), predicted.folded(predicted_set).merged()
    pairs = _match(left.labels, right.labels, reference_set)
    shared = [(i, j) for i, j in sorted(pairs) if (i - 1, j - 1) in pairs]
    late = [right.starts[j] / right.sampling_rate - left.starts[i] / left.sampling_rate for i, j in shared]
    return np.array(late, dtype=np.float64)


def _match(left: tuple[str, ...], right: tuple[str, ...], phones: PhoneSet) -> set[tuple[int, int]]:
    """Matched positions of two phone sequences at the least edit cost."""
    classes = {phone: phones.natural_class(phone) for phone in phones.phones}
    cost = np.zeros((len(left) + 1, len(right) + 1))
    cost[:, 0], cost[0, :] = np.arange(len(left) + 1), np.arange(len(right) + 1)
    for i, one in enumerate(left, start=1):
        for j, other in enumerate(right, start=1):
            exchange = 0.0 if one == other else 0.5 if classes[one] == classes[other] else 1.0
            cost[i, j] = min(cost[i - 1, j - 1] + exchange, cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    pairs = set()
    i, j = len(left), len(right)
    while i and j:
        if cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
        elif cost[i, j] == cost[i, j - 1] + 1:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.add((i, j))
    return pairs


def count_boundaries(reference: Alignment, reference_set: PhoneSet) -> int:
    """Boundaries inside a folded and merged alignment: what :func:`boundary_errors` could share at most."""
    return len(reference.folded(reference_set).merged()) - 1
