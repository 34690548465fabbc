"""SEW-D: disentangled attention with a probe."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import SEWDModel
from transformers.models.sew_d.modeling_sew_d import DisentangledSelfAttention

from sat_probe.models.attention.interface import attachment_of, attend_as_probed
from sat_probe.models.probed import ProbedModel


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
