"""Inputs and outputs of a probed model, batch by batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class ModelInputs:
    """One padded batch.

    Attributes:
        tensors: arguments of the model's forward.
        lengths: true encoder frames of each utterance.
    """

    tensors: dict[str, Tensor]
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ProbedOutput:
    """Result of :meth:`ProbedModel.encode`.

    Attributes:
        last_hidden_state: (batch, frames, size), zero beyond each utterance's end.
        lengths: true frames of each utterance.
        hidden_states: the embedding and every layer's output, each (batch, frames, size); None unless asked for.
        attentions: the weights the model used, per layer (batch, heads, frames, frames) with the heads that the layer
            still has (`present_heads`); None unless asked for.
    """

    last_hidden_state: Tensor
    lengths: tuple[int, ...]
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


def join_outputs(outputs: Sequence[Any], lengths: Sequence[tuple[int, ...]]) -> ProbedOutput:
    """Return the outputs of several batches as one, padded with zeros to the longest utterance.

    Args:
        outputs: output of the encoder for each batch.
        lengths: true frames of the utterances of each batch.
    """
    frames = max(length for batch in lengths for length in batch)

    def joined(tensors: Sequence[Tensor], time_axes: int) -> Tensor:
        whole = []
        for tensor, batch in zip(tensors, lengths, strict=True):
            for one, length in zip(tensor, batch, strict=True):
                missing = frames - length
                if time_axes == 1:
                    whole.append(nn.functional.pad(one[:length], (0, 0, 0, missing)))
                else:
                    whole.append(nn.functional.pad(one[..., :length, :length], (0, missing, 0, missing)))
        return torch.stack(whole)

    def layers(name: str, time_axes: int) -> tuple[Tensor, ...] | None:
        if not outputs[0].get(name):
            return None
        return tuple(joined(layer, time_axes) for layer in zip(*(output[name] for output in outputs), strict=True))

    return ProbedOutput(
        last_hidden_state=joined([output.last_hidden_state for output in outputs], 1),
        lengths=tuple(length for batch in lengths for length in batch),
        hidden_states=layers("hidden_states", 1),
        attentions=layers("attentions", 2),
    )
