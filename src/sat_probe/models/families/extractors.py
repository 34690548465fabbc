"""Default feature extractor of each family, for checkpoints without one."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from sat_probe.models.mockingjay import MockingjayFeatureExtractor


def named(name: str, **options: Any) -> Callable[[Any], Any]:
    """Return a function for an extractor of transformers that does not depend on the configuration."""
    return lambda config: _extractor(name)(**options)


def normalised_waveform(config: Any) -> Any:
    """Return an extractor of waveforms, normalised per utterance."""
    masked = getattr(config, "feat_extract_norm", "layer") == "layer"
    return _extractor("Wav2Vec2FeatureExtractor")(return_attention_mask=masked)


def plain_waveform(config: Any) -> Any:
    """Return an extractor of waveforms without normalisation."""
    return _extractor("Wav2Vec2FeatureExtractor")(do_normalize=False, return_attention_mask=True)


def whisper(config: Any) -> Any:
    """Return an extractor of log-mel spectrograms, as long as the positions of the model."""
    seconds = getattr(config, "max_source_positions", 1500) // 50
    return _extractor("WhisperFeatureExtractor")(feature_size=config.num_mel_bins, chunk_length=seconds)


def mel(name: str) -> Callable[[Any], Any]:
    """Return a function for an extractor with the mel bins of the configuration."""
    return lambda config: _extractor(name)(feature_size=config.num_mel_bins)


def filterbank(config: Any) -> Any:
    """Return an extractor of Kaldi filterbanks, normalised per utterance (Speech2Text)."""
    size = config.input_feat_per_channel
    return _extractor("Speech2TextFeatureExtractor")(feature_size=size, num_mel_bins=size)


def stacked_filterbank(config: Any) -> Any:
    """Return an extractor of Kaldi filterbanks, two frames stacked (SeamlessM4T, Wav2Vec2-BERT)."""
    size = getattr(config, "feature_projection_input_dim", 160) // 2
    return _extractor("SeamlessM4TFeatureExtractor")(feature_size=size, num_mel_bins=size)


def spectrogram(config: Any) -> Any:
    """Return an extractor of Kaldi filterbanks, padded to the model's fixed size (AST)."""
    return _extractor("ASTFeatureExtractor")(num_mel_bins=config.num_mel_bins, max_length=config.max_length)


def mockingjay(config: Any) -> MockingjayFeatureExtractor:
    """Return an extractor of the features that the configuration names, stacked by its R."""
    return MockingjayFeatureExtractor.for_config(config)


def fit_to_model(extractor: Any, config: Any) -> Any:
    """Return an extractor whose stacking agrees with that of its model."""
    if isinstance(extractor, MockingjayFeatureExtractor):
        # otherwise stacks of speech and padding would exist in a batch, but not for one utterance
        extractor.downsample_rate = config.downsample_rate
    return extractor


def _extractor(name: str) -> Any:
    return getattr(import_module("transformers"), name)
