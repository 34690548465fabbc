"""WavLM with true maps per head; transformers returns maps averaged over heads."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from transformers import WavLMModel
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
