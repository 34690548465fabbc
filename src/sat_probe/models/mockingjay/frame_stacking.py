"""Pure functions of the Mockingjay forward pass: positions, stacking of frames, loss."""

from __future__ import annotations

import numpy as np
import torch

_ROWS = 8192  # of float64 angles at a time: an hour's would be a gigabyte


def sinusoid_positions(length: int, size: int) -> torch.Tensor:
    """Return the position table (length, size), float32: sines in even columns, cosines of the same angles in odd ones.

    Computed in float64, as the originals do, so that far positions keep their digits.
    """
    columns = np.arange(size)
    scales = np.power(10_000.0, 2 * (columns // 2) / size)
    table = np.empty((length, size), dtype=np.float32)
    for first in range(0, length, _ROWS):
        rows = np.arange(first, min(first + _ROWS, length))
        angles = rows[:, None] / scales
        table[rows] = np.where(columns % 2, np.cos(angles), np.sin(angles))
    return torch.from_numpy(table)


def stack_frames(features: torch.Tensor, factor: int) -> torch.Tensor:
    """Stack frames: (batch, frames, size) to (batch, frames // factor, size * factor); a partial row is dropped."""
    batch, frames, size = features.shape
    rows = frames // factor
    return features[:, : rows * factor].reshape(batch, rows, size * factor)


def stack_mask(attention_mask: torch.Tensor, factor: int) -> torch.Tensor:
    """Stack a mask: (batch, frames) to (batch, frames // factor) bool; a row is true if any of its frames is."""
    batch, frames = attention_mask.shape
    rows = frames // factor
    return attention_mask[:, : rows * factor].reshape(batch, rows, factor).bool().any(-1)


def reconstruction_loss(
    prediction: torch.Tensor, target: torch.Tensor, selected: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the mean absolute error over the selected values of the whole batch, not per utterance.

    prediction, target: (batch, rows, size).
    selected: bool (batch, rows) or (batch, rows, size); zero if nothing is selected.
    """
    errors = (prediction - target).abs()
    errors = errors.to(torch.promote_types(errors.dtype, torch.float32))
    if selected is None:
        return errors.mean()
    if selected.ndim == 2:
        selected = selected[..., None]
    weights = selected.to(errors.dtype)
    count = weights.sum() * (errors.shape[-1] // weights.shape[-1])
    return (errors * weights).sum() / count.clamp(min=1)
