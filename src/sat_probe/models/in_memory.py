"""Models in memory: the speech encoder of any transformers model, probed, with the weights of the original."""

from __future__ import annotations

import logging
from copy import deepcopy
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from sat_probe.errors import ModelError
from sat_probe.models.families.encoder_config import REFUSED
from sat_probe.models.families.extractors import fit_to_model
from sat_probe.models.families.family import Family
from sat_probe.models.families.table import FAMILIES
from sat_probe.models.probed import ProbedModel
from sat_probe.models.probed_classes import probed_class
from sat_probe.models.pruning import PRUNED_HEADS
from sat_probe.models.refined import SPAN, SPAN_MODE
from sat_probe.models.views import view_of

logger = logging.getLogger(__name__)


def probed_in_memory(model: Any, feature_extractor: Any = None) -> ProbedModel:
    """Return the speech encoder in ``model`` as a probed model that shares its weights.

    See :meth:`sat_probe.models.auto.AutoProbedModel.from_model`.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"expected a model of transformers (a torch.nn.Module), got {type(model).__name__}; names and folders are "
            "loaded by AutoProbedModel.from_pretrained"
        )
    encoder, family = _speech_encoder(model)
    _check_weights(encoder, type(model).__name__)
    if isinstance(encoder, ProbedModel):
        return encoder
    probed = _probed_view(encoder, family)
    if feature_extractor is not None:
        inner = getattr(feature_extractor, "feature_extractor", feature_extractor)  # of a processor
        probed._preprocessor = fit_to_model(inner, probed.config)
    elif source := str(probed.config._name_or_path or ""):
        probed._preprocessor_source = (source, {"trust_remote_code": False})
    return float32_on_cpu(probed)


def float32_on_cpu(model: ProbedModel) -> ProbedModel:
    """Return a model in half precision on a CPU as a copy in float32, and any other model as it is.

    CPUs compute half precision slowly and less exactly. A warning says that there is a copy.
    """
    half = {weight.dtype for weight in model.parameters()} & {torch.float16, torch.bfloat16}
    if model.device.type != "cpu" or not half:
        return model
    kind = " and ".join(sorted(str(dtype).removeprefix("torch.") for dtype in half))
    logger.warning("%s in %s on a CPU: computing with a copy in float32", type(model).__name__, kind)
    return deepcopy(view_of(model)).float()


def _speech_encoder(model: nn.Module) -> tuple[Any, Family]:
    """Return the only speech encoder in a model, and its family."""
    found: dict[str, tuple[nn.Module, Family]] = {}
    for name, module in model.named_modules():
        if any(not outer or name.startswith(f"{outer}.") for outer in found):
            continue
        family = _family_of_module(module)
        if family is not None:
            found[name] = (module, family)
    if len(found) == 1:
        return next(iter(found.values()))
    name = type(model).__name__
    if found:
        raise ModelError(f"{name} has {len(found)} speech encoders ({', '.join(found)}): give one of them")
    kind = getattr(getattr(model, "config", None), "model_type", None)
    reason = f": {REFUSED[kind]}" if kind in REFUSED else "; `sat-probe families` lists those that can"
    raise ModelError(f"{name} has no speech encoder that can be probed{reason}")


def _family_of_module(module: nn.Module) -> Family | None:
    family = FAMILIES.get(getattr(getattr(module, "config", None), "model_type", ""))
    is_encoder = isinstance(module, PreTrainedModel) and any(
        family is not None and base.__name__ == family.model for base in type(module).__mro__
    )
    return family if is_encoder else None


def _check_weights(encoder: nn.Module, name: str) -> None:
    """Raise a ModelError for weights that are not in memory, or on several devices."""
    weights = [*encoder.parameters(), *encoder.buffers()]
    if any(weight.is_meta for weight in weights):
        if any(hasattr(module, "_hf_hook") for module in encoder.modules()):
            raise ModelError(f"weights of {name} are offloaded: load it without device_map, or with a GPU it fits on")
        raise ModelError(f"{name} has no weights yet (meta tensors): load them, as from_pretrained does")
    devices = sorted({str(weight.device) for weight in weights})
    if len(devices) > 1:
        raise ModelError(f"weights of {name} are on {' and '.join(devices)}: move it to one device first")


def _probed_view(encoder: PreTrainedModel, family: Family) -> ProbedModel:
    view: Any = view_of(encoder, evaluating=True)
    probed = probed_class(family.model_type)
    base = next(base for base in probed.__mro__ if base.__name__ == family.model)
    kind: Any = type(encoder)
    view.__class__ = probed if kind is base else _subclass(probed, kind)
    if getattr(view.config, "add_adapter", False):  # it is behind the encoder, at another frame rate
        view.config.add_adapter = False
        view.adapter = None
    for key in (PRUNED_HEADS, SPAN, SPAN_MODE):  # a plain model has all heads and no limit
        if hasattr(view.config, key):
            delattr(view.config, key)
    view._prepare_attention()
    view._shares_weights = True
    _warn_of_adapters_without_effect(view)
    return view


_SUBCLASSES: dict[tuple[type, type], Any] = {}


def _subclass(probed: type, kind: type) -> Any:
    """Return the class of a probed model whose original has a class that somebody derived."""
    body = {"__module__": kind.__module__}
    return _SUBCLASSES.setdefault((probed, kind), type(f"Probed{kind.__name__}", (probed, kind), body))


def _warn_of_adapters_without_effect(model: ProbedModel) -> None:
    if model.config.model_type == "wavlm" and any(
        hasattr(child, "lora_A") for module in model.attention_modules for child in module.children()
    ):
        logger.warning(
            "WavLM's attention reads the weights of its projections directly, in transformers too: LoRA adapters on "
            "q_proj, k_proj, v_proj and out_proj have no effect"
        )
