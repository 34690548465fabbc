"""Probed classes by family, and the one that finds the right one for a checkpoint."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    StrictDataclassError,
)
from safetensors import SafetensorError
from transformers import CONFIG_MAPPING, AutoConfig, HubertModel, PreTrainedModel, Wav2Vec2Model
from transformers.conversion_mapping import (
    get_checkpoint_conversion_mapping,
    register_checkpoint_conversion_mapping,
)

from sat_probe.errors import ModelError
from sat_probe.models.encoder_config import encoder_config
from sat_probe.models.families.table import FAMILIES, family_of
from sat_probe.models.mockingjay import MockingjayModel
from sat_probe.models.probed import ProbedModel


class ProbedWav2Vec2Model(ProbedModel, Wav2Vec2Model):
    """wav2vec 2.0 (Baevski et al. 2020), XLSR and their kin; takes ``input_values`` at 16 kHz, one frame per 20 ms."""


class ProbedHubertModel(ProbedModel, HubertModel):
    """HuBERT (Hsu et al. 2021); takes ``input_values`` at 16 kHz, one frame per 20 ms."""


class ProbedMockingjayModel(ProbedModel, MockingjayModel):
    """Mockingjay (Liu et al. 2020), TERA and AudioALBERT; takes ``input_features``, one frame per R input frames."""

    def _check_observable(self) -> None:
        if self.config.chunk_length is not None:
            raise ModelError(
                f"chunk_length={self.config.chunk_length} cuts utterances into chunks that do not see each other, so "
                "there is no attention over the utterance to observe; set model.config.chunk_length = None"
            )


OWN_CLASSES: dict[str, str] = {
    "wav2vec2": "auto.ProbedWav2Vec2Model",
    "hubert": "auto.ProbedHubertModel",
    "mockingjay": "auto.ProbedMockingjayModel",
    "wavlm": "families.wavlm.ProbedWavLMModel",
    "sew-d": "families.sew_d.ProbedSEWDModel",
    "speecht5": "families.speecht5.ProbedSpeechT5EncoderWithSpeechPrenet",
}  # the others need nothing but their row of the table


@cache
def probed_class(model_type: str) -> type[ProbedModel]:
    """The probed class of a model type; made from the row of its family where it has none of its own.

    Raises:
        ModelError: if the type is unknown; the message lists the known ones.
    """
    family = family_of(model_type)
    if model_type in OWN_CLASSES:
        module, name = OWN_CLASSES[model_type].rsplit(".", 1)
        return getattr(import_module(f"sat_probe.models.{module}"), name)
    base = _transformers_class(model_type, family.model)
    body = {"__module__": __name__, "__doc__": f"{family.model} of transformers, probed."}
    name = f"Probed{family.model}"
    renamed = get_checkpoint_conversion_mapping(family.model)
    if renamed is not None:  # checkpoints name weights otherwise (AST), which goes by the class's name
        register_checkpoint_conversion_mapping(name, renamed, overwrite=True)
    return type(name, (ProbedModel, base), body)


def __getattr__(name: str) -> type[ProbedModel]:
    """Classes made from the table are attributes of this module too, so that they can be pickled."""
    for model_type, family in FAMILIES.items():
        if name == f"Probed{family.model}":
            return probed_class(model_type)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _transformers_class(model_type: str, name: str) -> type[PreTrainedModel]:
    # not all encoders are exported, but each stands in the file beside its configuration
    configuration = CONFIG_MAPPING[model_type].__module__
    return getattr(import_module(configuration.replace("configuration_", "modeling_")), name)


class AutoProbedModel:
    """Loads any checkpoint of a known family as a :class:`~sat_probe.models.probed.ProbedModel`."""

    def __init__(self) -> None:
        raise TypeError("use AutoProbedModel.from_pretrained(name_or_folder)")

    @staticmethod
    def from_pretrained(name_or_folder: Any, **kwargs: Any) -> ProbedModel:
        """The encoder of a checkpoint, in evaluation mode, float32 unless ``dtype`` says otherwise.

        Checkpoints with a head (CTC, classification, pre-training), a decoder or an adapter load too; all but the
        encoder is left out. Weights are read from safetensors only, and code of the repository is never run, unless
        ``use_safetensors=False`` and ``trust_remote_code=True`` say so.

        Args:
            name_or_folder: a model on the Hub (``org/name``) or a local folder.
            **kwargs: as in transformers' ``from_pretrained`` (``revision``, ``token``, ``dtype``, ``device_map`` ...).

        Raises:
            ModelError: if it does not exist, is of a type that cannot be probed, or its weights do not fit.
        """
        if not isinstance(name_or_folder, (str, PathLike)) or not str(name_or_folder):
            raise ModelError(f"a model is the name of one on the Hub, or a folder; got {name_or_folder!r}")
        name = str(name_or_folder)
        kwargs.setdefault("trust_remote_code", False)  # left out, transformers would ask at the terminal
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
        except (OSError, ValueError, HfHubHTTPError, StrictDataclassError) as error:
            raise ModelError(_loading_failed(name, error)) from error
        config, family = encoder_config(config, name)
        probed = probed_class(family.model_type)
        options = {
            "dtype": torch.float32,
            "use_safetensors": True,
            "config": config,
            **({} if family.within is None else {"key_mapping": {rf"^{family.within}": ""}}),
            **kwargs,
        }
        try:
            model, info = probed.from_pretrained(name_or_folder, output_loading_info=True, **options)
        except (OSError, ValueError, RuntimeError, SafetensorError, HfHubHTTPError) as error:
            raise ModelError(_loading_failed(name, error)) from error
        missing = sorted(key for key in info["missing_keys"] if "masked_spec_embed" not in key)
        if missing:
            raise ModelError(
                f"{name}: lacks {len(missing)} weights of the encoder, the first is {missing[0]!r}"
            )
        if family.within is not None:
            model._weight_conversions = None  # saving would put back what stood before the encoder's weights
        return model


def hub_unreachable(name: str) -> str:
    """What is said of a model that is neither here nor to be had."""
    return (
        f"{name}: no folder here is called so, and the Hub cannot be reached; check the name, or the network"
    )


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
    if "contains custom code" in str(error):
        return (
            f"{name}: needs code of its repository; read it, and if you trust it pass trust_remote_code=True"
        )
    folder = Path(name)
    if not folder.exists() and (folder.is_absolute() or name.startswith((".", "~")) or len(folder.parts) > 2):
        return f"{name}: no such folder"
    in_pickle = folder.is_dir() and any(folder.glob("pytorch_model*.bin*"))
    if "no file named" in str(error) and not in_pickle:
        return f"{name}: holds no weights (model.safetensors)"
    if "ignore_mismatched_sizes" in str(error):
        return f"{name}: its weights have other shapes than its config.json says; one of them is of another model"
    if isinstance(error, StrictDataclassError):
        return f"{name}: its config.json is wrong: {' '.join(str(error).split())}"
    if "model.safetensors" in str(error) and (in_pickle or "does not appear to have" in str(error)):
        return (
            f"{name}: its weights are not in safetensors; if you trust them, allow pickle "
            "(--allow-pickle; in Python use_safetensors=None)"
        )
    if "couldn't connect to" in str(error):
        return hub_unreachable(name)
    if isinstance(error, SafetensorError):
        return f"{name}: its weights are damaged ({error}); download or save the model anew"
    first_line = next(
        (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
    )
    return f"{name}: cannot be loaded as a model: {first_line}"
