"""Loading of models: from the Hub, from a folder, or from memory."""

from __future__ import annotations

from importlib.resources import files
from os import PathLike
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from huggingface_hub.errors import HfHubHTTPError, StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig

from sat_probe.errors import ModelError
from sat_probe.hub.failures import refusal
from sat_probe.models.families.encoder_config import encoder_config
from sat_probe.models.in_memory import probed_in_memory
from sat_probe.models.probed import ProbedModel
from sat_probe.models.probed_classes import probed_class

BUNDLED = "bundled"  # name of the model that comes with sat-probe
_FAILURES = (OSError, ValueError, ImportError, HfHubHTTPError, StrictDataclassError)


class AutoProbedModel:
    """Opens any model of a known family as a :class:`~sat_probe.models.probed.ProbedModel`."""

    def __init__(self) -> None:
        raise TypeError("use AutoProbedModel.from_pretrained(name_or_folder) or AutoProbedModel.from_model(model)")

    @staticmethod
    def from_model(model: Any, feature_extractor: Any = None) -> ProbedModel:
        """Return the speech encoder of a model in memory, in evaluation mode, with the weights of the model.

        ``model`` stays exactly as it is: its mode, hooks, configuration and attention implementation belong to it
        alone, so it may be trained while the probed model is analyzed. Weights are shared: what training or an adapter
        does to them shows in the next call. Forward hooks on its modules run in the probed model too. Moving or
        converting the probed model (`to`, `half`) ends the sharing.

        Args:
            model: any transformers model with a speech encoder of a known family: the encoder itself, or below a head
                (CTC, classification, pre-training), a decoder (Whisper) or PEFT adapters. A probed model is returned
                as it is. In half precision on a CPU it is copied to float32, with a warning.
            feature_extractor: of the model, or its processor; by default the one of the checkpoint that the model was
                loaded from, else the default one of its family.

        Raises:
            TypeError: if it is no torch module.
            ModelError: if it has no speech encoder that can be probed, or several, or weights that are not in memory
                or on several devices.

        Examples:
            >>> from transformers import Wav2Vec2Config, Wav2Vec2ForCTC
            >>> ctc = Wav2Vec2ForCTC(Wav2Vec2Config(num_hidden_layers=2))
            >>> model = AutoProbedModel.from_model(ctc)
            >>> model.num_probed_layers, ctc.training == model.training
            (2, False)
        """
        return probed_in_memory(model, feature_extractor)

    @staticmethod
    def from_pretrained(name_or_folder: Any, **kwargs: Any) -> ProbedModel:
        """Return the encoder of a checkpoint, in evaluation mode, in float32 unless ``dtype`` says otherwise.

        Checkpoints with a head (CTC, classification, pre-training), a decoder or an adapter load too; only the encoder
        is kept. By default weights are read from safetensors only and code of the repository is never run;
        ``use_safetensors=None`` and ``trust_remote_code=True`` allow both.

        Args:
            name_or_folder: a model on the Hub (``org/name``), a local folder, or ``"bundled"`` for the Mockingjay that
                comes with sat-probe (a folder of that name is ``"./bundled"``).
            **kwargs: as in transformers' ``from_pretrained`` (``revision``, ``token``, ``dtype``, ``device_map`` ...).

        Raises:
            ModelError: if the model does not exist, cannot be probed, or its weights do not fit.

        Examples:
            >>> model = AutoProbedModel.from_pretrained("bundled")
            >>> model.num_probed_layers, model.num_probed_heads
            (6, 6)
        """
        if not isinstance(name_or_folder, (str, PathLike)) or not str(name_or_folder):
            raise ModelError(
                f"a model is the name of one on the Hub, or a folder; got {name_or_folder!r} (a model in memory is "
                "opened by AutoProbedModel.from_model)"
            )
        name = str(name_or_folder)
        if name == BUNDLED:
            model = AutoProbedModel.from_pretrained(str(files("sat_probe") / "data" / "mockingjay"), **kwargs)
            model.config._name_or_path = BUNDLED  # reports name it so, whatever the folder is
            return model
        kwargs.setdefault("trust_remote_code", False)  # without it, transformers would ask at the terminal
        hub = {
            key: kwargs[key]
            for key in ("revision", "token", "cache_dir", "local_files_only", "subfolder", "trust_remote_code")
            if key in kwargs
        }
        try:
            config = AutoConfig.from_pretrained(name_or_folder, **hub)
        except _FAILURES as error:
            raise ModelError(_loading_failed(name, error)) from error
        config, family = encoder_config(config, name)
        if "flash" in str(config._attn_implementation):  # not needed here, and often not installed
            config._attn_implementation = None
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
        except (*_FAILURES, RuntimeError, UnpicklingError, SafetensorError) as error:
            raise ModelError(_loading_failed(name, error)) from error
        missing = sorted(key for key in info["missing_keys"] if "masked_spec_embed" not in key)
        if missing:
            raise ModelError(f"{name}: {len(missing)} weights of the encoder are missing, the first is {missing[0]!r}")
        if family.within is not None:
            model._weight_conversions = None  # saving would put the prefix of the encoder's weights back
        return model


def hub_unreachable(name: str) -> str:
    """Return the message for a model that is neither a folder nor, without network, on the Hub."""
    return f"{name}: there is no folder of this name, and the Hub cannot be reached; check the name, or the network"


def _loading_failed(name: str, error: Exception) -> str:
    """Return one line that says what happened and what to do."""
    if (refused := refusal(name, error, error.__cause__, error.__context__)) is not None:
        return refused
    if "contains custom code" in str(error):
        return f"{name}: needs code of its repository; read it, and if you trust it pass trust_remote_code=True"
    folder = Path(name)
    if not folder.exists() and (folder.is_absolute() or name.startswith((".", "~")) or len(folder.parts) > 2):
        return f"{name}: no such folder"
    in_pickle = folder.is_dir() and any(folder.glob("pytorch_model*.bin*"))
    if "no file named" in str(error) and not in_pickle:
        return f"{name}: holds no weights (model.safetensors)"
    if "ignore_mismatched_sizes" in str(error):
        return f"{name}: its weights have other shapes than its config.json says; one of them belongs elsewhere"
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
    first_line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return f"{name}: cannot be loaded as a model: {first_line}"
