"""Attention of WavLM, SEW-D and SpeechT5, which bypass the attention interface of transformers, with a probe.

Every head of WavLM has its own map here; transformers returns the average over heads. SEW-D has disentangled attention,
SpeechT5 relative positions in the keys.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import SEWDModel, WavLMModel
from transformers.models.sew_d.modeling_sew_d import DisentangledSelfAttention
from transformers.models.speecht5.modeling_speecht5 import SpeechT5Attention, SpeechT5EncoderWithSpeechPrenet
from transformers.models.wavlm.modeling_wavlm import WavLMAttention

from sat_probe.models.attention.blocks import attend
from sat_probe.models.attention.interface import attachment_of, attend_as_probed
from sat_probe.models.attention.probe import AttentionProbe
from sat_probe.models.attention_without_heads import without_heads
from sat_probe.models.probed import ProbedModel


class ProbedWavLMAttention(WavLMAttention):
    """WavLM's attention with a gated relative position bias (Chen et al. 2022, eq. 2-5), with a probe."""

    kept_heads: list[int] | None = None  # if some were removed

    def torch_multi_head_self_attention(
        self, hidden_states: Tensor, attention_mask: Tensor | None, gated_position_bias: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Attend with one map per head; ``gated_position_bias`` is (batch * heads, frames, frames)."""
        attachment = attachment_of(self)
        if attachment is None and self.kept_heads is None:
            return super().torch_multi_head_self_attention(hidden_states, attention_mask, gated_position_bias)
        if self.kept_heads == []:
            return without_heads(self, hidden_states, self.out_proj)
        batch, frames, _ = hidden_states.shape
        bias = gated_position_bias.view(batch, self.num_heads, frames, frames)  # of the intact model's heads
        if self.kept_heads is not None:
            bias = bias[:, self.kept_heads]

        def by_head(projection: Any) -> Tensor:
            projected = _linear(hidden_states, projection)
            return projected.view(batch, frames, -1, self.head_dim).transpose(1, 2)

        arguments = (
            by_head(self.q_proj) * self.scaling,
            by_head(self.k_proj),
            by_head(self.v_proj),
            None if attention_mask is None else attention_mask.eq(1)[:, None, None].expand(-1, 1, frames, -1),
            bias,
            self.dropout if self.training else 0.0,
        )
        if attachment is None:
            output, maps = attend(AttentionProbe(), 0, *arguments)
        else:
            output, maps = attend_as_probed(attachment, *arguments)
        return _linear(output.transpose(1, 2).reshape(batch, frames, -1), self.out_proj), maps


def _linear(values: Tensor, projection: Any) -> Tensor:
    """Apply the weights of a projection as transformers does here: adapters around them are not called."""
    return nn.functional.linear(values, projection.weight, projection.bias)


class ProbedWavLMModel(ProbedModel, WavLMModel):
    """WavLM (Chen et al. 2022) with true maps per head; takes ``input_values`` at 16 kHz, one frame per 20 ms."""

    own_attention = ProbedWavLMAttention


class ProbedDisentangledSelfAttention(DisentangledSelfAttention):
    """Disentangled attention (He et al. 2021): content to content, content to position, position to content."""

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        query_states: Tensor | None = None,
        relative_pos: Tensor | None = None,
        rel_embeddings: Tensor | None = None,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend as in transformers; the positional scores are a bias."""
        attachment = attachment_of(self)
        if attachment is None:
            return super().forward(hidden_states, attention_mask, query_states, relative_pos, rel_embeddings, **kwargs)
        batch, frames, _ = hidden_states.shape
        heads = self.num_attention_heads
        asking = hidden_states if query_states is None else query_states
        # (batch * heads, frames, size)
        query = self.transpose_for_scores(self.query_proj(asking), heads)
        key = self.transpose_for_scores(self.key_proj(hidden_states), heads)
        value = self.transpose_for_scores(self.value_proj(hidden_states), heads)
        terms = 1 + ("c2p" in self.pos_att_type) + ("p2c" in self.pos_att_type)
        bias = None
        if self.relative_attention:
            embeddings = self.pos_dropout(rel_embeddings)
            bias = self.disentangled_attention_bias(query, key, relative_pos, embeddings, terms)
            bias = bias.view(batch, heads, frames, frames)

        def by_head(projected: Tensor) -> Tensor:
            return projected.view(batch, heads, frames, -1)

        output, maps = attend_as_probed(
            attachment,
            by_head(query) * (query.shape[-1] * terms) ** -0.5,
            by_head(key),
            by_head(value),
            attention_mask.bool().expand(-1, 1, frames, frames),
            bias,
            self.dropout.drop_prob if self.training else 0.0,
        )
        return output.transpose(1, 2).reshape(batch, frames, -1), maps


class ProbedSEWDModel(ProbedModel, SEWDModel):
    """SEW-D (Wu et al. 2022); takes ``input_values`` at 16 kHz, one frame per 40 ms."""

    own_attention = ProbedDisentangledSelfAttention


class ProbedSpeechT5Attention(SpeechT5Attention):
    """Self-attention with relative positions in the keys (Shaw et al. 2018), with a probe."""

    def forward(
        self,
        hidden_states: Tensor,
        key_value_states: Tensor | None = None,
        past_key_values: Any = None,
        attention_mask: Tensor | None = None,
        position_bias: Tensor | None = None,
        output_attentions: bool = False,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        """Attend as in transformers; ``position_bias`` is (queries, keys, head size), by distance."""
        attachment = attachment_of(self)
        if attachment is None:
            return super().forward(
                hidden_states,
                key_value_states,
                past_key_values,
                attention_mask,
                position_bias,
                output_attentions,
                **kwargs,
            )
        batch, frames, _ = hidden_states.shape

        def by_head(projected: Tensor) -> Tensor:
            return projected.view(batch, frames, self.num_heads, self.head_dim).transpose(1, 2)

        query = by_head(self.q_proj(hidden_states)) * self.scaling
        bias = None if position_bias is None else torch.einsum("bhqd,qkd->bhqk", query, position_bias)
        output, maps = attend_as_probed(
            attachment,
            query,
            by_head(self.k_proj(hidden_states)),
            by_head(self.v_proj(hidden_states)),
            attention_mask,
            bias,
            self.dropout if self.training else 0.0,
        )
        return self.out_proj(output.transpose(1, 2).reshape(batch, frames, -1)), maps


class ProbedSpeechT5EncoderWithSpeechPrenet(ProbedModel, SpeechT5EncoderWithSpeechPrenet):
    """The encoder of SpeechT5 (Ao et al. 2022) for speech; takes ``input_values`` at 16 kHz, one frame per 20 ms."""

    own_attention = ProbedSpeechT5Attention
