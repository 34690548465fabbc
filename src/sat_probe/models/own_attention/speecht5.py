"""Speech encoder of SpeechT5: relative positions in the keys, with a probe."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers.models.speecht5.modeling_speecht5 import SpeechT5Attention, SpeechT5EncoderWithSpeechPrenet

from sat_probe.models.attention.interface import attachment_of, attend_as_probed
from sat_probe.models.probed import ProbedModel


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
