"""A block of queries meets the keys tile by tile: softmax, output and sums without a pass over memory to spare.

A tile of scores fits a core's own cache. What is kept of it are powers of two, shifted by the largest score that a row
has in the tile; the softmax would divide them by their sum. Instead, what is small is divided - the output, sums over
queries - and the weights themselves are made of the powers only when somebody asks for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

HIDDEN = -1e30  # score of a key that must not be seen: like -inf, but 0 * HIDDEN is 0 and not NaN


@dataclass(frozen=True, slots=True)
class Tile:
    """Some heads and queries of a block, and some of their keys.

    Attributes:
        scores: (heads, queries, width) in base 2; the same memory for all tiles of a block.
        powers: (heads, queries, width), 2 ** (score - the row's highest in the tile).
        highest, total, surprise: (heads, queries, 1), each row's highest score, sum of powers, and sum of powers *
            (score - highest).
        output: (heads, queries, size), powers times values.
    """

    scores: Tensor
    powers: Tensor
    highest: Tensor
    total: Tensor
    surprise: Tensor
    output: Tensor

    def take(self, value: Tensor | None) -> None:
        """Turn the scores into the rest, without ``value`` (heads, width, size) all but the output; they are lost."""
        torch.amax(self.scores, -1, keepdim=True, out=self.highest)
        torch.exp2(self.scores.sub_(self.highest), out=self.powers)
        torch.sum(self.powers, -1, keepdim=True, out=self.total)
        torch.sum(self.scores.mul_(self.powers), -1, keepdim=True, out=self.surprise)
        if value is not None:
            torch.bmm(self.powers, value, out=self.output)

    def take_again(self) -> None:
        """Turn the same scores into the same powers."""
        torch.exp2(self.scores.sub_(self.highest), out=self.powers)


class Tiles:
    """The tiles of a block of queries over some keys; to be filled again for the next block.

    Args:
        groups: heads of each tile.
        widths: keys of each tile; the last may have fewer than the others.
        queries: of the block.
        size: of a head's values.
        like: has the dtype of scores, and the device.
        kept: all powers are kept; otherwise one column's at a time.

    Attributes:
        powers, highest, outputs: those of all tiles, (columns, heads, ...).
        sums: (2, columns, heads, queries, 1), total and surprise of all tiles.
        skewed: (columns, heads, queries, width + queries - 1), powers seen along their diagonals: entry j holds those
            with key - query = j - (queries - 1), counted within the tile, and 0 where there are none.
        grid: the tiles, of each group of heads those of each column.
    """

    def __init__(
        self,
        groups: Sequence[slice],
        widths: Sequence[int],
        queries: int,
        size: int,
        like: Tensor,
        kept: bool = True,
    ) -> None:
        heads, pitch = groups[-1].stop, widths[0] + queries - 1
        self.kept = kept or len(widths) == 1
        column = heads * queries * pitch
        memory = like.new_zeros((len(widths) if self.kept else 1) * column + queries)
        shape, steps = (len(widths), heads, queries), (column if self.kept else 0, queries * pitch)
        self.powers = memory.as_strided((*shape, widths[0]), (*steps, pitch, 1), queries - 1)
        # one step more per row than the pitch walks down a diagonal; beyond the ends of a row it meets zeros
        self.skewed = memory.as_strided((*shape, pitch), (*steps, pitch + 1, 1))
        self.highest = like.new_empty(*shape, 1)
        self.sums = like.new_empty(2, *shape, 1)
        self.outputs = like.new_empty(*shape, size)
        scores = like.new_empty(max(group.stop - group.start for group in groups) * queries * widths[0])

        def tile(group: slice, column: int, width: int) -> Tile:
            shape = (group.stop - group.start, queries, width)
            per_row = (part[column, group] for part in (self.highest, *self.sums, self.outputs))
            return Tile(
                scores[: math.prod(shape)].view(shape), self.powers[column, group, :, :width], *per_row
            )

        self.grid = [[tile(group, column, width) for column, width in enumerate(widths)] for group in groups]


@dataclass(frozen=True, slots=True)
class Attention:
    """What a softmax over the keys of some tiles gives.

    Attributes:
        factors: (tiles, heads, queries, 1), which make weights of powers.
        entropy: (heads, queries) of each row, in nats.
        maximum: (heads, queries) largest weight of each row.
    """

    factors: Tensor
    entropy: Tensor
    maximum: Tensor


def softmax(parts: Sequence[Tiles], masked: bool = True) -> Attention:
    """The softmax over the keys of all parts; unless ``masked``, no row has all of them hidden."""
    highest = parts[0].highest if len(parts) == 1 else torch.cat([part.highest for part in parts])
    sums = parts[0].sums if len(parts) == 1 else torch.cat([part.sums for part in parts], 1)
    if len(highest) == 1:
        scale, top, (total, surprise) = None, highest[0], sums[:, 0]
    else:
        top = highest.amax(0)
        shift = highest - top
        scale = shift.exp2()
        scaled = sums * scale
        scaled[1].addcmul_(scaled[0], shift)
        total, surprise = scaled.sum(1)
    inverse = total.reciprocal()
    if masked:  # a row whose keys are all hidden attends to nothing
        inverse.masked_fill_(top <= HIDDEN, 0.0)
    # with s' = s - max(s) and Z = sum(2^s') it is log Z - log 2 sum(2^s' s') / Z, free of the cancellation that
    # logsumexp(s) - sum(A s) suffers from
    entropy = torch.addcmul(total.log(), surprise, inverse, value=-math.log(2))
    factors = inverse[None] if scale is None else scale.mul_(inverse)
    return Attention(factors, entropy[..., 0], inverse[..., 0])


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of attention over the keys of some tiles.

    Attributes:
        powers: (tiles, heads, queries, width), as in :class:`Tiles`.
        skewed: (tiles, heads, queries, width + Q - 1) for tiles of Q queries, of which the first ones count here.
        factors: (tiles, heads, queries, 1), which make weights of powers.
        entropy: (heads, queries) of each row, in nats.
        maximum: (heads, queries) largest weight of each row.
        keys: how many there are; what the last tile has beyond them is empty.
        again: computes the powers of one column again where they were not kept.
    """

    powers: Tensor
    skewed: Tensor
    factors: Tensor
    entropy: Tensor
    maximum: Tensor
    keys: int
    again: Callable[[int], None] | None = None

    @classmethod
    def of(
        cls, tiles: Tiles, attention: Attention, queries: int, keys: int, again: Callable[[int], None]
    ) -> Rows:
        """The first ``queries`` rows of the attention to the keys of some tiles."""
        some = slice(0, queries)
        return cls(
            tiles.powers[:, :, some],
            tiles.skewed[:, :, some],
            attention.factors[:, :, some],
            attention.entropy[:, some],
            attention.maximum[:, some],
            keys,
            None if tiles.kept else again,
        )

    def head(self, index: int) -> Rows:
        """The rows of one head."""
        one = slice(index, index + 1)
        per_tile = self.powers[:, one], self.skewed[:, one], self.factors[:, one]
        return Rows(*per_tile, self.entropy[one], self.maximum[one], self.keys, self.again)

    def weights(self) -> Tensor:
        """(heads, queries, keys), rows sum to 1."""
        weights = self._each(lambda powers, _, factors: powers * factors)
        whole = weights[0] if len(weights) == 1 else weights.permute(1, 2, 0, 3).flatten(2)
        return whole[..., : self.keys]

    def sums(self) -> tuple[Tensor, Tensor]:
        """What keys and offsets get from all queries.

        Returns:
            (heads, keys); (heads, queries + keys - 1) for each offset key - query = -(queries - 1) ... keys - 1.
        """
        tiles, heads, queries, width = self.powers.shape
        before = self.skewed.shape[-1] - width  # offsets below 0 that the tiles have room for
        both = self._each(
            lambda powers, skewed, factors: torch.cat([factors.mT @ powers, factors.mT @ skewed], -1)
        )
        both = both[:, :, 0].transpose(0, 1)
        columns, offsets = both[..., :width], both[..., width:]
        if tiles > 1:  # diagonals that begin in one tile end in the next
            joined = both.new_zeros(heads, tiles + 1, width)
            joined[:, :-1] = offsets[..., :width]
            joined[:, 1:, :before] += offsets[..., width:]
            offsets = joined
        return (
            columns.flatten(1)[:, : self.keys],
            offsets.flatten(1)[:, before + 1 - queries : before + self.keys],
        )

    def _each(self, function: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
        """A function of powers, skewed powers and factors, for all tiles, (tiles, ...)."""
        if self.again is None:
            return function(self.powers, self.skewed, self.factors)
        results = []
        for column, parts in enumerate(zip(self.powers, self.skewed, self.factors, strict=True)):
            self.again(column)
            results.append(function(*parts))
        return torch.stack(results)
