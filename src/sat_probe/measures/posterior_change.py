"""Differences between two predictions of the same frames, as distributions over classes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def divergence(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Kullback-Leibler divergence D(before || after) of each frame in nats, (frames,).

    It is 0 where both distributions are the same (Kullback & Leibler 1951).

    Args:
        before: (frames, classes) natural logarithms of probabilities.
        after: likewise.
    """
    return np.asarray((np.exp(before) * (before - after)).sum(axis=1).clip(min=0.0))


def changed(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(frames,) whether the most probable class differs; arguments as for `divergence`."""
    return np.asarray(before.argmax(axis=1) != after.argmax(axis=1))


def runs(classes: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Stretches of frames of one class: (first frame, frame after the last, class), in order."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(classes)) + 1, [len(classes)]])
    return [(int(start), int(end), int(classes[start])) for start, end in pairwise(edges) if end > start]
