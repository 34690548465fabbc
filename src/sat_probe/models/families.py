"""What differs from one family of speech encoders to the next, in one table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from transformers import Wav2Vec2FeatureExtractor

from sat_probe.errors import ModelError
from sat_probe.frames import FrameGrid
from sat_probe.models.mockingjay import MockingjayFeatureExtractor
from sat_probe.models.pruning import Pruning


@dataclass(frozen=True, slots=True)
class Family:
    """One family of encoders.

    Attributes:
        model_type: ``config.model_type`` of its checkpoints.
        attention: name of the class of its self-attention modules.
        feature_extractor: config -> the one used when a checkpoint brings none.
        grid: (config, feature extractor) -> where the encoder's frames sit in time.
        padding_changes_frames: config -> True if padding changes valid frames, so that utterances must run one by one.
        stacking: config -> R, input frames stacked into one encoder frame (1 for most).
        pruning: where the heads of its attention modules are, for removing them.
    """

    model_type: str
    attention: str
    feature_extractor: Callable[[Any], Any]
    grid: Callable[[Any, Any], FrameGrid]
    padding_changes_frames: Callable[[Any], bool] = lambda config: False
    stacking: Callable[[Any], int] = lambda config: 1
    pruning: Pruning = Pruning()


def wav2vec2_feature_extractor(config: Any) -> Wav2Vec2FeatureExtractor:
    """Waveforms normalised per utterance."""
    return Wav2Vec2FeatureExtractor(return_attention_mask=config.feat_extract_norm == "layer")


def convolution_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Frames of a stack of convolutions on samples: hop = product of strides, centre = half the receptive field."""
    return FrameGrid(
        hop=prod(config.conv_stride),
        first_centre=receptive_field(config.conv_kernel, config.conv_stride) / 2,
        sampling_rate=feature_extractor.sampling_rate,
    )


def receptive_field(kernels: Sequence[int], strides: Sequence[int]) -> int:
    """Samples that one output of a stack of unpadded convolutions sees."""
    field, step = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * step
        step *= stride
    return field


def mockingjay_grid(config: Any, feature_extractor: Any) -> FrameGrid:
    """Mel frames, stacked R at a time."""
    frames = FrameGrid(config.hop_length, float(config.first_frame_centre), config.sampling_rate)
    return frames.stacked(config.downsample_rate)


def group_norm_over_time(config: Any) -> bool:
    """Group norm averages over the whole time axis, padding included."""
    return config.feat_extract_norm == "group"


FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        Family(
            "wav2vec2", "Wav2Vec2Attention", wav2vec2_feature_extractor, convolution_grid,
            padding_changes_frames=group_norm_over_time,
        ),
        Family(
            "hubert", "HubertAttention", wav2vec2_feature_extractor, convolution_grid,
            padding_changes_frames=group_norm_over_time,
        ),
        Family(
            "mockingjay", "MockingjayAttention", MockingjayFeatureExtractor.for_config, mockingjay_grid,
            stacking=lambda config: config.downsample_rate,
        ),
    )
}  # fmt: skip


def family_of(model_type: str) -> Family:
    """The family of a model type.

    Raises:
        ModelError: if it is unknown; the message lists the known ones.
    """
    try:
        return FAMILIES[model_type]
    except KeyError:
        known = ", ".join(sorted(FAMILIES))
        raise ModelError(f"models of type {model_type!r} cannot be probed; known types: {known}") from None
