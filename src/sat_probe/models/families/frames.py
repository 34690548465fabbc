"""Frame grids of the families: each frame is at the centre of its receptive field."""

from __future__ import annotations

from collections.abc import Sequence
from math import log2, prod
from typing import Any

from sat_probe.errors import ModelError
from sat_probe.frames import FrameGrid

_KALDI_WINDOW = 400  # samples (25 ms) of the frame-wise filterbanks that start at sample 0


def convolution_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Frames of a stack of convolutions on samples: hop = product of strides, centre = half the receptive field."""
    return _on_samples(config.conv_kernel, config.conv_stride, feature_extractor)


def squeezed_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Convolutional frames, averaged ``squeeze_factor`` at a time before the attention (SEW)."""
    return convolution_grid(config, feature_extractor).stacked(config.squeeze_factor)


def moonshine_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Three convolutions on samples, whose sizes the architecture fixes."""
    return _on_samples((127, 7, 3), (64, 3, 2), feature_extractor)


def moonshine_streaming_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Short windows of samples, then two causal convolutions."""
    window = round(config.sample_rate * config.frame_ms / 1000)
    frames = FrameGrid(window, window / 2, feature_extractor.sampling_rate)
    return convolved(convolved(frames, 5, 2, 4), 5, 2, 4)


def whisper_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Mel frames centred on multiples of the hop, every second one kept by a symmetric convolution."""
    return convolved(_centred(feature_extractor), 3, 2, 1)


def causal_whisper_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """As Whisper's, but with two causal convolutions (Voxtral Realtime)."""
    return convolved(convolved(_centred(feature_extractor), 3, 1, 2), 3, 2, 1)


def stacked_filterbank_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Filterbank frames of 25 ms every 10 ms, ``stride`` of them stacked (SeamlessM4T, Wav2Vec2-BERT)."""
    return _filterbank(feature_extractor, 10).stacked(feature_extractor.stride)


def speech_to_text_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Filterbank frames, halved by each symmetric convolution."""
    return _halved(_filterbank(feature_extractor, 10), config.num_conv_layers)


def low_frame_rate_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Filterbank frames, windows of them centred on every ``stride_lfr``-th (Fun-ASR)."""
    frames = _filterbank(feature_extractor, feature_extractor.frame_shift)
    return FrameGrid(frames.hop * feature_extractor.stride_lfr, frames.first_centre, frames.sampling_rate)


def subsampled_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Centred mel frames, halved by symmetric convolutions (Parakeet)."""
    return _halved(_centred(feature_extractor), round(log2(config.subsampling_factor)))


def causally_subsampled_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Centred mel frames, halved by causal convolutions."""
    grid = _centred(feature_extractor)
    kernel, stride = config.subsampling_conv_kernel_size, config.subsampling_conv_stride
    for _ in range(round(log2(config.subsampling_factor))):
        grid = convolved(grid, kernel, stride, kernel - 1)
    return grid


def unpadded_filterbank_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Filterbank frames, then two convolutions without padding (LASR)."""
    hop, window = feature_extractor.hop_length, feature_extractor.win_length
    grid = FrameGrid(hop, window / 2, feature_extractor.sampling_rate)
    for _ in range(2):
        grid = convolved(grid, config.subsampling_conv_kernel_size, config.subsampling_conv_stride, 0)
    return grid


def stacked_mel_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Centred mel frames, ``subsampling_factor`` of them stacked (Nemotron)."""
    return _centred(feature_extractor).stacked(config.subsampling_factor)


def phi4_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Filterbank frames from sample 0 on, halved by symmetric convolutions."""
    frames = FrameGrid(feature_extractor.hop_length, feature_extractor.win_length / 2, feature_extractor.sampling_rate)
    return _halved(frames, round(log2(config.time_reduction)))


def mockingjay_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Mel frames, stacked R at a time."""
    frames = FrameGrid(config.hop_length, float(config.first_frame_centre), config.sampling_rate)
    return frames.stacked(config.downsample_rate)


def no_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Raise: AST attends over patches of a spectrogram, several for each moment, and two for none.

    Raises:
        ModelError: always.
    """
    raise ModelError(
        f"{config.model_type} attends over patches of time and frequency: its positions are not frames in time, "
        "so time-based measures do not apply; maps, head masks and observers do"
    )


def convolved(grid: FrameGrid, kernel: int, stride: int, left_padding: int) -> FrameGrid:
    """Return the grid after a convolution over frames; a causal one may have centres before the audio."""
    shift = (kernel - 1) / 2 - left_padding
    return FrameGrid(grid.hop * stride, grid.first_centre + grid.hop * shift, grid.sampling_rate)


def receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Return the number of samples that one output of a stack of unpadded convolutions sees."""
    field, step = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * step
        step *= stride
    return field


def _on_samples(kernels: Sequence[int], strides: Sequence[int], feature_extractor: Any) -> FrameGrid:
    return FrameGrid(prod(strides), receptive_field(kernels, strides) / 2, feature_extractor.sampling_rate)


def _centred(feature_extractor: Any) -> FrameGrid:
    return FrameGrid(feature_extractor.hop_length, 0.0, feature_extractor.sampling_rate)


def _filterbank(feature_extractor: Any, shift: float) -> FrameGrid:
    return FrameGrid(
        round(feature_extractor.sampling_rate * shift / 1000), _KALDI_WINDOW / 2, feature_extractor.sampling_rate
    )


def _halved(grid: FrameGrid, times: int) -> FrameGrid:
    for _ in range(times):
        grid = convolved(grid, 3, 2, 1)
    return grid
