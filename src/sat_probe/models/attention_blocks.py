"""Attention in blocks of queries: shown to observers, multiplied with the values, and forgotten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sat_probe.models.attention_probe import AttentionBlock, AttentionProbe
from sat_probe.models.attention_whole import HIDDEN, attend_sdpa, attend_whole, distance, head_gate

# weights per block: two such float32 buffers stay in a core's share of the last-level cache
_BLOCK_ELEMENTS = 384 * 1024
# scores are kept in base 2: exp2 takes half the time of exp, which slows down tenfold where it underflows
_LOG2_E = 1 / math.log(2)
_BAND_QUERIES = 64  # at least so many queries in a block whose keys are a band around them


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
    """Multi-head attention under a probe.

    Args:
        probe: what to do beside attending.
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
    probe.seen.add(layer)
    gate = None if probe.head_mask is None else head_gate(probe.head_mask, layer, query)
    differentiable = query.requires_grad or (gate is not None and gate.requires_grad)
    if dropout or (torch.is_grad_enabled() and differentiable):
        return attend_whole(probe, query, key, value, mask, bias, gate, dropout)
    if not probe.observers and probe.span is None and not probe.output_attentions:
        output = attend_sdpa(query, key, value, mask, bias)
        return (output if gate is None else output * gate[:, None, None]), None
    batch, heads, frames, _ = query.shape
    output = torch.empty(
        batch, frames, heads, value.shape[-1], dtype=value.dtype, device=value.device
    ).transpose(1, 2)
    maps = query.new_zeros(batch, heads, frames, frames) if probe.output_attentions else None
    for utterance in range(batch):
        length = frames if probe.lengths is None else probe.lengths[utterance]
        scores_mask = _utterance_mask(mask, utterance)
        keys = frames
        if _is_padding(scores_mask, length):
            keys, scores_mask = length, None
        _attend_blocks(
            probe,
            _Place(layer, utterance, length, keys),
            query[utterance],
            key[utterance, :, :keys],
            value[utterance, :, :keys],
            [m for m in (scores_mask, _utterance_mask(bias, utterance)) if m is not None],
            gate,
            output[utterance],
            None if maps is None else maps[utterance],
        )
    return output, maps


@dataclass(frozen=True, slots=True)
class _Place:
    layer: int
    utterance: int
    length: int
    keys: int


def _attend_blocks(
    probe: AttentionProbe,
    place: _Place,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    masks: Sequence[Tensor],
    gate: Tensor | None,
    output: Tensor,
    maps: Tensor | None,
) -> None:
    """Attend block by block; shapes as in :func:`attend` without the batch, keys cut to the ones that count."""
    heads, frames, _ = query.shape
    query = query * _LOG2_E
    # what the softmax must not see need not be computed: the cost is frames x span
    banded = probe.span is not None and probe.span_mode == "mask" and not probe.observers
    reach = place.keys if probe.span is None or not banded else probe.span
    heads_at_once, queries_at_once, most_keys = _block_shape(heads, frames, place.keys, reach)
    precise = value.dtype if value.dtype == torch.float64 else torch.float32
    scores_buffer = torch.empty(
        heads_at_once * queries_at_once * most_keys, dtype=precise, device=query.device
    )
    weights_buffer = torch.empty_like(scores_buffer)
    for first_head in range(0, heads, heads_at_once):
        chosen = slice(first_head, min(first_head + heads_at_once, heads))
        count = chosen.stop - chosen.start
        transposed_key, head_value = key[chosen].transpose(1, 2), value[chosen]
        for first in range(0, frames, queries_at_once):
            rows = slice(first, min(first + queries_at_once, frames))
            columns = slice(0, place.keys)
            if banded:
                nearest = min(max(0, first - reach), place.keys - 1)
                columns = slice(nearest, max(nearest + 1, min(rows.stop + reach, place.keys)))
            shape = (count, rows.stop - rows.start, columns.stop - columns.start)
            size = shape[0] * shape[1] * shape[2]
            scores, weights = scores_buffer[:size].view(shape), weights_buffer[:size].view(shape)
            if query.dtype == precise:
                torch.bmm(query[chosen, rows], transposed_key[:, :, columns], out=scores)
            else:
                scores.copy_(torch.bmm(query[chosen, rows], transposed_key[:, :, columns]))
            for mask in masks:
                _add_mask(scores, mask, chosen, rows, columns)
            far = None if probe.span is None else distance(rows, columns, scores.device) > probe.span
            if probe.observers:
                _observe(probe, place, chosen, rows, scores, weights)
            if far is not None and probe.span_mode == "mask":
                scores.masked_fill_(far, HIDDEN)
                _softmax(scores, weights)
            elif not probe.observers or place.keys > place.length:
                _softmax(scores, weights)
            if far is not None and probe.span_mode == "zero":
                weights.masked_fill_(far, 0.0)
            if gate is not None:
                weights.mul_(gate[chosen, None, None])
            if maps is not None:
                maps[chosen, rows, columns] = weights.to(maps.dtype)
            output[chosen, rows] = torch.bmm(weights.to(value.dtype), head_value[:, columns])


def _observe(
    probe: AttentionProbe, place: _Place, heads: slice, rows: slice, scores: Tensor, weights: Tensor
) -> None:
    """Fill ``weights`` with the softmax and show the true rows; each row of ``scores`` is shifted, no more.

    Keys beyond the true length that the model attends to all the same (Whisper) are left out and the rest
    re-normalised.
    """
    queries = min(rows.stop, place.length) - rows.start
    if place.keys > place.length:
        if queries <= 0:
            return
        scores = scores[:, :queries, : place.length].clone()
        weights = torch.empty_like(scores)
    maximum, entropy = _softmax(scores, weights)
    if queries <= 0:
        return
    block = AttentionBlock(
        utterance=probe.first_utterance + place.utterance,
        layer=place.layer,
        heads=heads,
        first_query=rows.start,
        length=place.length,
        weights=weights[:, :queries],
        row_entropy=entropy[:, :queries],
        row_maximum=maximum[:, :queries],
    )
    for observer in probe.observers:
        observer.observe(block)


def _softmax(scores: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax of ``scores`` into ``weights``; returns each row's maximum and entropy.

    With s' = s - max(s) and Z = sum(2^s'), the largest weight is 1/Z and the entropy is log Z - log 2 sum(A s'): both
    are free of the cancellation that logsumexp(s) - sum(A s) suffers from. ``scores`` become s'.

    Args:
        scores: (heads, queries, keys) in base 2, times log2(e) what a softmax with exp takes.
        weights: (heads, queries, keys), overwritten.
    """
    highest = scores.amax(-1, keepdim=True)
    torch.exp2(scores.sub_(highest), out=weights)
    total = weights.sum(-1, keepdim=True)
    # a row whose keys are all hidden attends to nothing
    inverse = torch.where(highest > HIDDEN, total.reciprocal(), 0.0)
    weights.mul_(inverse)
    return inverse.squeeze(-1), total.squeeze(-1).log() - math.log(2) * torch.linalg.vecdot(weights, scores)


def _block_shape(heads: int, frames: int, keys: int, reach: int) -> tuple[int, int, int]:
    """Heads and queries that one block holds within the cache, and the keys that its queries reach at most."""
    # a band of r queries computes r + 2 * reach keys each: few queries waste calls, many waste keys
    queries = min(frames, max(_BAND_QUERIES, min(2 * reach, _BLOCK_ELEMENTS // (4 * reach + 1))))
    if queries + 2 * reach < keys:
        most = queries + 2 * reach
        return min(heads, max(1, _BLOCK_ELEMENTS // (queries * most))), queries, most
    rows = max(1, _BLOCK_ELEMENTS // keys)
    if rows >= frames:
        return min(heads, max(1, rows // frames)), frames, keys
    return 1, min(frames, max(32, rows)), keys  # below 32 rows the matrix product loses its speed


def _utterance_mask(mask: Tensor | None, utterance: int) -> Tensor | None:
    return None if mask is None else mask[utterance if mask.shape[0] > 1 else 0]


def _is_padding(mask: Tensor | None, length: int) -> bool:
    """True if a mask only hides the keys beyond ``length`` from the true queries."""
    if mask is None or mask.dtype != torch.bool:
        return False
    true_rows = mask[:, : min(length, mask.shape[1])]
    return bool(true_rows[:, :, :length].all()) and not bool(true_rows[:, :, length:].any())


def _add_mask(scores: Tensor, mask: Tensor, heads: slice, rows: slice, columns: slice) -> None:
    mask = mask[
        heads if mask.shape[0] > 1 else slice(None), rows if mask.shape[1] > 1 else slice(None), columns
    ]
    if mask.dtype == torch.bool:
        scores.masked_fill_(~mask, HIDDEN)
    else:
        scores.add_(mask, alpha=_LOG2_E).clamp_(min=HIDDEN)
