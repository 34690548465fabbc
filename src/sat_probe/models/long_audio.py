"""Convolutional feature encoders piece by piece, so that an hour of audio needs no more memory than a few seconds.

wav2vec2's first convolution turns every second of audio into 3200 x 512 numbers; at once, five minutes of them are 2
GB, and several copies live at the same time. Each frame sees 25 ms, so pieces that overlap by as much give the same
frames, in less time, since fresh memory is not asked for again and again. Only group normalisation looks at all of
time: its statistics follow from those of the waveform.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from sat_probe.models.family_frames import receptive_field

WHOLE_FRAMES = 250  # up to here (5 s at 20 ms) audio is convolved at once, as the model itself would
PIECE_FRAMES = (
    100  # beyond it, so many encoder frames (2 s) at once: small enough for memory to be used again
)
_WINDOWS = 65_536  # windows of samples whose products are summed at once


@contextmanager
def convolving_in_pieces(model: nn.Module) -> Iterator[None]:
    """Inside the block, a wav2vec2-like model convolves long audio piece by piece; other models are left alone."""
    encoder: Any = getattr(model, "feature_extractor", None)
    if not hasattr(encoder, "conv_layers") or "forward" in encoder.__dict__:
        yield
        return
    whole = encoder.forward
    encoder.__dict__["forward"] = lambda input_values: _convolve(encoder, whole, input_values)
    try:
        yield
    finally:
        del encoder.__dict__["forward"]


def _convolve(encoder: Any, whole: Any, input_values: Tensor) -> Tensor:
    """(batch, samples) -> (batch, channels, frames), as the encoder's own forward."""
    layers = list(encoder.conv_layers)
    kernels = [layer.conv.kernel_size[0] for layer in layers]
    strides = [layer.conv.stride[0] for layer in layers]
    field, hop = receptive_field(kernels, strides), int(torch.tensor(strides).prod())
    frames = (input_values.shape[1] - field) // hop + 1
    unpadded = all(layer.conv.padding[0] == 0 and layer.conv.dilation[0] == 1 for layer in layers)
    if frames <= WHOLE_FRAMES or not unpadded or torch.is_grad_enabled():
        return whole(input_values)
    samples = input_values[:, None]
    first = layers[0]
    norm: Any = getattr(first, "layer_norm", None)
    statistics = None
    if isinstance(norm, nn.GroupNorm):
        statistics = _time_statistics(first.conv, samples)
    output = None
    for start in range(0, frames, PIECE_FRAMES):
        stop = min(start + PIECE_FRAMES, frames)
        hidden = samples[:, :, start * hop : (stop - 1) * hop + field]
        for layer in layers:
            if layer is first and statistics is not None:
                hidden = layer.activation(_normalised(layer.conv(hidden), norm, *statistics))
            else:
                hidden = layer(hidden)
        if output is None:
            output = hidden.new_empty(*hidden.shape[:2], frames)
        output[:, :, start:stop] = hidden
    assert output is not None
    return output


def _time_statistics(convolution: nn.Conv1d, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance over time of every channel of the first convolution, each (batch, channels, 1) float64.

    A channel is w . x + b of the window x of samples that it sees: its mean is w . mean(x) + b and its variance
    w' cov(x) w, so that the convolution itself need not be computed for them.
    """
    kernel, stride = convolution.kernel_size[0], convolution.stride[0]
    windows = samples[:, 0].unfold(-1, kernel, stride)  # (batch, frames, kernel), a view
    count = windows.shape[1]
    total = windows.new_zeros(len(windows), kernel, dtype=torch.float64)
    products = windows.new_zeros(len(windows), kernel, kernel, dtype=torch.float64)
    for part in windows.split(_WINDOWS, dim=1):
        precise = part.double()
        total += precise.sum(1)
        products += precise.mT @ precise
    mean = total / count
    covariance = products / count - mean[:, :, None] * mean[:, None]
    weight = convolution.weight[:, 0].double()
    means = mean @ weight.T
    if convolution.bias is not None:
        means = means + convolution.bias.double()
    variances = torch.einsum("ck,bkl,cl->bc", weight, covariance, weight)
    return means[..., None], variances.clamp(min=0)[..., None]


def _normalised(hidden: Tensor, norm: nn.GroupNorm, mean: Tensor, variance: Tensor) -> Tensor:
    scale = norm.weight[:, None] / (variance + norm.eps).sqrt()
    return torch.addcmul((norm.bias[:, None] - mean * scale).to(hidden.dtype), hidden, scale.to(hidden.dtype))
