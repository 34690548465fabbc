"""Keys and values of some heads of one utterance, cut into tiles."""

from __future__ import annotations

import torch
from torch import Tensor

from sat_probe.models.attention.inputs import Inputs
from sat_probe.models.attention.tiles import Tiles
from sat_probe.models.attention.whole import distance


class Keys:
    """Keys and values of some heads from frame ``start`` to ``stop``, in tiles of equal width except the last.

    Args:
        inputs: of the utterance.
        heads: the heads.
        start, stop: first frame, and the frame after the last.
        at_once: number of heads of a tile.
        most: largest number of keys of a tile.
        span: weights of keys farther away, in frames, are dropped after the softmax; None keeps all.
    """

    def __init__(
        self, inputs: Inputs, heads: slice, start: int, stop: int, at_once: int, most: int, span: int | None = None
    ) -> None:
        self.inputs, self.span = inputs, span
        self.groups = slices(0, heads.stop - heads.start, at_once)
        self.heads = slices(heads.start, heads.stop, at_once)
        width = part_size(stop - start, most)
        self.columns = slices(start, stop, width)
        # contiguous per head: each block of queries reads them again
        keys, values = (
            [one[group, start:stop].contiguous().split(width, dim=1) for group in self.heads]
            for one in (inputs.key, inputs.value)
        )
        self.keys, self.values = [[part.mT for part in parts] for parts in keys], values
        # half precision cannot hold products with exp_scores, and a span drops weights after observers saw them
        self.late = inputs.precise != inputs.value.dtype or inputs.maps is not None or span is not None

    def tiles(self, queries: int, most: int) -> Tiles:
        """Return tiles for ``queries`` queries; all exp_scores are kept if there are at most ``most``."""
        like = self.inputs.value.new_empty(0, dtype=self.inputs.precise)
        widths = [columns.stop - columns.start for columns in self.columns]
        kept = self.groups[-1].stop * queries * sum(widths) <= most
        return Tiles(self.groups, widths, queries, self.inputs.value.shape[-1], like, kept)

    def fill(self, tiles: Tiles, query: Tensor, rows: slice) -> None:
        """Fill the tiles for a block of queries.

        Args:
            tiles: to be filled.
            query: (heads, queries, size), in base 2; padded at the end.
            rows: the queries that are not padding, counted in the utterance.
        """
        for group, (row, values) in enumerate(zip(tiles.grid, self.values, strict=True)):
            for column, (tile, value) in enumerate(zip(row, values, strict=True)):
                self._score(tile.scores, group, column, query, rows)
                tile.exponentiate(None if self.late else value)

    def fill_again(self, tiles: Tiles, query: Tensor, rows: slice, column: int) -> None:
        """Compute the exp_scores of one column once more; arguments as in :meth:`fill`."""
        for group, row in enumerate(tiles.grid):
            self._score(row[column].scores, group, column, query, rows)
            row[column].exponentiate_again()
        tiles.exp_scores[column, ..., row[column].exp_scores.shape[-1] :] = 0.0  # left by wider columns

    def _score(self, scores: Tensor, group: int, column: int, query: Tensor, rows: slice) -> None:
        some, key = query[self.groups[group]], self.keys[group][column]
        if some.dtype == scores.dtype:
            torch.bmm(some, key, out=scores)
        else:
            scores.copy_(torch.bmm(some, key))
        if self.inputs.masks:
            true = scores[:, : rows.stop - rows.start]
            self.inputs.mask_scores(true, self.heads[group], rows, self.columns[column])

    def mix(self, tiles: Tiles, query: Tensor, rows: slice, factors: Tensor) -> Tensor:
        """Return the weighted sums of values (heads, queries, size); stores the weights if maps are wanted.

        Args:
            tiles: filled.
            query: as in :meth:`fill`.
            rows: as in :meth:`fill`.
            factors: (columns, heads, queries, 1), see :func:`softmax`.
        """
        if not self.late:
            mixed = (tiles.outputs * factors).sum(0)
            gate = self.inputs.gate
            return mixed if gate is None else mixed * gate[self.heads[0].start : self.heads[-1].stop, None, None]
        for column, columns in enumerate(self.columns):
            if not tiles.kept:
                self.fill_again(tiles, query, rows, column)
            for row, group, heads, values in zip(tiles.grid, self.groups, self.heads, self.values, strict=True):
                tile, value = row[column], values[column]
                weights = torch.mul(tile.exp_scores, factors[column, group], out=tile.scores)
                seen = weights[:, : rows.stop - rows.start]
                if self.span is not None:
                    seen.masked_fill_(distance(rows, columns, seen.device) > self.span, 0.0)
                self.inputs.keep(seen, heads, rows, columns)
                tile.output.copy_(torch.bmm(weights.to(value.dtype), value))
        return tiles.outputs.sum(0)


def slices(start: int, stop: int, most: int) -> list[slice]:
    """Cut ``start`` to ``stop`` into slices of at most ``most``."""
    return [slice(first, min(first + most, stop)) for first in range(start, stop, most)]


def part_size(count: int, most: int) -> int:
    """Return the size of near-equal parts of ``count``, at most ``most``."""
    return -(-count // -(-count // most))
