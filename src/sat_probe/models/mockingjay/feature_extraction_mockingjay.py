"""Feature extractor of the Mockingjay family: spectral features of each utterance alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from transformers.feature_extraction_sequence_utils import SequenceFeatureExtractor
from transformers.feature_extraction_utils import BatchFeature
from transformers.utils import PaddingStrategy, TensorType

from .configuration_mockingjay import MockingjayConfig
from .feature_recipes import feature_recipe, recipe_changes
from .mockingjay_errors import AudioError, ModelError
from .spectral_features import spectral_features


class MockingjayFeatureExtractor(SequenceFeatureExtractor):
    r"""
    Waveforms (16 kHz, mono) -> `input_features` (batch, frames, feature_size) and `attention_mask` (batch, frames).

    Features are extracted from each utterance alone and padded afterwards, so a batch never changes them (the
    original on-line extractor ran on the padded batch).

    Args:
        feature_kind (`str`): which features; a key of `FEATURE_RECIPES`.
        recipe (`dict`, *optional*): numbers of the recipe to change, such as `{"mel_bins": 40}`.
        target_kind (`str`, *optional*): features to reconstruct, if others than the input's.
        target_recipe (`dict`, *optional*): as `recipe`, for the targets.
        do_normalize (`bool`): mean 0 and variance 1 over each utterance (CMVN).
        downsample_rate (`int`): R of the model. Each utterance is cut to a multiple of R frames, so that no stacked row
            mixes speech and padding; such a row would exist in a batch but not alone.
    """

    model_input_names = ["input_features", "attention_mask"]  # noqa: RUF012 - as every extractor has it

    def __init__(
        self,
        feature_kind: str = "online_log_mel",
        recipe: Mapping[str, Any] | None = None,
        target_kind: str | None = None,
        target_recipe: Mapping[str, Any] | None = None,
        do_normalize: bool = True,
        downsample_rate: int = 1,
        sampling_rate: int = 16_000,
        padding_value: float = 0.0,
        **kwargs: Any,
    ):
        features = feature_recipe(feature_kind, recipe)
        kwargs.pop("feature_size", None)
        super().__init__(features.feature_size, sampling_rate, padding_value, **kwargs)
        self.feature_kind = feature_kind
        self.recipe = asdict(features)
        self.target_kind = target_kind
        self.target_recipe = None if target_kind is None else asdict(feature_recipe(target_kind, target_recipe))
        self.do_normalize = do_normalize
        self.downsample_rate = downsample_rate

    @classmethod
    def for_config(cls, config: MockingjayConfig, **kwargs: Any) -> MockingjayFeatureExtractor:
        """Return the extractor of a model, with its feature kinds and sizes and its R.

        Raises:
            ModelError: no recipe makes the model's features.
        """
        if config.feature_kind is None:
            raise ModelError("this model reads features that no recipe makes (feature_kind is None)")
        target_kind = config.target_kind
        if target_kind is None and config.target_size != config.feature_size:
            raise ModelError("target_kind must be set: the targets have another size than the features")
        return cls(
            feature_kind=config.feature_kind,
            recipe=recipe_changes(config.feature_kind, config.feature_size),
            target_kind=target_kind,
            target_recipe=None if target_kind is None else recipe_changes(target_kind, config.target_size),
            downsample_rate=config.downsample_rate,
            sampling_rate=config.sampling_rate,
            **kwargs,
        )

    def extract(self, waveform: np.ndarray, target: bool = False) -> np.ndarray:
        """Return the features of one utterance (samples,), or its reconstruction targets: (frames, size) float32.

        Raises:
            AudioError: the waveform is not one channel, too short, or not finite.
        """
        if target and self.target_kind is not None:
            kind, recipe = self.target_kind, feature_recipe(self.target_kind, self.target_recipe)
        else:
            kind, recipe = self.feature_kind, feature_recipe(self.feature_kind, self.recipe)
        waveform = np.asarray(waveform)
        if waveform.ndim != 1:
            raise AudioError(f"expected one channel of shape (samples,), got shape {waveform.shape}")
        samples = len(waveform)
        if samples < recipe.least_samples or recipe.frame_count(samples) < self.downsample_rate:
            raise AudioError(
                f"{samples} samples ({1000 * samples / self.sampling_rate:.1f} ms) are too short for {kind} features "
                f"stacked by {self.downsample_rate}"
            )
        if not np.isfinite(waveform).all():
            raise AudioError("the waveform holds NaN or infinite samples")
        frames = recipe.frame_count(samples) // self.downsample_rate * self.downsample_rate
        # Statistics cover every frame, as in the originals; frames that do not fill a stack are dropped afterwards.
        return spectral_features(waveform, recipe, self.sampling_rate, self.do_normalize)[:frames]

    def __call__(
        self,
        raw_speech: np.ndarray | Sequence[float] | Sequence[np.ndarray],
        sampling_rate: int | None = None,
        padding: bool | str | PaddingStrategy = True,
        max_length: int | None = None,
        truncation: bool = False,
        pad_to_multiple_of: int | None = None,
        return_attention_mask: bool | None = None,
        return_labels: bool = False,
        return_tensors: str | TensorType | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """
        raw_speech: one waveform (samples,) or a list of them, in [-1, 1].
        sampling_rate: their rate (Hz); another one than the extractor's is refused.
        padding, max_length, truncation, pad_to_multiple_of: as in every transformers extractor, in frames.
        return_labels: add `labels`, the reconstruction targets (batch, frames, target_size).

        Raises:
            AudioError: wrong rate, no waveform, or a waveform that `extract` refuses.
        """
        if sampling_rate is not None and sampling_rate != self.sampling_rate:
            raise AudioError(f"expected audio at {self.sampling_rate} Hz, got {sampling_rate} Hz; resample it first")
        waveforms = _as_list(raw_speech)
        settings = {
            "padding": padding,
            "max_length": max_length,
            "truncation": truncation,
            "pad_to_multiple_of": pad_to_multiple_of,
            "return_tensors": return_tensors,
        }
        batch = self.pad(
            BatchFeature({"input_features": [self.extract(waveform) for waveform in waveforms]}),
            return_attention_mask=return_attention_mask,
            **settings,
        )
        if return_labels:
            targets = BatchFeature({"input_features": [self.extract(waveform, target=True) for waveform in waveforms]})
            batch["labels"] = self.pad(targets, return_attention_mask=False, **settings)["input_features"]
        return batch


def _as_list(raw_speech: np.ndarray | Sequence[float] | Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return one or several waveforms as a list; float32 stays float32."""
    if len(raw_speech) == 0:
        raise AudioError("no audio: an empty waveform or an empty list")
    single = np.ndim(raw_speech[0]) == 0
    waveforms = [np.asarray(one) for one in ([raw_speech] if single else raw_speech)]
    return [one if one.dtype == np.float32 else one.astype(np.float64) for one in waveforms]


__all__ = ["MockingjayFeatureExtractor"]
