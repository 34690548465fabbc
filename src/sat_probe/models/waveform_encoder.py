"""Encoders of waveforms: an encoder with its feature extractor and the times of its frames."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoFeatureExtractor, PreTrainedModel

from sat_probe.errors import AudioError, ModelError
from sat_probe.frames import FrameGrid
from sat_probe.models.families.extractors import fit_to_model
from sat_probe.models.families.family import Family
from sat_probe.models.families.table import family_of
from sat_probe.models.inputs_outputs import ModelInputs

if TYPE_CHECKING:
    from transformers import PreTrainedModel as _Base
else:
    _Base = object

Waveform = NDArray[np.floating] | Tensor


class WaveformEncoder(_Base):
    """Mixin over an encoder of transformers: feature extraction, and the times of frames."""

    _preprocessor_source: tuple[str | Path, dict[str, Any]] | None = None
    _preprocessor: Any = None

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load as in transformers, with the feature extractor of the checkpoint."""
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        hub: dict[str, Any] = {
            name: kwargs[name]
            for name in ("revision", "cache_dir", "token", "local_files_only", "subfolder")
            if name in kwargs
        }
        hub["trust_remote_code"] = kwargs.get("trust_remote_code", False)
        model._preprocessor_source = (pretrained_model_name_or_path, hub)
        model.eval()
        return loaded

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Save as in transformers, with the feature extractor, under the name of the base class."""
        if any(hasattr(module, "lora_A") for module in self.modules()):
            raise ModelError(
                "a model with adapters cannot be saved as one: merge them first (model.merge_and_unload())"
            )
        super().save_pretrained(save_directory, *args, **kwargs)
        config = deepcopy(self.config)
        config.architectures = [base_class(type(self)).__name__]
        config.save_pretrained(save_directory)
        self.preprocessor.save_pretrained(save_directory)

    @property
    def family(self) -> Family:
        """Row of the table of families for this model."""
        return family_of(self.config.model_type)

    @property
    def preprocessor(self) -> Any:
        """Feature extractor of the checkpoint, or the default one of its family."""
        if self._preprocessor is None:
            self._preprocessor = self._load_preprocessor()
        return self._preprocessor

    def _load_preprocessor(self) -> Any:
        try:
            if self._preprocessor_source is not None:
                source, hub = self._preprocessor_source
                try:
                    return fit_to_model(AutoFeatureExtractor.from_pretrained(source, **hub), self.config)
                except (OSError, ValueError):
                    pass  # many folders hold only a model
            return self.family.feature_extractor(self.config)
        except ImportError as error:
            first_line = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
            raise ModelError(f"the features of {type(self).__name__} need another package: {first_line}") from error

    @property
    def sampling_rate(self) -> int:
        """Rate of the waveforms that :meth:`encode` takes, in Hz."""
        return self.preprocessor.sampling_rate

    @property
    def frame_grid(self) -> FrameGrid:
        """Times of the encoder's frames."""
        return self.family.grid(self.config, self.preprocessor)

    @property
    def upsampling_factor(self) -> int:
        """R: number of input frames stacked into one encoder frame (1 for most families)."""
        return self.family.stacking(self.config)

    def frame_lengths(self, input_lengths: Sequence[int]) -> tuple[int, ...]:
        """Return the numbers of encoder frames with speech, for inputs (samples or feature frames) of these lengths."""
        lengths = self.family.lengths(self, torch.as_tensor(input_lengths))
        return tuple(int(length) for length in lengths)

    def prepare(self, waveforms: Sequence[Waveform]) -> list[ModelInputs]:
        """Return model inputs for waveforms: one padded batch, or one each if padding would change valid frames.

        Args:
            waveforms: each (samples,) at :attr:`sampling_rate`.

        Raises:
            AudioError: if a waveform is too short for one frame, or is not (samples,) of finite floats.
        """
        waveforms = checked_waveforms(waveforms)
        alone = self.family.padding_changes_frames(self.config)
        groups = [[waveform] for waveform in waveforms] if alone else [list(waveforms)]
        return [self._prepare(group) for group in groups if group]

    def _prepare(self, waveforms: list[NDArray[np.floating]]) -> ModelInputs:
        family, rate = self.family, self.sampling_rate
        if family.longest is not None:
            longest = family.longest(self.config, self.preprocessor) / rate
            given = max(map(len, waveforms)) / rate
            if given > longest:
                raise AudioError(
                    f"{given:.1f} s of audio is too long: {type(self).__name__} takes at most {longest:.1f} s"
                )
        try:
            inputs = self.preprocessor(
                waveforms, sampling_rate=rate, return_attention_mask=True, return_tensors="pt", **family.extraction
            )
        except (ValueError, IndexError, RuntimeError) as error:
            raise AudioError(f"no features can be extracted: {' '.join(str(error).split())}") from error
        return self._model_inputs(inputs, waveforms)

    def _model_inputs(self, inputs: Mapping[str, Any], waveforms: Sequence[NDArray[np.floating]]) -> ModelInputs:
        """Return the arguments of the model's forward for the output of the feature extractor."""
        family = self.family
        features = next(inputs[name] for name in inputs if name.endswith(("input_values", "input_features")))
        mask = next((inputs[name] for name in inputs if "mask" in name), None)
        if mask is None or (family.masking == "never" and family.extraction["padding"] is True):
            # nothing is padded
            mask = torch.ones(len(features), features.shape[family.frame_axis], dtype=torch.long)
        mask = torch.as_tensor(mask)
        lengths = self.frame_lengths(mask.sum(-1).tolist())
        if min(lengths) < 1:
            shortest = min(len(waveform) for waveform in waveforms) / self.sampling_rate
            raise AudioError(f"{1000 * shortest:.0f} ms of audio is too short for one frame of {type(self).__name__}")
        name, mask_name = family.arguments[0] or self.main_input_name, family.arguments[1]
        tensors = {name: features.to(device=self.device, dtype=self.dtype)}
        if family.masking == "always" or (family.masking == "padded" and not bool(mask.all())):
            tensors[mask_name] = mask.to(self.device)
        elif family.masking == "keys":
            frames = self.frame_lengths([mask.shape[-1]])[0]
            tensors[mask_name] = key_scores(lengths, frames).to(device=self.device, dtype=self.dtype)
        return ModelInputs(tensors, lengths)


def checked_waveforms(waveforms: Sequence[Waveform]) -> list[NDArray[np.floating]]:
    """Return waveforms as arrays (samples,).

    Raises:
        AudioError: for anything but finite floating-point samples of one channel.
    """
    first = waveforms[0] if len(waveforms) and not isinstance(waveforms, (str, bytes)) else 0
    if isinstance(first, (int, float, np.number)) or (isinstance(first, Tensor) and not first.ndim):
        raise AudioError("give a list of waveforms, each (samples,), even for a single one")
    return [_checked(waveform, index) for index, waveform in enumerate(waveforms)]


def _checked(waveform: Any, index: int) -> NDArray[np.floating]:
    samples = np.asarray(waveform.detach().cpu() if isinstance(waveform, Tensor) else waveform)
    if samples.dtype.kind not in "iuf":
        raise AudioError(
            f"waveform {index} is not an array of samples but {type(waveform).__name__}; read files with read_audio"
        )
    if samples.ndim != 1:
        raise AudioError(f"waveform {index} has shape {samples.shape}: give one channel, (samples,)")
    if samples.dtype.kind != "f":
        raise AudioError(
            f"waveform {index} holds integers ({samples.dtype}): scale them to -1 ... 1, as read_audio does"
        )
    if not math.isfinite(samples.sum(dtype=np.float64)):
        raise AudioError(f"waveform {index} holds NaN or infinite samples")
    return samples


def key_scores(lengths: Sequence[int], frames: int) -> Tensor:
    """Return scores (batch, 1, frames, frames): 0 for keys with speech, very small for the others."""
    hidden = torch.arange(frames) >= torch.tensor(lengths)[:, None]
    scores = torch.zeros(len(lengths), frames).masked_fill(hidden, torch.finfo(torch.float32).min)
    return scores[:, None, None].expand(-1, 1, frames, -1)


def base_class(probed: type) -> type[PreTrainedModel]:
    """Return the class of transformers that a probed class extends."""
    return next(
        cls for cls in probed.__mro__ if issubclass(cls, PreTrainedModel) and not issubclass(cls, WaveformEncoder)
    )
