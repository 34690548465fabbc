"""The model of a study: by name, folder or object, on its device."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch

from sat_probe.errors import ModelError
from sat_probe.models.auto import AutoProbedModel
from sat_probe.models.probed import ProbedModel
from sat_probe.models.refined import SPAN, SPAN_MODE
from sat_probe.studies.hub_reach import require_hub
from sat_probe.studies.provenance import shown_name

BUNDLED = "bundled"


def load_model(
    model: str | Path | ProbedModel | None,
    *,
    revision: str | None = None,
    device: str | torch.device | None = None,
    allow_pickle: bool = False,
) -> ProbedModel:
    """The model of a study, on its device; None is the bundled Mockingjay.

    Raises:
        ModelError: if it cannot be loaded, or the device does not exist, or what is no model on the Hub is to have a
            revision.
    """
    if isinstance(model, ProbedModel):
        return model if device is None else model.to(device)
    if revision is not None and (model is None or Path(model).is_dir()):
        what = "the bundled model" if model is None else f"the folder {model}"
        raise ModelError(
            f"{what} has no revision {revision}: only models on the Hub have; leave --revision out"
        )
    name = files("sat_probe") / "data" / "mockingjay" if model is None else model
    require_hub(str(name), revision)
    options: dict[str, Any] = {} if revision is None else {"revision": revision}
    if allow_pickle:
        options["use_safetensors"] = None  # transformers: safetensors first, then pytorch_model.bin
    loaded = AutoProbedModel.from_pretrained(str(name), **options)
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return loaded.to(chosen)
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).splitlines()[0]
        raise ModelError(f"device {str(chosen)!r} cannot be used: {first_line}") from error


def require_intact(model: ProbedModel) -> None:
    """Raise a ModelError for a model that lost heads for good: a study of all its heads would miss some."""
    if any(len(heads) < model.num_probed_heads for heads in model.present_heads):
        raise ModelError("heads were removed from this model for good; analyze the model it was made from")


def model_name(model: str | Path | ProbedModel | None, loaded: ProbedModel) -> str:
    """How reports call a model: its name on the Hub, its folder's name, or what it was loaded from."""
    if model is None:
        return BUNDLED
    if isinstance(model, ProbedModel):
        return shown_name(loaded.config._name_or_path) or type(loaded).__name__
    return shown_name(str(model))


def span_limit(model: ProbedModel) -> dict[str, Any]:
    """Of a model with a limited span the limit, which its weights do not tell: another limit is another run."""
    if model.limited_span is None:
        return {}
    return {"limited_span": [getattr(model.config, name) for name in (SPAN, SPAN_MODE)]}


def weights_digest(model: torch.nn.Module) -> str:
    """SHA-256 of a model's weights with their names, shapes and types: where they were loaded from does not count."""
    digest = sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
