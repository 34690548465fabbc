"""How far two readings of the same frames lie apart, as distributions over classes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def divergence(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Kullback-Leibler divergence D(before || after) of each frame, nats: (frames,).

    What a frame's reading before tells beyond the one after (Kullback & Leibler 1951); 0 where both are the same.

    Args:
        before: (frames, classes) natural logarithms of probabilities.
        after: likewise.
    """
    return np.asarray((np.exp(before) * (before - after)).sum(axis=1).clip(min=0.0))


def changed(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(frames,) whether another class is the most probable one; arguments as for `divergence`."""
    return np.asarray(before.argmax(axis=1) != after.argmax(axis=1))


def runs(classes: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """Stretches of frames of one class: (first frame, frame after the last, class), in order."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(classes)) + 1, [len(classes)]])
    return [(int(start), int(end), int(classes[start])) for start, end in pairwise(edges) if end > start]
