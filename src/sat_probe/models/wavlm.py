"""WavLM, whose attention bypasses transformers' interface and returns maps averaged over its heads."""

from __future__ import annotations

from torch import Tensor
from transformers import WavLMModel
from transformers.models.wavlm.modeling_wavlm import WavLMAttention

from sat_probe.models.attention import attachment_of, attend_as_probed
from sat_probe.models.probed import ProbedModel


class ProbedWavLMAttention(WavLMAttention):
    """WavLM's attention with a gated relative position bias (Chen et al. 2022, eq. 2-5), open to a probe."""

    def torch_multi_head_self_attention(
        self, hidden_states: Tensor, attention_mask: Tensor | None, gated_position_bias: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """As in transformers, but with one map per head; ``gated_position_bias`` is (batch * heads, frames, frames)."""
        attachment = attachment_of(self)
        if attachment is None:
            return super().torch_multi_head_self_attention(hidden_states, attention_mask, gated_position_bias)
        batch, frames, _ = hidden_states.shape

        def by_head(projected: Tensor) -> Tensor:
            return projected.view(batch, frames, self.num_heads, self.head_dim).transpose(1, 2)

        output, maps = attend_as_probed(
            attachment,
            by_head(self.q_proj(hidden_states)) * self.scaling,
            by_head(self.k_proj(hidden_states)),
            by_head(self.v_proj(hidden_states)),
            None if attention_mask is None else attention_mask.eq(1)[:, None, None].expand(-1, 1, frames, -1),
            gated_position_bias.view(batch, self.num_heads, frames, frames),
            self.dropout if self.training else 0.0,
        )
        return self.out_proj(output.transpose(1, 2).reshape(batch, frames, -1)), maps


class ProbedWavLMModel(ProbedModel, WavLMModel):
    """WavLM (Chen et al. 2022) with true maps per head; takes ``input_values`` at 16 kHz, one frame per 20 ms."""

    own_attention = ProbedWavLMAttention
