"""Convolutions and feed-forward layers of long audio, piece by piece, in nearly constant memory.

wav2vec2's first convolution turns every second of audio into 3200 x 512 numbers; at once, five minutes of them are 2
GB, and several copies exist at the same time. Each frame sees 25 ms, so pieces that overlap by as much give the same
frames, in less time, since memory is reused. Only group normalisation depends on the whole utterance: its statistics
follow from those of the waveform.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sat_probe.models.families.frames import receptive_field
from sat_probe.models.long_audio_convolutions import ProductLayer, can_be_products

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
