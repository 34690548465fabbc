"""Convolutions over time as matrix products of (time, channels), without copies.

A kernel of k taps and stride s reads k rows of (time, channels) at once. Rows s apart start s * channels numbers apart,
so s taps of every frame are one matrix that exists already: k taps are ceil(k / s) products, added up.

Measured on one core with 60 s and the convolutions of wav2vec2-base: nn.Conv1d in the same pieces takes 1.13 times as
long with group norm and 1.64 times with layer norm, in the same memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn


class ProductLayer:
    """A layer of a wav2vec2-like feature encoder: convolution, norm over channels if it has one, activation.

    Args:
        layer: of transformers, with ``conv``, ``activation``, and perhaps ``layer_norm``.
        statistics: mean and variance over time of each channel, each (channels,), for a layer with group norm.
    """

    def __init__(self, layer: Any, statistics: tuple[Tensor, Tensor] | None = None) -> None:
        convolution: nn.Conv1d = layer.conv
        norm: Any = getattr(layer, "layer_norm", None)
        weight, bias = convolution.weight, convolution.bias
        if statistics is not None:
            # the scale and shift of group norm are known beforehand: the convolution applies them
            mean, variance = statistics
            scale = norm.weight / (variance + norm.eps).sqrt()
            shift = norm.bias - mean * scale
            bias = (shift if bias is None else shift + bias * scale).to(weight.dtype)
            weight = (weight * scale[:, None, None]).to(weight.dtype)
            norm = None
        (self.kernel,), (self.stride,) = convolution.kernel_size, convolution.stride
        self.weight = weight.permute(2, 1, 0).flatten(0, 1).contiguous()
        self.bias, self.norm, self.activation = bias, norm, layer.activation

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return (frames, channels) for (time, channels)."""
        frames = (len(hidden) - self.kernel) // self.stride + 1
        convolved = None
        for taps, first in self._taps(hidden, frames):
            weight = self.weight[first : first + taps.shape[1]]
            if convolved is not None:
                convolved.addmm_(taps, weight)
            elif self.bias is None:
                convolved = taps @ weight
            else:
                convolved = torch.addmm(self.bias, taps, weight)
        return self.activation(convolved if self.norm is None else self.norm(convolved))

    def _taps(self, hidden: Tensor, frames: int) -> Iterator[tuple[Tensor, int]]:
        """Yield matrices of neighbouring taps, (frames, taps * channels), and the first row of their weights."""
        channels, stride = hidden.shape[1], self.stride
        if channels == 1:  # a small copy is cheaper than many thin products
            yield hidden[:, 0].unfold(0, self.kernel, stride), 0
            return
        for first in range(0, self.kernel, stride):
            taps = min(stride, self.kernel - first)
            start = hidden.storage_offset() + first * channels
            yield (hidden.as_strided((frames, taps * channels), (stride * channels, 1), start), first * channels)


def can_be_products(layer: Any) -> bool:
    """Return whether :class:`ProductLayer` can compute a layer: no padding, dilation or groups."""
    convolution, norm = layer.conv, getattr(layer, "layer_norm", None)
    plain = convolution.padding == (0,) and convolution.dilation == (1,) and convolution.groups == 1
    return plain and (
        norm is None
        or isinstance(norm, nn.LayerNorm)
        or (isinstance(norm, nn.GroupNorm) and norm.num_groups == norm.num_channels)
    )
