"""Phone probe: a small classifier of phones from the hidden states of one model, saved in a folder."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from sat_probe.errors import ModelError
from sat_probe.models.probed import ProbedModel
from sat_probe.studies.inputs import weights_digest
from sat_probe.studies.probing.features import Layer, stacked_states
from sat_probe.studies.probing.probe import Probe

WEIGHTS, DESCRIPTION = "probe.safetensors", "probe.json"


@dataclass(frozen=True, slots=True)
class PhoneProbe:
    """A probe of phones, and the model that it fits.

    Attributes:
        probe: of (frames, states, size) hidden states.
        phones: names of its classes.
        layer: the hidden states that it reads.
        model_digest: `weights_digest` of the model that it was trained on.
        made: how it was made, and its scores; plain JSON values.
    """

    probe: Probe
    phones: tuple[str, ...]
    layer: Layer
    model_digest: str
    made: Mapping[str, Any]

    def fits(self, model: ProbedModel) -> bool:
        """Return whether it was trained on exactly these weights; on others it reads noise."""
        if getattr(model.config, "hidden_size", None) != self.probe.mean.shape[1]:
            return False  # without hashing the weights
        return weights_digest(model) == self.model_digest

    @torch.no_grad()
    def log_posteriors(self, hidden_states: Sequence[Tensor]) -> NDArray[np.float64]:
        """Return the natural logarithms of the phones' probabilities, (frames, phones).

        Args:
            hidden_states: of one recording, each (1, frames, size), from the embedding to the last layer.
        """
        states = stacked_states(tuple(hidden_states), self.layer)[0].float().cpu()
        return np.asarray(self.probe(states).double().log_softmax(dim=-1).numpy())

    def save(self, folder: str | Path) -> None:
        """Write weights and description into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {name: value.contiguous() for name, value in self.probe.state_dict().items()}
        (folder / WEIGHTS).write_bytes(save(tensors))  # save_file keeps others from reading it
        classify = self.probe.classify
        hidden = classify[0].out_features if isinstance(classify, torch.nn.Sequential) else None
        described = {
            "phones": list(self.phones),
            "layer": self.layer,
            "states": self.probe.mean.shape[0],
            "size": self.probe.mean.shape[1],
            "hidden": hidden,
            "model_digest": self.model_digest,
            "made": dict(self.made),
        }
        text = json.dumps(described, indent=2, ensure_ascii=False, allow_nan=False)
        (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def load_phone_probe(folder: str | Path) -> PhoneProbe:
    """Load a probe that `PhoneProbe.save` wrote.

    Raises:
        ModelError: if it is missing or damaged.
    """
    folder = Path(folder)
    try:
        told = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        phones = tuple(map(str, told["phones"]))
        probe = Probe(told["states"], told["size"], len(phones), told["hidden"])
        probe.load_state_dict(load_file(folder / WEIGHTS))
        return PhoneProbe(probe.eval().requires_grad_(False), phones, told["layer"], told["model_digest"], told["made"])
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{folder.name}: is no phone probe that can be read ({error})") from error


def phone_probe_folder() -> Path:
    """Return the folder of the probe that comes with the package; `scripts/make_phone_probe.py` makes it."""
    return Path(str(files("sat_probe") / "data" / "phone_probe"))


@cache
def bundled_phone_probe() -> PhoneProbe:
    """Load the probe of the bundled model.

    Raises:
        ModelError: if it is damaged.
    """
    return load_phone_probe(phone_probe_folder())
