"""Inputs and outputs of the attention of one utterance in one layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sat_probe.models.attention.tiles import HIDDEN

_LOG2_E = 1 / math.log(2)  # scores are in base 2: exp is seventy times slower where it underflows


@dataclass(frozen=True, slots=True)
class Inputs:
    """One utterance in one layer.

    Attributes:
        query: (heads, frames, size), scaled so that scores are in base 2.
        key, value: (heads, keys, size), without padding where the model masks it.
        masks: each broadcastable to (heads, frames, keys or more); bool (True attends) or float (added to the scores).
        gate: (heads,) factors on the weights, or None.
        output: (heads, frames, size), filled by the attention.
        maps: (heads, frames, keys or more), filled by the attention; None if nobody asks for them.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    masks: Sequence[Tensor]
    gate: Tensor | None
    output: Tensor
    maps: Tensor | None

    @property
    def precise(self) -> torch.dtype:
        """The dtype of scores and weights: float32, or more if the model computes in more."""
        return torch.promote_types(self.value.dtype, torch.float32)

    def mask_scores(self, scores: Tensor, heads: slice, rows: slice, columns: slice) -> None:
        """Apply the masks to scores of some heads, rows and columns."""
        for mask in self.masks:
            part = mask[
                heads if mask.shape[0] > 1 else slice(None), rows if mask.shape[1] > 1 else slice(None), columns
            ]
            if part.dtype == torch.bool:
                scores.masked_fill_(~part, HIDDEN)
            else:
                scores.add_(part, alpha=_LOG2_E).clamp_(min=HIDDEN)

    def keep(self, weights: Tensor, heads: slice, rows: slice, columns: slice) -> None:
        """Apply the gate to weights in place, and store them if maps are wanted."""
        if self.gate is not None:
            weights.mul_(self.gate[heads, None, None])
        if self.maps is not None:
            self.maps[heads, rows, columns] = weights.to(self.maps.dtype)


def utterance_inputs(
    utterance: int,
    length: int,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    gate: Tensor | None,
    output: Tensor,
    maps: Tensor | None,
) -> Inputs:
    """Return the inputs of one utterance with ``length`` true frames; tensors as in :func:`attend`."""
    keys = key.shape[2]
    own_mask, own_bias = (None if one is None else one[utterance if one.shape[0] > 1 else 0] for one in (mask, bias))
    if _is_padding(own_mask, length):
        keys, own_mask = length, None
    return Inputs(
        query[utterance] * _LOG2_E,
        key[utterance, :, :keys],
        value[utterance, :, :keys],
        [one for one in (own_mask, own_bias) if one is not None],
        gate,
        output[utterance],
        None if maps is None else maps[utterance],
    )


def _is_padding(mask: Tensor | None, length: int) -> bool:
    """Return whether a mask only hides the keys beyond ``length`` from the true queries."""
    if mask is None or mask.dtype != torch.bool:
        return False
    true_rows = mask[:, : min(length, mask.shape[1])]
    return bool(true_rows[:, :, :length].all()) and not bool(true_rows[:, :, length:].any())
