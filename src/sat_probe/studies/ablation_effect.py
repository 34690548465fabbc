"""Effect of an ablation on one recording: change of hidden states, reconstruction and phones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sat_probe.errors import ModelError
from sat_probe.models.mockingjay.feature_recipes import FeatureRecipe
from sat_probe.models.mockingjay.spectral_inversion import sounds_like
from sat_probe.models.probed import ProbedModel
from sat_probe.studies.probing.features import Ablation
from sat_probe.studies.probing.phone_probe import PhoneProbe


@dataclass(frozen=True, slots=True)
class AblationEffect:
    """Effect of an ablation on one recording.

    Attributes:
        relative_change: per hidden state (the embedding, then every layer), ||changed - intact|| / ||intact||, in
            Frobenius norms over the recording.
        cosine: per hidden state, mean over frames of the cosine between intact and changed.
        target: (frames, size) features that a pre-trained Mockingjay is to reconstruct; None for other models.
        intact: (frames, size) reconstructed without the ablation.
        changed: (frames, size) reconstructed with the ablation.
        phones: (2, frames, phones) log posteriors that a phone probe reads without and with the ablation; None
            without a probe.
    """

    relative_change: NDArray[np.float64]
    cosine: NDArray[np.float64]
    target: NDArray[np.float32] | None = None
    intact: NDArray[np.float32] | None = None
    changed: NDArray[np.float32] | None = None
    phones: NDArray[np.float64] | None = None

    def errors(self) -> tuple[float, float] | None:
        """Return the mean absolute errors of the reconstruction, intact and changed; None without one."""
        if self.target is None or self.intact is None or self.changed is None:
            return None
        intact, changed = (np.abs(part - self.target).mean(dtype=np.float64) for part in (self.intact, self.changed))
        return float(intact), float(changed)


def ablation_effect(
    model: ProbedModel,
    waveform: NDArray[np.float32],
    ablation: Ablation,
    head: torch.nn.Module | None = None,
    probe: PhoneProbe | None = None,
) -> AblationEffect:
    """Run a recording through a model with and without an ablation, and compare.

    Args:
        model: in evaluation mode.
        waveform: (samples,) at the model's rate.
        ablation: what to remove.
        head: the model's own reconstruction head, `probing.reconstruction.pretraining_head`.
        probe: a phone probe that fits the model.

    Raises:
        AudioError: the recording is too short or too long for the model.
        ModelError: the ablation names a head that the model does not have.
    """
    present = model.present_heads
    for layer, index in ablation.heads:
        if not (0 <= layer < len(present) and index in present[layer]):
            raise ModelError(f"there is no head {index} in layer {layer} of this model")
    inputs = model.prepare([waveform])
    intact, changed = (
        model.encode(inputs, output_hidden_states=True, **arguments) for arguments in ({}, ablation.arguments(model))
    )
    assert intact.hidden_states is not None
    assert changed.hidden_states is not None
    pairs = list(zip(intact.hidden_states, changed.hidden_states, strict=True))
    effect: dict[str, Any] = {
        "relative_change": np.array([_relative_change(one[0], other[0]) for one, other in pairs]),
        "cosine": np.array([_cosine(one[0], other[0]) for one, other in pairs]),
    }
    if probe is not None:
        states = (intact.hidden_states, changed.hidden_states)
        effect["phones"] = np.stack([probe.log_posteriors(hidden) for hidden in states])
    if head is not None:
        size = model.config.target_size
        for name, output in (("intact", intact), ("changed", changed)):
            with torch.inference_mode():
                stacked = head(output.last_hidden_state[0])
            effect[name] = stacked.reshape(-1, size).cpu().numpy()
        effect["target"] = model.preprocessor.extract(waveform)[: len(effect["intact"])]
    return AblationEffect(**effect)


def heard(model: ProbedModel, features: NDArray[np.float32], waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return sound (samples,) made from features of a Mockingjay; `waveform` is the original recording.

    Raises:
        ModelError: the features cannot be turned back into sound.
    """
    try:
        recipe = FeatureRecipe(**model.preprocessor.recipe)
        normalized = model.preprocessor.do_normalize
        return sounds_like(features, waveform, recipe, model.sampling_rate, normalized=normalized)
    except ValueError as error:
        raise ModelError(str(error)) from error


def _relative_change(intact: Tensor, changed: Tensor) -> float:
    intact, changed = intact.double(), changed.double()
    return float((changed - intact).norm() / intact.norm())


def _cosine(intact: Tensor, changed: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(intact.double(), changed.double(), dim=-1).mean())
