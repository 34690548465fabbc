"""Formulas of phoneme relation maps (Yang, Liu, Lee 2020, section 6, eq. 4-6; supplement 1 for up-sampling).

Unlabelled frames: eq. 4 sums over frames that have a phone. If some have none, the joint distribution of an utterance
and the map of uniform attention are both conditioned on query and key being labelled. Both still sum to 1, uniform
attention still gives a relation of 0, and with all frames labelled this is exactly eq. 4.

Up-sampling (supplement 1) repeats each weight R x R times and divides by R. Summed over phones, this equals the plain
map weighted by the share of each stacked frame that a phone covers, so no map is expanded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sat_probe.measures.bootstrap import ratio

Array = NDArray[np.float64]


def uniform_distribution(
    membership: Array, runs: Array | None = None, run_phones: NDArray[np.int64] | None = None
) -> Array:
    """P_U of one utterance (section 6): eq. 4 for attention that is 1/T everywhere.

    Args:
        membership: (T, phones), the share of each frame that a phone covers.
        runs, run_phones: (T, runs) share of each frame that a run of equal labels covers, and (runs,) its phone; leaves
            out pairs within one run.

    Returns:
        (phones, phones), sums to 1; all NaN if no pair of labelled frames is left.
    """
    share = membership.sum(axis=0)
    pairs = np.outer(share, share)
    if runs is not None and run_phones is not None:
        np.subtract.at(pairs, (run_phones, run_phones), runs.sum(axis=0) ** 2)
        pairs = np.where(pairs > 1e-9, pairs, 0.0)  # frames: an exact zero may come out as rounding noise
    return ratio(pairs, pairs.sum())


def relation(joint: Array, uniform: Array) -> Array:
    """P_h (eq. 5): (P' - P_U) / P_U, > 0 preference, < 0 avoidance, NaN where phones never share an utterance."""
    return ratio(joint - uniform, uniform)


def concentration(relation_map: Array) -> Array:
    """C_h (eq. 6), the mean of each column over its defined cells: (..., phones, phones) -> (..., phones).

    Above 0, the head focuses on the key phone; below 0, it neglects it.
    """
    defined = ~np.isnan(relation_map)
    return ratio(np.where(defined, relation_map, 0.0).sum(axis=-2), defined.sum(axis=-2))


def frame_membership(labels: NDArray[np.int64], classes: int, upsampling_factor: int = 1) -> Array:
    """Share of each of the model's frames that each class covers.

    Args:
        labels: (T * upsampling_factor,) class of each up-sampled frame, -1 for none.
        classes: number of classes.
        upsampling_factor: frames that the model stacks into one (R of the paper).

    Returns:
        (T, classes) float64; a row sums to 1 where all its up-sampled frames are labelled.
    """
    frames = len(labels) // upsampling_factor
    counts = np.zeros((frames, classes))
    labels = labels[: frames * upsampling_factor]
    labelled = np.flatnonzero(labels >= 0)
    np.add.at(counts, (labelled // upsampling_factor, labels[labelled]), 1.0)
    return counts / upsampling_factor


def segment_runs(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each frame's run of equal labels, 0, 1, 2 ...; -1 where unlabelled."""
    runs = np.cumsum(np.diff(labels, prepend=labels[:1]) != 0)
    kept = np.unique(runs[labels >= 0])
    return np.where(labels >= 0, np.searchsorted(kept, runs), -1)
