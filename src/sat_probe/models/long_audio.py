"""Convolutions and feed-forward layers of long audio, piece by piece, in nearly constant memory.

wav2vec2's first convolution turns every second of audio into 3200 x 512 numbers; at once, five minutes of them are 2
GB, and several copies exist at the same time. Each frame sees 25 ms, so pieces that overlap by as much give the same
frames, in less time, since memory is reused. Only group normalisation depends on the whole utterance: its statistics
follow from those of the waveform.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sat_probe.models.families.frames import receptive_field

WHOLE_FRAMES = 100  # up to here (2 s at 20 ms) audio is convolved at once, as in the model itself
PIECE_FRAMES = 100  # beyond it, encoder frames per piece: few enough for memory to be reused
ROWS_FROM, ROWS_AT_ONCE = 4096, 1024  # the same for frames of a feed-forward layer
_WINDOWS = 65_536  # windows of samples per matrix product


def compute_in_pieces(model: nn.Module) -> None:
    """Let a wav2vec2-like model compute long audio piece by piece from now on; other models are left alone."""
    encoder: Any = getattr(model, "feature_extractor", None)
    if not hasattr(encoder, "conv_layers"):
        return
    replaced: dict[nn.Module, Any] = {encoder: partial(_convolve, encoder, encoder.forward)}
    for module in model.modules():
        if type(module).__name__.endswith("FeedForward"):  # each frame on its own
            replaced[module] = partial(_feed_forward, module.forward)
    for module, forward in replaced.items():
        module.__dict__.setdefault("forward", forward)


def _feed_forward(whole: Any, hidden_states: Tensor) -> Tensor:
    """Return the output of a feed-forward layer, (batch, frames, size)."""
    if hidden_states.shape[1] < ROWS_FROM or torch.is_grad_enabled():
        return whole(hidden_states)
    output = torch.empty_like(hidden_states)  # joining parts would need the memory twice
    for start in range(0, hidden_states.shape[1], ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        output[:, rows] = whole(hidden_states[:, rows])
    return output


def _convolve(encoder: Any, whole: Any, input_values: Tensor) -> Tensor:
    """Return the output of the convolutions (batch, channels, frames) for (batch, samples)."""
    layers = list(encoder.conv_layers)
    kernels = [layer.conv.kernel_size[0] for layer in layers]
    strides = [layer.conv.stride[0] for layer in layers]
    field, hop = receptive_field(kernels, strides), math.prod(strides)
    frames = (input_values.shape[1] - field) // hop + 1
    known = all(map(can_be_products, layers)) and not any(
        isinstance(getattr(layer, "layer_norm", None), nn.GroupNorm) for layer in layers[1:]
    )
    if frames <= WHOLE_FRAMES or not known or torch.is_grad_enabled():
        return whole(input_values)
    later = [ProductLayer(layer) for layer in layers[1:]]
    outputs = [_convolve_one(layers[0], later, samples, frames, field, hop) for samples in input_values]
    return torch.stack(outputs).transpose(1, 2) if len(outputs) > 1 else outputs[0].T[None]


def _convolve_one(
    first: Any, later: Sequence[ProductLayer], samples: Tensor, frames: int, field: int, hop: int
) -> Tensor:
    """Return the output of the convolutions (frames, channels) for one waveform (samples,)."""
    grouped = isinstance(getattr(first, "layer_norm", None), nn.GroupNorm)
    layers = [ProductLayer(first, _time_statistics(first.conv, samples) if grouped else None), *later]
    parts = []
    for start in range(0, frames, PIECE_FRAMES):
        stop = min(start + PIECE_FRAMES, frames)
        hidden = samples[start * hop : (stop - 1) * hop + field, None]
        for layer in layers:
            hidden = layer(hidden)
        parts.append(hidden)
    return torch.cat(parts)


def _time_statistics(convolution: nn.Conv1d, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance over time of each channel of a convolution of (samples,), (channels,) float64.

    A channel is w . x + b for a window x of samples: its mean is w . mean(x) + b and its variance
    w' cov(x) w, so that the convolution itself need not be computed for them.
    """
    kernel, stride = convolution.kernel_size[0], convolution.stride[0]
    windows = samples.unfold(0, kernel, stride)  # (frames, kernel), a view
    total = windows.new_zeros(kernel, dtype=torch.float64)
    products = windows.new_zeros(kernel, kernel, dtype=torch.float64)
    for part in windows.split(_WINDOWS):
        precise = part.double()
        total += precise.sum(0)
        products += precise.T @ precise
    mean = total / len(windows)
    covariance = products / len(windows) - torch.outer(mean, mean)
    weight = convolution.weight[:, 0].double()
    means = weight @ mean
    if convolution.bias is not None:
        means = means + convolution.bias.double()
    variances = ((weight @ covariance) * weight).sum(1)
    return means, variances.clamp(min=0)


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
