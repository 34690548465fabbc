"""Attention in blocks of queries: shown to observers, multiplied with the values, and forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from sat_probe.errors import ModelError

SpanMode = Literal["zero", "mask"]
_BLOCK_ELEMENTS = (
    384 * 1024
)  # weights per block: two such float32 buffers stay in a core's share of the last-level cache
_HIDDEN = -1e30  # score of a key that must not be seen: like -inf, but 0 * _HIDDEN is 0 and not NaN


@dataclass(frozen=True, slots=True)
class AttentionBlock:
    """The attention weights of some queries of some heads of one utterance in one layer, seen once and then overwritten.

    Attributes:
        utterance: index in the batch.
        layer: 0 is the layer next to the input.
        heads: which heads of the layer.
        first_query: index of the first query.
        length: T, true frames of the utterance; padding is never shown.
        weights: (heads, queries, T) softmax output before any masking, rows sum to 1. A view: read it, never keep it.
        row_entropy: (heads, queries) entropy of each row in nats.
        row_maximum: (heads, queries) largest weight of each row.
    """

    utterance: int
    layer: int
    heads: slice
    first_query: int
    length: int
    weights: Tensor
    row_entropy: Tensor
    row_maximum: Tensor


class Observer(Protocol):
    """Anything that wants to see every block of attention once."""

    def observe(self, block: AttentionBlock) -> None: ...


@dataclass(slots=True)
class AttentionProbe:
    """What the attention of one forward pass shall do beside attending.

    Attributes:
        observers: see every block.
        lengths: true frames of each utterance of the batch; None if nothing is padded.
        head_mask: (layers, heads) factor on each head's weights after the softmax (1 keeps, 0 ablates); differentiable.
        span: each query reaches keys at most this many frames away; None reaches all.
        span_mode: ``zero`` drops weights after the softmax without re-normalising (the paper's span pruning), ``mask`` never lets
            the softmax see them.
        output_attentions: return the maps, as the model used them (after head_mask and span).
        first_utterance: what observers hear as the index of the batch's first utterance.
        seen: layers that attended so far.
    """

    observers: Sequence[Observer] = ()
    lengths: Sequence[int] | None = None
    head_mask: Tensor | None = None
    span: int | None = None
    span_mode: SpanMode = "zero"
    output_attentions: bool = False
    first_utterance: int = 0
    seen: set[int] = field(default_factory=set)


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
    gate = None if probe.head_mask is None else _gate(probe.head_mask, layer, query)
    differentiable = query.requires_grad or (gate is not None and gate.requires_grad)
    if dropout or (torch.is_grad_enabled() and differentiable):
        return _attend_whole(probe, layer, query, key, value, mask, bias, gate, dropout)
    if not probe.observers and probe.span is None and not probe.output_attentions:
        output = _attend_sdpa(query, key, value, mask, bias)
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
    heads_at_once, queries_at_once = _block_shape(heads, frames, place.keys)
    precise = value.dtype if value.dtype == torch.float64 else torch.float32
    scores_buffer = torch.empty(
        heads_at_once * queries_at_once * place.keys, dtype=precise, device=query.device
    )
    weights_buffer = torch.empty_like(scores_buffer)
    for first_head in range(0, heads, heads_at_once):
        chosen = slice(first_head, min(first_head + heads_at_once, heads))
        count = chosen.stop - chosen.start
        transposed_key, head_value = key[chosen].transpose(1, 2), value[chosen]
        for first in range(0, frames, queries_at_once):
            rows = slice(first, min(first + queries_at_once, frames))
            columns = slice(0, place.keys)
            if probe.span is not None and probe.span_mode == "mask" and not probe.observers:
                # what the softmax must not see need not be computed: the cost is frames x span
                nearest = min(max(0, first - probe.span), place.keys - 1)
                columns = slice(nearest, max(nearest + 1, min(rows.stop + probe.span, place.keys)))
            shape = (count, rows.stop - rows.start, columns.stop - columns.start)
            size = shape[0] * shape[1] * shape[2]
            scores, weights = scores_buffer[:size].view(shape), weights_buffer[:size].view(shape)
            if query.dtype == precise:
                torch.bmm(query[chosen, rows], transposed_key[:, :, columns], out=scores)
            else:
                scores.copy_(torch.bmm(query[chosen, rows], transposed_key[:, :, columns]))
            for mask in masks:
                _add_mask(scores, mask, chosen, rows, columns)
            far = None if probe.span is None else _distance(rows, columns, scores.device) > probe.span
            if probe.observers:
                _observe(probe, place, chosen, rows, scores, weights)
            if far is not None and probe.span_mode == "mask":
                scores.masked_fill_(far, _HIDDEN)
                _softmax(scores, weights)
            elif not probe.observers or place.keys > place.length:
                _softmax(scores, weights)
            if far is not None and probe.span_mode == "zero":
                weights.masked_fill_(far, 0.0)
            if maps is not None:
                maps[chosen, rows, columns] = (
                    weights.to(maps.dtype)
                    if gate is None
                    else weights.to(maps.dtype) * gate[chosen, None, None]
                )
            attended = torch.bmm(weights.to(value.dtype), head_value[:, columns])
            output[chosen, rows] = attended if gate is None else attended * gate[chosen, None, None]


def _observe(
    probe: AttentionProbe, place: _Place, heads: slice, rows: slice, scores: Tensor, weights: Tensor
) -> None:
    """Fill ``weights`` with the softmax, and show the true rows; ``scores`` stay as they are but for a shift of each row.

    Keys beyond the true length that the model attends to all the same (Whisper) are left out and the rest re-normalised.
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

    With s' = s - max(s) and Z = sum(exp(s')), the largest weight is 1/Z and the entropy is log Z - sum(A s'): both are free of the
    cancellation that logsumexp(s) - sum(A s) suffers from. ``scores`` become s'.
    """
    highest = scores.amax(-1, keepdim=True)
    torch.exp(scores.sub_(highest), out=weights)
    total = weights.sum(-1, keepdim=True)
    inverse = torch.where(
        highest > _HIDDEN, total.reciprocal(), 0.0
    )  # a row whose keys are all hidden attends to nothing
    weights.mul_(inverse)
    return inverse.squeeze(-1), total.squeeze(-1).log() - torch.linalg.vecdot(weights, scores)


def _attend_whole(
    probe: AttentionProbe,
    layer: int,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    gate: Tensor | None,
    dropout: float,
) -> tuple[Tensor, Tensor | None]:
    """The same at once, differentiable; observers see each utterance's whole maps."""
    scores = (
        (query @ key.transpose(-1, -2)).float()
        if query.dtype != torch.float64
        else query @ key.transpose(-1, -2)
    )
    for extra in (mask, bias):
        if extra is not None:
            hidden = extra.dtype == torch.bool
            scores = scores.masked_fill(~extra, _HIDDEN) if hidden else (scores + extra).clamp(min=_HIDDEN)
    heads, frames = query.shape[1:3]
    for utterance in range(query.shape[0] if probe.observers else 0):
        length = frames if probe.lengths is None else probe.lengths[utterance]
        seen = scores[utterance, :, :length, :length].detach().clone()
        everything = slice(0, length)
        _observe(
            probe,
            _Place(layer, utterance, length, length),
            slice(0, heads),
            everything,
            seen,
            torch.empty_like(seen),
        )
    far = None
    if probe.span is not None:
        far = _distance(slice(0, frames), slice(0, frames), scores.device) > probe.span
        if probe.span_mode == "mask":
            scores = scores.masked_fill(far, _HIDDEN)
    weights = scores.softmax(-1)
    if far is not None and probe.span_mode == "zero":
        weights = weights.masked_fill(far, 0.0)
    if gate is not None:
        weights = weights * gate[:, None, None]
    weights = nn.functional.dropout(weights, dropout, training=dropout > 0).to(value.dtype)
    return weights @ value, weights if probe.output_attentions else None


def _attend_sdpa(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, bias: Tensor | None
) -> Tensor:
    if bias is not None:
        if mask is not None and mask.dtype == torch.bool:
            bias = bias.masked_fill(~mask, torch.finfo(bias.dtype).min)
        elif mask is not None:
            bias = bias + mask
        mask = bias
    if mask is not None and mask.is_floating_point():
        mask = mask.to(query.dtype)
    return nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0)


def _gate(head_mask: Tensor, layer: int, query: Tensor) -> Tensor:
    if layer >= head_mask.shape[0] or head_mask.shape[1] < query.shape[1]:
        raise ModelError(
            f"head_mask of shape {tuple(head_mask.shape)} has no row for layer {layer} with its {query.shape[1]} heads"
        )
    return head_mask[layer, : query.shape[1]].to(device=query.device, dtype=query.dtype)


def _block_shape(heads: int, frames: int, keys: int) -> tuple[int, int]:
    """Heads and queries that one block holds, within the cache."""
    rows = max(1, _BLOCK_ELEMENTS // keys)
    if rows >= frames:
        return min(heads, max(1, rows // frames)), frames
    return 1, min(frames, max(32, rows))  # below 32 rows the matrix product loses its speed


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
        scores.masked_fill_(~mask, _HIDDEN)
    else:
        scores.add_(mask).clamp_(min=_HIDDEN)


def _distance(rows: slice, columns: slice, device: torch.device) -> Tensor:
    """(queries, keys) distance in frames."""
    queries = torch.arange(rows.start, rows.stop, device=device)
    return (queries[:, None] - torch.arange(columns.start, columns.stop, device=device)).abs()
