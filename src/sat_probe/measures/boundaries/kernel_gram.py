"""Boundaries from the self-similarity of features (Yang, Liu, Lee 2020, section 5; after Bhati et al. 2017).

The steps by their definition:

- similarity ``K[i, j] = exp(-||v_i - v_j|| / alpha)``, 2-norm (:func:`distances`)
- :func:`filtered_matrix`: row i keeps the run of entries around the diagonal that exceed ``beta * mean_j K[i, j]``
- :func:`score_curve`: ``S[t] = sum_k Kf[t - k, t + k]``
- :func:`curve_minima`: local minima of S are boundaries

:func:`score_curves` gives the same curves for many alphas and betas without building the filtered matrix. The run of
row i spans columns first .. last; on the anti-diagonal of t it has the entry (i, 2 t - i), so row i adds one to S at
every t from (i + first) / 2 to (i + last) / 2. The time for a curve is proportional to the frames, not to their square.

**Plateaus.** S counts, so neighbouring values are often equal. A local minimum is a longest run of equal values with a
higher value on both sides; its boundary is the middle of the run, which may be between two frames. A run at an end of
the curve has only one side and is not a boundary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat_probe.errors import ConfigurationError

Array = NDArray[np.float64]


def filtered_matrix(similarity: ArrayLike, beta: float) -> NDArray[np.bool_]:
    """Whether all entries of a row from the diagonal to here exceed ``beta`` times the row's mean; (frames, frames)."""
    _require_positive(beta, "beta")
    values = np.asarray(similarity, dtype=np.float64)
    first, last = _extents(values, np.array([beta]))
    columns = np.arange(len(values))
    return np.asarray((columns >= first[0][:, None]) & (columns <= last[0][:, None]))


def score_curve(filtered: ArrayLike) -> NDArray[np.int64]:
    """Sum along the anti-diagonal through each diagonal entry, indices inside the matrix: (frames,) int64."""
    flipped = np.asarray(filtered)[:, ::-1].astype(np.int64)
    frames = len(flipped)
    # the anti-diagonal of t holds rows and columns that sum to 2 t: a diagonal of the mirrored matrix
    return np.array([np.trace(flipped, offset=frames - 1 - 2 * t) for t in range(frames)], dtype=np.int64)


def curve_minima(curve: ArrayLike) -> Array:
    """Middles of the local minima of a curve (frames,), in frames, ascending; for plateaus see the module."""
    return minima_by_row(np.asarray(curve)[None])[0]


def segment(features: ArrayLike, alpha: float, beta: float, *, upsampling_factor: int = 1) -> Array:
    """Boundaries of one utterance, in frames of the up-sampled rate.

    Args:
        features: (frames, dimensions).
        alpha: scale of the distances; small is local.
        beta: threshold relative to the row's mean; larger gives more boundaries.
        upsampling_factor: repetitions of each frame, for models that stack frames; the features have the model's rate.

    Raises:
        ConfigurationError: if a parameter is not positive, or the features are not a finite matrix.
    """
    return curve_minima(score_curves(distances(features), [alpha], [beta], upsampling_factor)[0, 0])


def distances(features: ArrayLike) -> Array:
    """2-norms of all differences: features (..., frames, dimensions) to (..., frames, frames) float64."""
    values = np.asarray(features, dtype=np.float64)
    if values.ndim < 2 or not values.shape[-2] or not np.isfinite(features).all():
        raise ConfigurationError(f"features must be a finite matrix (frames, dimensions), got shape {values.shape}")
    # about the mean, so that a common offset costs no digits
    values = values - values.mean(axis=-2, keepdims=True)
    squares = np.einsum("...td,...td->...t", values, values)
    products = values @ np.swapaxes(values, -1, -2)
    squared = squares[..., :, None] + squares[..., None, :] - 2 * products
    diagonal = np.arange(values.shape[-2])
    squared[..., diagonal, diagonal] = 0
    return np.asarray(np.sqrt(np.maximum(squared, 0, out=squared), out=squared))


def score_curves(
    distance: Array, alphas: Sequence[float], betas: Sequence[float], upsampling_factor: int = 1
) -> NDArray[np.int64]:
    """Score curves of one utterance for every pair of alpha and beta.

    Args:
        distance: (frames, frames) of :func:`distances`.
        alphas: scales.
        betas: thresholds.
        upsampling_factor: repetitions of each frame, as if rows and columns were repeated.

    Returns:
        (alphas, betas, frames * upsampling_factor) int64.
    """
    for value in (*alphas, *betas, upsampling_factor):
        _require_positive(value, "alpha, beta and upsampling_factor")
    curves = [_curves(*_extents(np.exp(distance / -alpha), np.asarray(betas)), upsampling_factor) for alpha in alphas]
    return np.stack(curves)


def minima_by_row(curves: NDArray[np.int64]) -> list[Array]:
    """:func:`curve_minima` of each row of (rows, frames), all rows at once."""
    rows, frames = curves.shape
    flat = curves.reshape(-1)
    # a run of equal values starts where a row starts or the value changes
    starting = np.ones(flat.size, dtype=bool)
    starting[1:] = flat[1:] != flat[:-1]
    starting[::frames] = True
    starts = np.flatnonzero(starting)
    ends = np.append(starts[1:], flat.size) - 1
    inside = (starts % frames > 0) & (ends % frames < frames - 1)
    starts, ends = starts[inside], ends[inside]
    lowest = (flat[starts - 1] > flat[starts]) & (flat[ends + 1] > flat[starts])
    starts, ends = starts[lowest], ends[lowest]
    middles = (starts % frames + ends % frames) / 2
    return np.split(middles, np.searchsorted(starts, frames * np.arange(1, rows)))


def _extents(similarity: Array, betas: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and last column of each row's run for each beta, (betas, frames); last < first where the diagonal fails."""
    frames = len(similarity)
    thresholds = betas[:, None] * similarity.mean(axis=1)
    padded = np.full((frames, 3 * frames), -1.0)
    padded[:, frames : 2 * frames] = similarity
    # seen from the diagonal: entry k of row i is column i + k to the right, i - k to the left
    rows, columns = padded.strides
    centre = padded[:, frames:]
    right = np.lib.stride_tricks.as_strided(centre, (frames, frames + 1), (rows + columns, columns), writeable=False)
    left = np.lib.stride_tricks.as_strided(centre, (frames, frames + 1), (rows + columns, -columns), writeable=False)
    rows_index = np.arange(frames)
    return rows_index - _reach(left, thresholds) + 1, rows_index + _reach(right, thresholds) - 1


def _reach(similarity: Array, thresholds: Array) -> NDArray[np.int64]:
    """How many first entries of each row (frames, steps) all exceed its threshold, (betas, frames)."""
    steps = similarity.shape[1]
    width = min(32, steps)
    while True:
        # the lowest entry so far falls along the row, so what exceeds is counted, in a band as wide as it needs to be
        lowest = np.minimum.accumulate(similarity[:, :width], axis=1)
        if width == steps or (lowest[:, -1] <= thresholds.min(axis=0)).all():
            return np.stack([(lowest > threshold[:, None]).sum(axis=1) for threshold in thresholds])
        width = min(2 * width, steps)


def _curves(first: NDArray[np.int64], last: NDArray[np.int64], factor: int) -> NDArray[np.int64]:
    """Score curves from the runs of rows, (betas, frames) to (betas, frames * factor)."""
    betas, frames = first.shape
    length = frames * factor
    rows = np.arange(length)
    first = np.repeat(first * factor, factor, axis=1)
    last = np.repeat(last * factor + factor - 1, factor, axis=1)
    from_frame = (rows + first + 1) // 2
    to_frame = (rows + last) // 2
    curve = np.arange(betas)[:, None] * (length + 1)
    kept = last >= first
    steps = np.bincount((from_frame + curve)[kept], minlength=betas * (length + 1))
    steps = steps - np.bincount((to_frame + 1 + curve)[kept], minlength=betas * (length + 1))
    return np.cumsum(steps.reshape(betas, length + 1), axis=1)[:, :-1]


def _require_positive(value: float, name: str) -> None:
    if not (np.isfinite(value) and value > 0):
        raise ConfigurationError(f"{name} must be positive and finite, got {value!r}")
