"""Facts that identify a model: weights, heads, span, revision and number type."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache

from sat_probe.errors import ModelError
from sat_probe.models.probed import ProbedModel
from sat_probe.models.refined import SPAN, SPAN_MODE
from sat_probe.models.waveform_encoder import base_class
from sat_probe.studies.choices import ModelChoice

HALF = (torch.float16, torch.bfloat16)
_WEIGHTS = "model.safetensors"
_STORED = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}  # names in safetensors


def torch_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """Return the number type of a name such as "float32".

    Raises:
        ModelError: if models cannot compute in it.
    """
    name = dtype_name(dtype)
    if name not in _STORED.values():
        raise ModelError(f"unknown dtype {name!r}: choose one of {', '.join(_STORED.values())}")
    return getattr(torch, name)


def dtype_name(dtype: str | torch.dtype) -> str:
    """Return the name of a number type: ``torch.float32`` as "float32"."""
    return str(dtype).removeprefix("torch.")


def weights_digest(model: torch.nn.Module) -> str:
    """Return the SHA-256 of a model's weights with their names, shapes and types, wherever they were loaded from."""
    digest = sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def model_facts(model: ProbedModel) -> dict[str, Any]:
    """Return what a report says about a model that is ready to compute."""
    return {
        "architecture": base_class(type(model)).__name__,
        "layers": model.num_probed_layers,
        "heads_per_layer": model.num_probed_heads,
        "frame_hop_ms": 1000 * model.frame_grid.hop_seconds,
        "dtype": dtype_name(model.dtype),
        "device": str(model.device),
    }


def removed_heads(model: ProbedModel) -> dict[str, list[int]]:
    """Return the heads that a model lost for good, by layer; layers that kept all of theirs are left out."""
    every = range(model.num_probed_heads)
    gone = {str(layer): sorted({*every} - {*kept}) for layer, kept in enumerate(model.present_heads)}
    return {layer: heads for layer, heads in gone.items() if heads}


def span_limit(model: ProbedModel) -> dict[str, Any]:
    """Return the span limit, which is not part of the weights, so it must identify a run too."""
    if model.limited_span is None:
        return {}
    return {"limited_span": [getattr(model.config, name) for name in (SPAN, SPAN_MODE)]}


def model_revision(choice: ModelChoice) -> str | None:
    """Return the commit that a model on the Hub was loaded from; None for all other models.

    transformers does not tell a model in memory which commit it was loaded from.
    """
    if choice.is_bundled or not isinstance(choice.model, str) or Path(choice.model).is_dir():
        return None
    cached = try_to_load_from_cache(choice.model, "config.json", revision=choice.revision)
    return Path(cached).parent.name if isinstance(cached, str) else choice.revision


def stored_dtype(choice: ModelChoice, revision: str | None) -> str | None:
    """Return the number type of the weights in memory, or on disk as safetensors; None if it is not known."""
    if isinstance(choice.model, torch.nn.Module):
        return next((dtype_name(w.dtype) for w in choice.model.parameters() if w.is_floating_point()), None)
    if choice.is_bundled:
        return None
    path: Any = Path(choice.model) / _WEIGHTS
    if not path.is_file():
        path = try_to_load_from_cache(str(choice.model), _WEIGHTS, revision=revision)
    if not isinstance(path, (str, Path)):
        return None
    with Path(path).open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    kinds = {_STORED.get(entry.get("dtype")) for entry in header.values()} - {None}
    return kinds.pop() if len(kinds) == 1 else None
