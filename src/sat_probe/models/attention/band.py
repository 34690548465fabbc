"""Attention with a softmax over a band around the diagonal; the cost is frames x span."""

from __future__ import annotations

import torch
from torch import Tensor

from sat_probe.models.attention.inputs import Inputs
from sat_probe.models.attention.tiles import HIDDEN
from sat_probe.models.attention.whole import distance

_BAND_ELEMENTS = 384 * 1024  # weights per block: with their scores they fit a core's share of the last-level cache
_BAND_QUERIES = 64  # fewest queries of a block


def attend_band(inputs: Inputs, span: int) -> None:
    """Attend to the keys at most ``span`` frames away, block by block; fill the output and the maps."""
    heads, frames, _ = inputs.query.shape
    keys = inputs.key.shape[1]
    heads_at_once, queries = _block_shape(heads, frames, keys, span)
    for first_head in range(0, heads, heads_at_once):
        chosen = slice(first_head, min(first_head + heads_at_once, heads))
        for first in range(0, frames, queries):
            rows = slice(first, min(first + queries, frames))
            nearest = min(max(0, first - span), keys - 1)
            columns = slice(nearest, max(nearest + 1, min(rows.stop + span, keys)))
            scores = torch.bmm(inputs.query[chosen, rows], inputs.key[chosen, columns].mT).to(inputs.precise)
            inputs.mask_scores(scores, chosen, rows, columns)
            scores.masked_fill_(distance(rows, columns, scores.device) > span, HIDDEN)
            weights = _softmax(scores)
            inputs.keep(weights, chosen, rows, columns)
            inputs.output[chosen, rows] = torch.bmm(weights.to(inputs.value.dtype), inputs.value[chosen, columns])


def _softmax(scores: Tensor) -> Tensor:
    """Return the softmax of scores in base 2, in place; a row with hidden keys only attends to nothing."""
    highest = scores.amax(-1, keepdim=True)
    weights = scores.sub_(highest).exp2_()
    return weights.mul_(torch.where(highest > HIDDEN, weights.sum(-1, keepdim=True).reciprocal(), 0.0))


def _block_shape(heads: int, frames: int, keys: int, span: int) -> tuple[int, int]:
    """Return the number of heads and of queries of a block."""
    # r queries score r + 2 * span keys each: few queries waste calls, many waste keys
    queries = min(frames, max(_BAND_QUERIES, min(2 * span, _BAND_ELEMENTS // (4 * span + 1))))
    return min(heads, max(1, _BAND_ELEMENTS // (queries * min(keys, queries + 2 * span)))), queries
