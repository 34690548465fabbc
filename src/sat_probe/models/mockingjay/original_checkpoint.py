"""Reading of original checkpoints without running any of their code.

They are pickles. `torch.load(weights_only=True)` builds tensors and plain containers only; the few classes the original
savers left in their files (a learning-rate schedule, a timer) are replaced by an empty stub. Anything else is refused.
"""

from __future__ import annotations

import argparse
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch.serialization import safe_globals

from sat_probe.errors import ModelError

Generation = Literal["legacy", "v0.1.0", "s3prl"]

STUBBED_NAMES = (
    "mockingjay.optimization.WarmupLinearSchedule",
    "transformer.optimization.WarmupLinearSchedule",
    "optimizers.WarmupLinearSchedule",
    "utility.timer.Timer",
    "utils.timer.Timer",
)


class OpaqueObject:
    """Placeholder for an object of the original code that conversion does not need."""


@dataclass(frozen=True, slots=True)
class OriginalCheckpoint:
    """Parts of an original checkpoint that conversion needs.

    generation: which code base wrote it.
    upstream: `"mockingjay"`, `"tera"`, `"audio_albert"`, as far as the file tells.
    encoder, head: parameters under their original names.
    transformer: the network's settings; audio: those of its features; task: those of its masking.
    feature_path: name of the folder the features were read from (not s3prl).
    steps: updates it was trained for, if kept.
    """

    generation: Generation
    upstream: str
    encoder: dict[str, torch.Tensor]
    head: dict[str, torch.Tensor]
    transformer: dict[str, Any]
    audio: dict[str, Any]
    task: dict[str, Any]
    feature_path: str
    steps: int | None


def load_restricted(path: str | Path) -> Any:
    """Return the content of a torch file: tensors and plain containers only.

    Raises:
        ModelError: there is no such file, it is damaged, or it holds an object that is not data.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path} is not a file; give the .ckpt file of an original checkpoint")
    stubs: list[Any] = [argparse.Namespace, *((OpaqueObject, name) for name in STUBBED_NAMES)]
    try:
        with safe_globals(stubs):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"(GLOBAL|Unsupported (global|class)|Trying to)[^.\n]*(\.[\w.]+)?", str(error))
        if found is None:
            raise _damaged(path, error) from error
        raise ModelError(
            f"{path} was refused, and nothing in it was run: it holds more than tensors and plain values "
            f"({found[0].strip()})"
        ) from error
    except Exception as error:  # whatever a damaged file makes its reader stumble over
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> ModelError:
    # torch wraps what happened in advice to run the file after all; only what happened is passed on.
    wrapped = re.search(r"WeightsUnpickler error: ([^.\n]+)", str(error))
    plain = next(iter(str(error).splitlines()), "").partition(". ")[0]
    reason = wrapped[1] if wrapped else type(error).__name__ if "weights_only" in plain or not plain else plain
    return ModelError(f"{path} cannot be read: it is truncated, or no torch checkpoint ({reason})")


def read_original(path: str | Path) -> OriginalCheckpoint:
    """Read a checkpoint of any generation and return its parts.

    Raises:
        ModelError: as `load_restricted`, or the file is not a Mockingjay, TERA or AudioALBERT checkpoint.
    """
    content = load_restricted(path)
    if not isinstance(content, Mapping):
        raise ModelError(f"{path} is no checkpoint of the Mockingjay family: it holds a {type(content).__name__}")
    encoder_name = "Mockingjay" if "Mockingjay" in content else "Transformer"
    missing = [name for name in (encoder_name, "SpecHead") if not _is_state(content.get(name))]
    if missing:
        found = ", ".join(map(str, list(content)[:8])) or "nothing"
        raise ModelError(
            f"{path} is no checkpoint of the Mockingjay family: {' and '.join(missing)} missing or no parameters; "
            f"it holds {found}"
        )
    generation, settings = _settings(content, encoder_name, path)
    transformer = settings.get("mockingjay" if encoder_name == "Mockingjay" else "transformer")
    if not isinstance(transformer, Mapping):
        raise ModelError(f"{path} does not hold the settings of its transformer; they are needed for the heads")
    loader = settings.get("dataloader") or {}
    steps = content.get("Step", content.get("Global_step"))
    return OriginalCheckpoint(
        generation=generation,
        upstream=str(getattr(content.get("Args"), "upstream", "") or "mockingjay"),
        encoder=_clean(content[encoder_name]),
        head=_clean(content["SpecHead"]),
        transformer=dict(transformer),
        audio=dict(settings.get("audio") or settings.get("online") or {}),
        task=dict(settings.get("task") or {}),
        feature_path=str(loader.get("data_path", "")),
        steps=steps if isinstance(steps, int) else None,
    )


def _settings(content: Mapping[str, Any], encoder_name: str, path: str | Path) -> tuple[Generation, Mapping[str, Any]]:
    """Return the code base that wrote the file, and its settings."""
    legacy = content.get("Settings")
    if isinstance(legacy, Mapping) and isinstance(legacy.get("Config"), Mapping):
        return ("legacy" if encoder_name == "Mockingjay" else "v0.1.0"), legacy["Config"]
    # The rule of s3prl's loader: early files keep the model's settings in Config, later ones in Upstream_Config.
    for name in ("Config", "Upstream_Config"):
        settings = content.get(name)
        if isinstance(settings, Mapping) and "transformer" in settings:
            return "s3prl", settings
    raise ModelError(f"{path} holds parameters but no settings (Settings, Config or Upstream_Config)")


def _is_state(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(torch.is_tensor(one) for one in value.values())


def _clean(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights without the prefixes of multi-GPU wrappers and the old names of BERT's layer norms."""
    cleaned = {}
    for name, value in state.items():
        name = name.removeprefix("module.")
        if name.endswith("gamma"):
            name = name.removesuffix("gamma") + "weight"
        if name.endswith("beta"):
            name = name.removesuffix("beta") + "bias"
        cleaned[name] = value
    return cleaned
