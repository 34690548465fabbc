"""Attention of a whole batch at once: differentiable, or PyTorch's fused attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sat_probe.errors import ModelError
from sat_probe.models.attention.inputs import Inputs
from sat_probe.models.attention.probe import AttentionProbe
from sat_probe.models.attention.tiles import HIDDEN


def attend_whole(
    probe: AttentionProbe,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    gate: Tensor | None,
    dropout: float,
) -> tuple[Tensor, Tensor | None]:
    """Return the attention of the whole batch, differentiable also with respect to ``gate``; shapes as in ``attend``.

    Raises:
        ModelError: if the probe has observers; they see inference only.
    """
    if probe.observers:
        raise ModelError("observers see inference only: run the model under torch.no_grad() and in eval mode")
    scores = query @ key.transpose(-1, -2)
    scores = scores if scores.dtype == torch.float64 else scores.float()
    for extra in (mask, bias):
        if extra is not None:
            hidden = extra.dtype == torch.bool
            scores = scores.masked_fill(~extra, HIDDEN) if hidden else (scores + extra).clamp(min=HIDDEN)
    frames = query.shape[2]
    far = None
    if probe.span is not None:
        far = distance(slice(0, frames), slice(0, frames), scores.device) > probe.span
        if probe.span_mode == "mask":
            scores = scores.masked_fill(far, HIDDEN)
    weights = scores.softmax(-1)
    if far is not None and probe.span_mode == "zero":
        weights = weights.masked_fill(far, 0.0)
    if gate is not None:
        weights = weights * gate[:, None, None]
    weights = nn.functional.dropout(weights, dropout, training=dropout > 0).to(value.dtype)
    return weights @ value, weights if probe.output_attentions else None


def attend_sdpa(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, bias: Tensor | None) -> Tensor:
    """Return PyTorch's fused attention, for passes without observers; ``query`` is scaled already."""
    if bias is not None:
        if mask is not None and mask.dtype == torch.bool:
            bias = bias.masked_fill(~mask, torch.finfo(bias.dtype).min)
        elif mask is not None:
            bias = bias + mask
        mask = bias
    if mask is not None and mask.is_floating_point():
        mask = mask.to(query.dtype)
    return nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=1.0)


def head_gate(head_mask: Tensor, layer: int, query: Tensor) -> Tensor:
    """Return the factors (heads,) of one layer.

    Raises:
        ModelError: if the mask has no row for the layer, or too few heads.
    """
    if layer >= head_mask.shape[0] or head_mask.shape[1] < query.shape[1]:
        raise ModelError(
            f"head_mask of shape {tuple(head_mask.shape)} has no row for layer {layer} with its {query.shape[1]} heads"
        )
    return head_mask[layer, : query.shape[1]].to(device=query.device, dtype=query.dtype)


def distance(rows: slice, columns: slice, device: torch.device) -> Tensor:
    """Return the distances (queries, keys) in frames."""
    queries = torch.arange(rows.start, rows.stop, device=device)
    return (queries[:, None] - torch.arange(columns.start, columns.stop, device=device)).abs()


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
