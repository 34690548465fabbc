"""Probe of a forward pass: its observers and masks, and the blocks that observers see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, Protocol

from torch import Tensor

from sat_probe.models.attention.tiles import Rows

SpanMode = Literal["zero", "mask"]


@dataclass(frozen=True)
class AttentionBlock:
    """Attention of some queries of some heads of one utterance in one layer, valid only while it is observed.

    Properties are computed when an observer asks for them, once for all observers.

    Attributes:
        utterance: index in the batch.
        layer: 0 is the layer next to the input.
        heads: heads of the layer.
        first_query: index of the first query.
        length: T, true frames of the utterance; padding is never shown.
        rows: the softmax, in the form that the model's own pass uses.
    """

    utterance: int
    layer: int
    heads: slice
    first_query: int
    length: int
    rows: Rows

    @property
    def queries(self) -> int:
        """Number of queries of the block."""
        return self.rows.entropy.shape[1]

    @property
    def row_entropy(self) -> Tensor:
        """(heads, queries) entropy of each row, in nats."""
        return self.rows.entropy

    @property
    def row_maximum(self) -> Tensor:
        """(heads, queries) largest weight of each row."""
        return self.rows.maximum

    @cached_property
    def weights(self) -> Tensor:
        """(heads, queries, T) softmax output before any masking, rows sum to 1. Read it, never write into it."""
        return self.rows.weights()

    @cached_property
    def _sums(self) -> tuple[Tensor, Tensor]:
        return self.rows.sums()

    @property
    def column_sums(self) -> Tensor:
        """(heads, T) weights that each key gets from all queries of the block."""
        return self._sums[0]

    @property
    def offset_sums(self) -> Tensor:
        """(heads, queries + T - 1) weights over each offset key - (query - first_query) = -(queries - 1) ... T - 1."""
        return self._sums[1]

    def of_head(self, index: int, number: int) -> AttentionBlock:
        """Return the block of its ``index``-th head alone, under another head number."""
        return replace(self, heads=slice(number, number + 1), rows=self.rows.head(index))


class Observer(Protocol):
    """Anything that sees every block of attention once."""

    def observe(self, block: AttentionBlock) -> None: ...


@dataclass(slots=True)
class AttentionProbe:
    """Observers and masks of one forward pass.

    Attributes:
        observers: see every block.
        lengths: true frames of each utterance of the batch; None if nothing is padded.
        head_mask: (layers, heads) factor on each head's weights after the softmax (1 keeps, 0 ablates); differentiable.
        span: each query reaches keys at most this many frames away; None reaches all.
        span_mode: ``zero`` drops weights after the softmax without normalising again (span pruning in the paper),
            ``mask`` hides them from the softmax.
        output_attentions: return the maps, as the model used them (after head_mask and span).
        first_utterance: index that observers see for the first utterance of the batch.
        maps: of each layer's last pass, (batch, heads, frames, frames), if ``output_attentions``.
    """

    observers: Sequence[Observer] = ()
    lengths: Sequence[int] | None = None
    head_mask: Tensor | None = None
    span: int | None = None
    span_mode: SpanMode = "zero"
    output_attentions: bool = False
    first_utterance: int = 0
    maps: dict[int, Tensor] = field(default_factory=dict)
