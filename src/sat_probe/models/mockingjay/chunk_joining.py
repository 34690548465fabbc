"""Joining of outputs that were encoded chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutput


def join_chunks(outputs: list[BaseModelOutput], rows: int) -> BaseModelOutput:
    """Return the chunks of one utterance as one output of `rows` positions, zero after its end."""

    def in_time(states: list[torch.Tensor]) -> torch.Tensor:
        whole = torch.cat(states, dim=1)
        return nn.functional.pad(whole, (0, 0, 0, rows - whole.shape[1]))

    def on_diagonal(maps: list[torch.Tensor]) -> torch.Tensor:
        whole = maps[0].new_zeros(*maps[0].shape[:2], rows, rows)
        start = 0
        for one in maps:
            whole[..., start : start + one.shape[-1], start : start + one.shape[-1]] = one
            start += one.shape[-1]
        return whole

    def every_layer(
        join: Callable[[list[torch.Tensor]], torch.Tensor], chunks: list[tuple[torch.Tensor, ...] | None]
    ) -> tuple[torch.Tensor, ...] | None:
        return None if chunks[0] is None else tuple(join(list(layer)) for layer in zip(*chunks, strict=True))

    return BaseModelOutput(
        last_hidden_state=in_time([one.last_hidden_state for one in outputs]),
        hidden_states=every_layer(in_time, [one.hidden_states for one in outputs]),
        attentions=every_layer(on_diagonal, [one.attentions for one in outputs]),
    )


def join_utterances(utterances: list[tuple[torch.Tensor, ...] | None]) -> tuple[torch.Tensor, ...] | None:
    """Return a tuple over layers of batches, for a list over utterances of tuples over layers."""
    if utterances[0] is None:
        return None
    return tuple(torch.cat(layer) for layer in zip(*utterances, strict=True))
