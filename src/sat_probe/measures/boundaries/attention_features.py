"""Attention maps as features of frames, for segmentation (Yang, Liu, Lee 2020, section 5 and supplement 1).

The paper's features are the rows of a map. Two variants are available by name:

- ``"rows_and_columns"``: the attention of a frame, and the attention to it.
- shifts: the model reads the audio n times, starting 1/n of a frame later each time, and the up-sampled maps are
  averaged. Stacked frames of 30 ms then distinguish times 10 ms apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat_probe.errors import ConfigurationError

AttentionFeatures = Literal["rows", "rows_and_columns"]


def attention_features(attention: ArrayLike, kind: AttentionFeatures) -> NDArray[np.float64]:
    """Features of the frames of maps (..., frames, frames), queries first: (..., frames, dimensions)."""
    if kind not in get_args(AttentionFeatures):
        raise ConfigurationError(
            f"unknown attention features {kind!r}: choose one of {', '.join(get_args(AttentionFeatures))}"
        )
    rows = np.asarray(attention, dtype=np.float64)
    return rows if kind == "rows" else np.concatenate([rows, np.swapaxes(rows, -1, -2)], axis=-1)


def upsampled_map(attention: ArrayLike, factor: int) -> NDArray[np.float64]:
    """Repeat each weight factor x factor times and normalise rows (supplement 1): (..., T, T) to (..., T R, T R)."""
    weights = np.asarray(attention, dtype=np.float64)
    return weights.repeat(factor, axis=-2).repeat(factor, axis=-1) / factor


def upsampled_states(states: ArrayLike, factor: int) -> NDArray[np.float64]:
    """Repeat each frame: (frames, dimensions) to (frames factor, dimensions)."""
    return np.asarray(states, dtype=np.float64).repeat(factor, axis=-2)


def average_shifted(shifted: Sequence[NDArray[np.float64]], length: int, axes: int) -> NDArray[np.float64]:
    """Average up-sampled maps or states of one utterance, of which the s-th starts s frames late.

    Args:
        shifted: the s-th has its frames s, s + 1, ... of the whole along the time axes.
        length: frames of the result; frames beyond a shifted map repeat its nearest frame.
        axes: 2 for maps (..., frames, frames), 1 for states (frames, dimensions).
    """
    total: NDArray[np.float64] | None = None
    for shift, values in enumerate(shifted):
        frames = values.shape[-2]
        nearest = np.clip(np.arange(length) - shift, 0, frames - 1)
        placed = values[..., nearest, :][..., nearest] if axes == 2 else values[..., nearest, :]
        total = placed if total is None else total + placed
    assert total is not None
    return total / len(shifted)
