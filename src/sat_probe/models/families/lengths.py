"""Numbers of encoder frames with speech in each family, and the longest inputs.

Lengths of inputs are in samples, or in feature frames where the model takes features.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor


def library_lengths(model: Any, lengths: Tensor) -> Tensor:
    """Return the lengths that the model's own class computes, without an adapter after the encoder."""
    if hasattr(model, "_get_subsampling_output_length"):
        return model._get_subsampling_output_length(lengths)
    if hasattr(model.config, "add_adapter"):
        return model._get_feat_extract_output_lengths(lengths, add_adapter=False)
    return model._get_feat_extract_output_lengths(lengths)


def squeezed_lengths(model: Any, lengths: Tensor) -> Tensor:
    """Return lengths after squeezing; an odd last frame is dropped."""
    return model._get_feat_extract_output_lengths(lengths) // model.config.squeeze_factor


def halved_lengths(model: Any, lengths: Tensor) -> Tensor:
    """Return lengths after one symmetric convolution of stride 2."""
    return (lengths - 1) // 2 + 1


def each_length(model: Any, lengths: Tensor) -> Tensor:
    """Return the lengths of a model that counts one utterance at a time."""
    return lengths.new_tensor([int(model._get_feat_extract_output_lengths(length)) for length in lengths])


def same_lengths(model: Any, lengths: Tensor) -> Tensor:
    """Return the same lengths: input frames are encoder frames."""
    return lengths


def stacked_lengths(model: Any, lengths: Tensor) -> Tensor:
    """Return the number of stacks; the model fills the last one with zeros."""
    return -(-lengths // model.config.subsampling_factor)


def floored_half_lengths(model: Any, lengths: Tensor) -> Tensor:
    """Return lengths after one causal convolution of stride 2."""
    return lengths // 2


def own_lengths(model: Any, lengths: Tensor) -> Tensor:
    """Return the lengths that a Mockingjay computes: partly filled stacks count if they exist."""
    return model.get_output_lengths(lengths)


def prenet_lengths(model: Any, lengths: Tensor) -> Tensor:
    """Return lengths after the convolutions before SpeechT5's encoder."""
    return model.prenet._get_feat_extract_output_lengths(lengths)


def windowed_lengths(model: Any, lengths: Tensor) -> Tensor:
    """Return the number of whole windows of samples, halved twice (Moonshine Streaming)."""
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
