"""Attention in blocks of queries, each shown to observers and then overwritten."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import pairwise

import torch
from torch import Tensor, nn

from sat_probe.models.attention.inputs import Inputs, utterance_inputs
from sat_probe.models.attention.keys import Keys, part_size, slices
from sat_probe.models.attention.probe import AttentionBlock, AttentionProbe
from sat_probe.models.attention.tiles import Rows, Tiles, softmax
from sat_probe.models.attention.whole import attend_band, attend_sdpa, attend_whole, head_gate

# exp_scores of a block, where a tile has less: few blocks, since each has calls of its own
_BLOCK_ELEMENTS = 1024 * 1024
# more exp_scores than this leave all caches: for observers they are computed a second time, tile by tile, with more
# queries at a time, since keys and values come from memory too
_KEPT_ELEMENTS = 8 * 1024 * 1024
# scores per tile: with their exp_scores they fit a core's own cache
_TILE_ELEMENTS = 128 * 1024
# queries of a tile that does not hold all: enough for matrix products at full speed
_TILE_QUERIES = 128


def attend(
    probe: AttentionProbe,
    layer: int,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    bias: Tensor | None = None,
    dropout: float = 0.0,
) -> tuple[Tensor, Tensor | None]:
    """Return multi-head attention under a probe.

    Args:
        probe: observers and masks.
        layer: number of this layer.
        query: (batch, heads, frames, size), scaled already.
        key: (batch, heads, frames, size).
        value: (batch, heads, frames, size).
        mask: broadcastable to (batch, heads, frames, frames); bool (True attends) or float (added to the scores).
        bias: added to the scores, same shape.
        dropout: probability with which weights are dropped (training).

    Returns:
        Output (batch, heads, frames, size), and the maps (batch, heads, frames, frames) if the probe asks for them.
    """
    gate = None if probe.head_mask is None else head_gate(probe.head_mask, layer, query)
    differentiable = query.requires_grad or (gate is not None and gate.requires_grad)
    if dropout or (torch.is_grad_enabled() and differentiable):
        return attend_whole(probe, query, key, value, mask, bias, gate, dropout)
    if not probe.observers and probe.span is None and not probe.output_attentions:
        output = attend_sdpa(query, key, value, mask, bias)
        return (output if gate is None else output * gate[:, None, None]), None
    batch, heads, frames, _ = query.shape
    output = torch.empty(batch, frames, heads, value.shape[-1], dtype=value.dtype, device=value.device).transpose(1, 2)
    maps = query.new_zeros(batch, heads, frames, frames) if probe.output_attentions else None
    for utterance in range(batch):
        length = frames if probe.lengths is None else probe.lengths[utterance]
        inputs = utterance_inputs(utterance, length, query, key, value, mask, bias, gate, output, maps)
        show = _shows(probe, probe.first_utterance + utterance, layer, length) if probe.observers else None
        if probe.span is None or probe.span_mode == "zero":
            _attend_tiles(inputs, length, probe.span, show)
            continue
        if show is not None:  # observers see the weights without the span
            unlimited = replace(inputs, output=torch.empty_like(inputs.output), gate=None, maps=None)
            _attend_tiles(unlimited, length, None, show)
        attend_band(inputs, probe.span)
    return output, maps


Show = Callable[[slice, int, Rows], None]


def _shows(probe: AttentionProbe, utterance: int, layer: int, length: int) -> Show:
    """Return a function that shows rows of some heads, from some query on, to the observers."""

    def show(heads: slice, first_query: int, rows: Rows) -> None:
        block = AttentionBlock(utterance, layer, heads, first_query, length, rows)
        for observer in probe.observers:
            observer.observe(block)

    return show


def _attend_tiles(inputs: Inputs, length: int, span: int | None, show: Show | None) -> None:
    """Attend to all keys, one block of queries after the other; fill the output and the maps.

    Args:
        inputs: of the utterance.
        length: true frames; only these are shown.
        span: weights of keys farther away, in frames, are dropped after the softmax; None keeps all.
        show: receives every block, before weights are dropped.
    """
    heads, frames, _ = inputs.query.shape
    keys = inputs.key.shape[1]
    # keys beyond the true length that the model attends to (Whisper) get tiles that are not shown
    edges = sorted({0, keys if show is None else min(length, keys), keys})
    # blocks that are shown do not depend on padding
    shape = _shape(heads, frames if show is None else min(length, frames), keys, edges[1])
    tiles: list[Tiles] = []
    for chosen in slices(0, heads, shape.heads):
        sides = [
            Keys(inputs, chosen, start, stop, shape.tile_heads, shape.tile_keys, span)
            for start, stop in pairwise(edges)
        ]
        missing = -frames % shape.queries  # the last block is as large as the others
        blocks = nn.functional.pad(inputs.query[chosen], (0, 0, 0, missing)).split(shape.queries, dim=1)
        if not tiles or tiles[0].exp_scores.shape[1] != blocks[0].shape[0]:
            tiles = [side.tiles(shape.queries, _KEPT_ELEMENTS) for side in sides]
        for query, rows in zip(blocks, slices(0, frames, shape.queries), strict=True):
            for side, part in zip(sides, tiles, strict=True):
                side.fill(part, query, rows)
            attention = softmax(tiles, bool(inputs.masks))
            if show is not None and rows.start < length:
                shown = attention if len(tiles) == 1 else softmax(tiles[:1])  # over the true keys alone
                true = min(rows.stop, length) - rows.start
                recompute = partial(sides[0].fill_again, tiles[0], query, rows)
                show(chosen, rows.start, Rows.of(tiles[0], shown, true, edges[1], recompute))
            parts = attention.factors.split([len(part.exp_scores) for part in tiles])
            mixed = [side.mix(part, query, rows, own) for side, part, own in zip(sides, tiles, parts, strict=True)]
            inputs.output[chosen, rows] = reduce(torch.add, mixed)[:, : rows.stop - rows.start]


@dataclass(frozen=True, slots=True)
class _Shape:
    """Largest numbers of heads and queries of a block, and of heads and keys of its tiles."""

    heads: int
    queries: int
    tile_heads: int
    tile_keys: int


def _shape(heads: int, frames: int, keys: int, shown: int) -> _Shape:
    """Return the shape of near-equal blocks and tiles; no tile of ``shown`` keys has more queries than keys."""
    threads = torch.get_num_threads()  # each works on some heads of a tile, with its own cache
    least = _TILE_QUERIES if keys * _TILE_QUERIES <= _KEPT_ELEMENTS else 2 * _TILE_QUERIES
    width = part_size(keys, max(1, _TILE_ELEMENTS // min(frames, least)))
    queries = part_size(frames, min(max(least, _TILE_ELEMENTS // width), part_size(shown, width)))
    tile_heads = min(heads, max(threads, threads * _TILE_ELEMENTS // (queries * width)))
    groups = max(1, _BLOCK_ELEMENTS // (tile_heads * queries * keys))
    return _Shape(part_size(heads, groups * tile_heads), queries, tile_heads, width)
