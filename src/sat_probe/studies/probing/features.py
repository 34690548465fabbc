"""Hidden states of a whole corpus on disk, of a model as it is or ablated."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sat_probe.errors import ConfigurationError
from sat_probe.models.attention.probe import SpanMode
from sat_probe.models.probed import ProbedModel
from sat_probe.studies.probing.prepared import ProbingCorpus

Layer = int | Literal["weighted"]


@dataclass(frozen=True, slots=True)
class Ablation:
    """What a model lacks while it runs.

    Attributes:
        heads: removed heads as (layer, head).
        span: number of frames that attention reaches; None for all.
        span_mode: ``zero`` or ``mask``.
    """

    heads: frozenset[tuple[int, int]] = frozenset()
    span: int | None = None
    span_mode: SpanMode = "zero"

    @property
    def key(self) -> str:
        """Text that identifies the ablation."""
        heads = ",".join(f"{layer}.{head}" for layer, head in sorted(self.heads))
        return f"heads={heads} span={'full' if self.span is None else f'{self.span} {self.span_mode}'}"

    def arguments(self, model: ProbedModel) -> dict[str, Any]:
        """Return the ablation as keyword arguments of `ProbedModel.encode`."""
        mask = torch.ones(model.num_probed_layers, model.num_probed_heads, device=model.device)
        for layer, head in self.heads:
            mask[layer, head] = 0.0
        return {"head_mask": mask if self.heads else None, "attention_span": self.span, "span_mode": self.span_mode}


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
    return memory_mapped(path, int(corpus.lengths.sum()), _encoded(model, corpus, ablation, layer))


def memory_mapped(path: Path, frames: int, parts: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Write parts one after the other into an ``.npy`` file, and return them as one memory-mapped (frames, ...)."""
    whole: NDArray[np.float32] | None = None
    first = 0
    for part in parts:
        if whole is None:
            shape = (frames, *part.shape[1:])
            whole = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        whole[first : first + len(part)] = part
        first += len(part)
    assert whole is not None
    return whole


def _encoded(
    model: ProbedModel, corpus: ProbingCorpus, ablation: Ablation, layer: Layer
) -> Iterator[NDArray[np.float32]]:
    """Yield the states (frames, states, size) of each utterance."""
    for _, inputs in corpus.inputs(model.device):
        output = model.encode([inputs], output_hidden_states=True, **ablation.arguments(model))
        assert output.hidden_states is not None
        for states, length in zip(stacked_states(output.hidden_states, layer), inputs.lengths, strict=True):
            yield states[:length].float().cpu().numpy()
