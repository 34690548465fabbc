"""Softmax of a block of queries over tiles of keys, without a superfluous pass over memory.

A tile keeps powers of two of its scores. They are not divided by their sum; the small results (output, sums over
queries) are. Weights are made only if somebody asks for them. The package's docstring has a drawing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

HIDDEN = -1e30  # score of a masked key: like -inf, but 0 * HIDDEN is 0 and not NaN


@dataclass(frozen=True, slots=True)
class Tile:
    """Some heads and queries of a block, and some of their keys.

    Attributes:
        scores: (heads, queries, width) in base 2; the same memory for all tiles of a block.
        exp_scores: (heads, queries, width), 2 ** (score - the row's highest in the tile).
        highest, total, entropy_sum: (heads, queries, 1), of each row the highest score, the sum of exp_scores, and the
            sum of exp_scores * (score - highest).
        output: (heads, queries, size), exp_scores times values.
    """

    scores: Tensor
    exp_scores: Tensor
    highest: Tensor
    total: Tensor
    entropy_sum: Tensor
    output: Tensor

    def exponentiate(self, value: Tensor | None) -> None:
        """Compute the rest from the scores, and overwrite them; the output only with ``value`` (heads, width, size)."""
        torch.amax(self.scores, -1, keepdim=True, out=self.highest)
        torch.exp2(self.scores.sub_(self.highest), out=self.exp_scores)
        torch.sum(self.exp_scores, -1, keepdim=True, out=self.total)
        torch.sum(self.scores.mul_(self.exp_scores), -1, keepdim=True, out=self.entropy_sum)
        if value is not None:
            torch.bmm(self.exp_scores, value, out=self.output)

    def exponentiate_again(self) -> None:
        """Compute exp_scores from the same scores once more."""
        torch.exp2(self.scores.sub_(self.highest), out=self.exp_scores)


class Tiles:
    """Tiles of a block of queries over some keys, reused for the next block.

    Args:
        groups: heads of each tile.
        widths: keys of each tile; the last may have fewer than the others.
        queries: number of queries of the block.
        size: features of a head's values.
        like: tensor with the dtype of scores and the device.
        kept: keep the exp_scores of all columns, instead of one column at a time.

    Attributes:
        exp_scores, highest, outputs: of all tiles, (columns, heads, ...).
        sums: (2, columns, heads, queries, 1), total and entropy_sum of all tiles.
        diagonals: (columns, heads, queries, width + queries - 1), exp_scores along diagonals: entry j has key - query =
            j - (queries - 1), counted within the tile, and is 0 where there is no such key.
        grid: tiles of each group of heads, one per column.
    """

    def __init__(
        self, groups: Sequence[slice], widths: Sequence[int], queries: int, size: int, like: Tensor, kept: bool = True
    ) -> None:
        heads, pitch = groups[-1].stop, widths[0] + queries - 1
        self.kept = kept or len(widths) == 1
        column = heads * queries * pitch
        memory = like.new_zeros((len(widths) if self.kept else 1) * column + queries)
        shape, steps = (len(widths), heads, queries), (column if self.kept else 0, queries * pitch)
        self.exp_scores = memory.as_strided((*shape, widths[0]), (*steps, pitch, 1), queries - 1)
        # one step more per row than the pitch walks down a diagonal; beyond the ends of a row there are zeros
        self.diagonals = memory.as_strided((*shape, pitch), (*steps, pitch + 1, 1))
        self.highest = like.new_empty(*shape, 1)
        self.sums = like.new_empty(2, *shape, 1)
        self.outputs = like.new_empty(*shape, size)
        scores = like.new_empty(max(group.stop - group.start for group in groups) * queries * widths[0])

        def tile(group: slice, column: int, width: int) -> Tile:
            shape = (group.stop - group.start, queries, width)
            per_row = (part[column, group] for part in (self.highest, *self.sums, self.outputs))
            return Tile(scores[: math.prod(shape)].view(shape), self.exp_scores[column, group, :, :width], *per_row)

        self.grid = [[tile(group, column, width) for column, width in enumerate(widths)] for group in groups]


@dataclass(frozen=True, slots=True)
class Attention:
    """Softmax over the keys of some tiles.

    Attributes:
        factors: (tiles, heads, queries, 1); exp_scores * factors are the weights.
        entropy: (heads, queries) of each row, in nats.
        maximum: (heads, queries) largest weight of each row.
    """

    factors: Tensor
    entropy: Tensor
    maximum: Tensor


def softmax(parts: Sequence[Tiles], masked: bool = True) -> Attention:
    """Return the softmax over the keys of all parts; unless ``masked``, every row has a key that is not hidden."""
    highest = parts[0].highest if len(parts) == 1 else torch.cat([part.highest for part in parts])
    sums = parts[0].sums if len(parts) == 1 else torch.cat([part.sums for part in parts], 1)
    if len(highest) == 1:
        scale, top, (total, entropy_sum) = None, highest[0], sums[:, 0]
    else:
        top = highest.amax(0)
        shift = highest - top
        scale = shift.exp2()
        scaled = sums * scale
        scaled[1].addcmul_(scaled[0], shift)
        total, entropy_sum = scaled.sum(1)
    inverse = total.reciprocal()
    if masked:  # a row with hidden keys only attends to nothing
        inverse.masked_fill_(top <= HIDDEN, 0.0)
    # log Z - log 2 sum(2^s' s') / Z with s' = s - max(s), Z = sum(2^s'): no cancellation as in logsumexp(s) - sum(A s)
    entropy = torch.addcmul(total.log(), entropy_sum, inverse, value=-math.log(2))
    factors = inverse[None] if scale is None else scale.mul_(inverse)
    return Attention(factors, entropy[..., 0], inverse[..., 0])


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of attention over the keys of some tiles.

    Attributes:
        exp_scores: (tiles, heads, queries, width), as in :class:`Tiles`.
        diagonals: (tiles, heads, queries, width + Q - 1) for tiles of Q queries; only the first ones count.
        factors: (tiles, heads, queries, 1); exp_scores * factors are the weights.
        entropy: (heads, queries) of each row, in nats.
        maximum: (heads, queries) largest weight of each row.
        keys: number of keys; columns of the last tile beyond them are empty.
        recompute: computes the exp_scores of one column once more, if they were not kept.
    """

    exp_scores: Tensor
    diagonals: Tensor
    factors: Tensor
    entropy: Tensor
    maximum: Tensor
    keys: int
    recompute: Callable[[int], None] | None = None

    @classmethod
    def of(cls, tiles: Tiles, attention: Attention, queries: int, keys: int, recompute: Callable[[int], None]) -> Rows:
        """Return the first ``queries`` rows of the attention to the keys of some tiles."""
        some = slice(0, queries)
        return cls(
            tiles.exp_scores[:, :, some],
            tiles.diagonals[:, :, some],
            attention.factors[:, :, some],
            attention.entropy[:, some],
            attention.maximum[:, some],
            keys,
            None if tiles.kept else recompute,
        )

    def head(self, index: int) -> Rows:
        """Return the rows of one head."""
        one = slice(index, index + 1)
        per_tile = self.exp_scores[:, one], self.diagonals[:, one], self.factors[:, one]
        return Rows(*per_tile, self.entropy[one], self.maximum[one], self.keys, self.recompute)

    def weights(self) -> Tensor:
        """Return the weights (heads, queries, keys); rows sum to 1."""
        weights = self._each(lambda exp_scores, _, factors: exp_scores * factors)
        whole = weights[0] if len(weights) == 1 else weights.permute(1, 2, 0, 3).flatten(2)
        return whole[..., : self.keys]

    def sums(self) -> tuple[Tensor, Tensor]:
        """Return the sums of weights over queries, by key and by offset.

        Returns:
            (heads, keys); and (heads, queries + keys - 1) for each offset key - query = -(queries - 1) ... keys - 1.
        """
        tiles, heads, queries, width = self.exp_scores.shape
        before = self.diagonals.shape[-1] - width  # offsets below 0 that the tiles have room for
        both = self._each(
            lambda exp_scores, diagonals, factors: torch.cat([factors.mT @ exp_scores, factors.mT @ diagonals], -1)
        )
        both = both[:, :, 0].transpose(0, 1)
        columns, offsets = both[..., :width], both[..., width:]
        if tiles > 1:  # diagonals that begin in one tile end in the next
            joined = both.new_zeros(heads, tiles + 1, width)
            joined[:, :-1] = offsets[..., :width]
            joined[:, 1:, :before] += offsets[..., width:]
            offsets = joined
        return (columns.flatten(1)[:, : self.keys], offsets.flatten(1)[:, before + 1 - queries : before + self.keys])

    def _each(self, function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        """Return a function of exp_scores, diagonals and factors for all tiles, (tiles, ...)."""
        if self.recompute is None:
            return function(self.exp_scores, self.diagonals, self.factors)
        results = []
        for column, parts in enumerate(zip(self.exp_scores, self.diagonals, self.factors, strict=True)):
            self.recompute(column)
            results.append(function(*parts))
        return torch.stack(results)
