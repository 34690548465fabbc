"""Hidden states of a whole corpus on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sat_probe.errors import ConfigurationError
from sat_probe.models.probed import ProbedModel
from sat_probe.studies.probing.ablation import Ablation
from sat_probe.studies.probing.prepared import ProbingCorpus

Layer = int | Literal["weighted"]


def stacked_states(hidden_states: tuple[Tensor, ...], layer: Layer) -> Tensor:
    """Return one hidden state (0 is the embedding, -1 the last layer) or all, (batch, frames, states, size).

    Raises:
        ConfigurationError: if there is no such layer.
    """
    if layer == "weighted":
        return torch.stack(hidden_states, dim=2)
    if not -len(hidden_states) <= layer < len(hidden_states):
        raise ConfigurationError(
            f"there is no hidden state {layer}: 0 is the embedding, {len(hidden_states) - 1} the last layer"
        )
    return hidden_states[layer][:, :, None]


def write_features(
    model: ProbedModel, corpus: ProbingCorpus, path: Path, ablation: Ablation, layer: Layer = -1
) -> NDArray[np.float32]:
    """Run a prepared corpus through a model and write its hidden states to disk.

    Args:
        model: the intact model.
        corpus: prepared for it.
        path: an ``.npy`` file, replaced.
        ablation: what to remove.
        layer: which hidden state, or ``"weighted"`` for all.

    Returns:
        (frames, states, size) float32, memory-mapped.
    """
    features: NDArray[np.float32] | None = None
    for first, length, states in _encoded(model, corpus, ablation, layer):
        if features is None:
            shape = (int(corpus.lengths.sum()), *states.shape[1:])
            features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        features[first : first + length] = states
    assert features is not None
    return features


def _encoded(
    model: ProbedModel, corpus: ProbingCorpus, ablation: Ablation, layer: Layer
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Yield first frame among all, length and states (length, states, size) of each utterance."""
    edges = corpus.first_frames
    for first, inputs in corpus.inputs():
        tensors = {name: tensor.to(model.device) for name, tensor in inputs.tensors.items()}
        prepared = type(inputs)(tensors, inputs.lengths)
        output = model.encode([prepared], output_hidden_states=True, **ablation.arguments(model))
        assert output.hidden_states is not None
        states = stacked_states(output.hidden_states, layer)
        for offset, length in enumerate(inputs.lengths):
            yield int(edges[first + offset]), length, states[offset, :length].float().cpu().numpy()
