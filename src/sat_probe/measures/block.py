"""The interface of attention blocks, by which measures see attention without knowing the models."""

from __future__ import annotations

from typing import Protocol

import torch


class Block(Protocol):
    """Attention weights of some heads and some queries of one layer and utterance, with all their keys.

    `sat_probe.models.attention.blocks.AttentionBlock` is one.
    """

    @property
    def utterance(self) -> int:
        """Index in the batch."""

    @property
    def layer(self) -> int:
        """Index of the layer."""

    @property
    def heads(self) -> slice:
        """The heads, in the numbering of the intact model."""

    @property
    def first_query(self) -> int:
        """Index of the first query."""

    @property
    def length(self) -> int:
        """Frames of the utterance."""

    @property
    def weights(self) -> torch.Tensor:
        """(heads, queries, length) attention weights."""

    @property
    def column_sums(self) -> torch.Tensor:
        """(heads, length) weights summed over the queries."""

    @property
    def offset_sums(self) -> torch.Tensor:
        """(heads, length + queries - 1) weights summed over all pairs with the same key - query."""

    @property
    def row_entropy(self) -> torch.Tensor:
        """(heads, queries) entropy in nats."""

    @property
    def row_maximum(self) -> torch.Tensor:
        """(heads, queries) largest weight."""
