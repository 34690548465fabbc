"""Probed classes by family, and the one that finds the right one for a checkpoint."""

from __future__ import annotations

from typing import Any

import torch
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from transformers import AutoConfig, HubertModel, Wav2Vec2Model

from sat_probe.errors import ModelError
from sat_probe.models.families import family_of
from sat_probe.models.mockingjay import MockingjayModel
from sat_probe.models.probed import ProbedModel


class ProbedWav2Vec2Model(ProbedModel, Wav2Vec2Model):
    """wav2vec 2.0 (Baevski et al. 2020), XLSR and their kin; takes ``input_values`` at 16 kHz, one frame per 20 ms."""


class ProbedHubertModel(ProbedModel, HubertModel):
    """HuBERT (Hsu et al. 2021); takes ``input_values`` at 16 kHz, one frame per 20 ms."""


class ProbedMockingjayModel(ProbedModel, MockingjayModel):
    """Mockingjay (Liu et al. 2020), TERA and AudioALBERT; takes ``input_features``, one frame per R input frames."""


PROBED_CLASSES: dict[str, type[ProbedModel]] = {
    "wav2vec2": ProbedWav2Vec2Model,
    "hubert": ProbedHubertModel,
    "mockingjay": ProbedMockingjayModel,
}


class AutoProbedModel:
    """Loads any checkpoint of a known family as a :class:`~sat_probe.models.probed.ProbedModel`."""

    def __init__(self) -> None:
        raise TypeError("use AutoProbedModel.from_pretrained(name_or_folder)")

    @staticmethod
    def from_pretrained(name_or_folder: Any, **kwargs: Any) -> ProbedModel:
        """The encoder of a checkpoint, in evaluation mode, float32 unless ``dtype`` says otherwise.

        Checkpoints with a head (CTC, classification, pre-training) load too; the head is left out. Weights are read
        from safetensors only, and code of the repository is never run, unless ``use_safetensors=False`` and
        ``trust_remote_code=True`` say so.

        Args:
            name_or_folder: a model on the Hub (``org/name``) or a local folder.
            **kwargs: as in transformers' ``from_pretrained`` (``revision``, ``token``, ``dtype``, ``device_map`` ...).

        Raises:
            ModelError: if it does not exist, is of an unknown type, or its weights do not fit.
        """
        name = str(name_or_folder)
        hub = {
            key: kwargs[key]
            for key in (
                "revision",
                "token",
                "cache_dir",
                "local_files_only",
                "subfolder",
                "trust_remote_code",
            )
            if key in kwargs
        }
        try:
            config = AutoConfig.from_pretrained(name_or_folder, **hub)
        except (OSError, ValueError, HfHubHTTPError) as error:
            raise ModelError(_loading_failed(name, error)) from error
        probed = probed_class(config.model_type, name)
        options = {"dtype": torch.float32, "use_safetensors": True, **kwargs}
        try:
            model, info = probed.from_pretrained(name_or_folder, output_loading_info=True, **options)
        except (OSError, ValueError, RuntimeError, HfHubHTTPError) as error:
            raise ModelError(_loading_failed(name, error)) from error
        missing = sorted(key for key in info["missing_keys"] if "masked_spec_embed" not in key)
        if missing:
            raise ModelError(
                f"{name}: lacks {len(missing)} weights of the encoder, the first is {missing[0]!r}"
            )
        return model


def probed_class(model_type: str, name: str | None = None) -> type[ProbedModel]:
    """The probed class of a model type.

    Raises:
        ModelError: if the type is unknown; the message lists the known ones.
    """
    try:
        return PROBED_CLASSES[family_of(model_type).model_type]
    except ModelError as error:
        raise ModelError(f"{name}: {error}" if name else str(error)) from None


def _loading_failed(name: str, error: Exception) -> str:
    """One line that says what happened and what to do."""
    causes = [error, error.__cause__, error.__context__]
    if any(isinstance(cause, GatedRepoError) for cause in causes):
        return f"{name}: access is gated; ask for it on its page on the Hub, then log in with `hf auth login`"
    if any(isinstance(cause, RevisionNotFoundError) for cause in causes):
        return f"{name}: has no such revision"
    if any(isinstance(cause, RepositoryNotFoundError) for cause in causes):
        return (
            f"{name}: no such model on the Hub, or it is private and you are not logged in (`hf auth login`)"
        )
    if "model.safetensors" in str(error) and "does not appear to have" in str(error):
        return (
            f"{name}: its weights are not in safetensors; if you trust them, allow pickle "
            "(--allow-pickle; in Python use_safetensors=None)"
        )
    first_line = next(
        (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
    )
    return f"{name}: cannot be loaded as a model: {first_line}"
