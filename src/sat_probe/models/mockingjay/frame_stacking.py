"""Pure functions of the Mockingjay forward pass: positions, stacking of frames, joining of chunks, loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

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


def join_chunks(outputs: list[list[BaseModelOutput]], rows: int) -> BaseModelOutput:
    """Return the chunks of each utterance as one batch of `rows` positions, zero after the end of an utterance."""

    def in_time(states: list[torch.Tensor]) -> torch.Tensor:
        whole = torch.cat(states, dim=1)
        return nn.functional.pad(whole, (0, 0, 0, rows - whole.shape[1]))

    def on_diagonal(maps: list[torch.Tensor]) -> torch.Tensor:
        whole = maps[0].new_zeros(*maps[0].shape[:2], rows, rows)
        start = 0
        for one in maps:
            whole[..., start : start + one.shape[-1], start : start + one.shape[-1]] = one
            start += one.shape[-1]
        return whole

    def every_layer(join: Callable[[list[torch.Tensor]], torch.Tensor], name: str) -> tuple[torch.Tensor, ...] | None:
        if getattr(outputs[0][0], name) is None:
            return None
        layers = range(len(getattr(outputs[0][0], name)))
        return tuple(torch.cat([join([getattr(one, name)[k] for one in chunks]) for chunks in outputs]) for k in layers)

    return BaseModelOutput(
        last_hidden_state=torch.cat([in_time([one.last_hidden_state for one in chunks]) for chunks in outputs]),
        hidden_states=every_layer(in_time, "hidden_states"),
        attentions=every_layer(on_diagonal, "attentions"),
    )


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
