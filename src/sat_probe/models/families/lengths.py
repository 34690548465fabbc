"""How many encoder frames of each family hold speech, and how long an input may be.

Lengths of inputs are in samples, or in feature frames where the model takes features.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor


def library_lengths(model: Any, lengths: Tensor) -> Tensor:
    """What the model's own class says, without an adapter behind the encoder."""
    if hasattr(model, "_get_subsampling_output_length"):
        return model._get_subsampling_output_length(lengths)
    if hasattr(model.config, "add_adapter"):
        return model._get_feat_extract_output_lengths(lengths, add_adapter=False)
    return model._get_feat_extract_output_lengths(lengths)


def squeezed_lengths(model: Any, lengths: Tensor) -> Tensor:
    """An odd last convolutional frame fills no squeezed one."""
    return model._get_feat_extract_output_lengths(lengths) // model.config.squeeze_factor


def halved_lengths(model: Any, lengths: Tensor) -> Tensor:
    """One symmetric convolution of stride 2."""
    return (lengths - 1) // 2 + 1


def each_length(model: Any, lengths: Tensor) -> Tensor:
    """Of a model that counts one utterance at a time."""
    return lengths.new_tensor([int(model._get_feat_extract_output_lengths(length)) for length in lengths])


def same_lengths(model: Any, lengths: Tensor) -> Tensor:
    """Input frames are encoder frames."""
    return lengths


def stacked_lengths(model: Any, lengths: Tensor) -> Tensor:
    """A partly filled stack counts: the model fills it with zeros."""
    return -(-lengths // model.config.subsampling_factor)


def floored_half_lengths(model: Any, lengths: Tensor) -> Tensor:
    """One convolution of stride 2 that looks back only, by one frame less than its kernel."""
    return lengths // 2


def own_lengths(model: Any, lengths: Tensor) -> Tensor:
    """What a Mockingjay says: partly filled stacks count where they exist."""
    return model.get_output_lengths(lengths)


def prenet_lengths(model: Any, lengths: Tensor) -> Tensor:
    """Of the convolutions in front of SpeechT5's encoder."""
    return model.prenet._get_feat_extract_output_lengths(lengths)


def windowed_lengths(model: Any, lengths: Tensor) -> Tensor:
    """Whole windows of samples, halved twice (Moonshine Streaming)."""
    window = round(model.config.sample_rate * model.config.frame_ms / 1000)
    return halved_lengths(model, halved_lengths(model, lengths // window))


def reduced_lengths(model: Any, lengths: Tensor) -> Tensor:
    """``time_reduction`` filterbank frames make one (Phi-4)."""
    return -(-lengths // model.config.time_reduction)


def patch_lengths(model: Any, lengths: Tensor) -> Tensor:
    """Two special positions and all patches, whatever the audio (AST)."""
    return lengths.new_full(lengths.shape, model.embeddings.position_embeddings.shape[1])


def longest_of_positions(config: Any, feature_extractor: Any) -> float:
    """Samples that fill the position table of a Whisper."""
    stride = 2  # of its second convolution
    return config.max_source_positions * stride * feature_extractor.hop_length


def longest_of_unfolding(config: Any, feature_extractor: Any) -> float:
    """Samples that Phi-4 encodes in one piece; it cuts what is longer."""
    pieces = 500  # frames, fixed by its code
    return pieces * config.time_reduction * feature_extractor.hop_length


def longest_of_spectrogram(config: Any, feature_extractor: Any) -> float:
    """Samples that fill AST's spectrogram: filterbank frames of 25 ms every 10 ms."""
    return ((config.max_length - 1) * 0.010 + 0.025) * feature_extractor.sampling_rate
