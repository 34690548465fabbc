"""Mockingjay: a BERT-like encoder of speech, pre-trained to reconstruct masked frames.

Liu et al., "Mockingjay: Unsupervised Speech Representation Learning with Deep Bidirectional Transformer Encoders",
ICASSP 2020. TERA and AudioALBERT are the same network with other pre-training, respectively shared layers.
"""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import nn
from transformers.activations import ACT2FN
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel
from transformers.processing_utils import Unpack
from transformers.utils import TransformersKwargs
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import OutputRecorder, capture_outputs

from .configuration_mockingjay import MockingjayConfig
from .frame_stacking import join_chunks, sinusoid_positions, stack_frames, stack_mask
from .mockingjay_errors import ModelError

ROWS_AT_ONCE = 8192  # of a feed-forward layer in inference


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs: Unpack[TransformersKwargs],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the output (batch, queries, heads, head size) and the maps (batch, heads, queries, keys)."""
    scores = torch.matmul(query, key.transpose(2, 3)) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    softmax_dtype = torch.promote_types(query.dtype, torch.float32)
    weights = nn.functional.softmax(scores, dim=-1, dtype=softmax_dtype).to(query.dtype)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


def position_table(length: int, like: torch.Tensor) -> torch.Tensor:
    """Return the first positions (length, hidden_size), with the dtype and device of `like`."""
    rows = max(1024, 1 << (length - 1).bit_length())  # few sizes, each kept
    return _position_table(rows, like.shape[-1], like.device, like.dtype)[:length]


# Not a buffer: a buffer would come back as garbage from meta-device loading.
@lru_cache(maxsize=4)
def _position_table(rows: int, size: int, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    with torch.inference_mode(False):  # kept for later passes, which may train
        return sinusoid_positions(rows, size).to(device=device, dtype=dtype)


class MockingjayEmbeddings(nn.Module):
    """Projection of stacked frames, plus sinusoid positions, with layer norm."""

    def __init__(self, config: MockingjayConfig):
        super().__init__()
        self.zero_padding_positions = config.zero_padding_positions
        self.projection = nn.Linear(config.feature_size * config.downsample_rate, config.hidden_size)
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, stacked: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        projected = self.projection(stacked)
        positions = position_table(projected.shape[1], projected)
        if self.zero_padding_positions and attention_mask is not None:
            positions = positions * attention_mask[..., None]
        return self.dropout(self.layer_norm(projected + positions))


class MockingjayAttention(nn.Module):
    def __init__(self, config: MockingjayConfig, layer_idx: int):
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.attention_dropout = config.attention_probs_dropout_prob
        self.is_causal = False
        self.q_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.k_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.v_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        input_shape = hidden_states.shape[:-1]
        head_shape = (*input_shape, -1, self.head_dim)
        query = self.q_proj(hidden_states).view(head_shape).transpose(1, 2)
        key = self.k_proj(hidden_states).view(head_shape).transpose(1, 2)
        value = self.v_proj(hidden_states).view(head_shape).transpose(1, 2)
        attention_interface: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        context, weights = attention_interface(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=self.attention_dropout if self.training else 0.0,
            scaling=self.scaling,
            **kwargs,
        )
        return self.out_proj(context.reshape(*input_shape, -1)), weights


class MockingjayLayer(GradientCheckpointingLayer):
    def __init__(self, config: MockingjayConfig, layer_idx: int):
        super().__init__()
        self.pre_layer_norm = config.pre_layer_norm
        self.attention = MockingjayAttention(config, layer_idx)
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.intermediate = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.output = nn.Linear(config.intermediate_size, config.hidden_size)
        self.output_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def feed_forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        frames = hidden_states.shape[1]
        if frames > ROWS_AT_ONCE and not torch.is_grad_enabled():  # an hour at once would be a gigabyte
            output = torch.empty_like(hidden_states)
            for start in range(0, frames, ROWS_AT_ONCE):
                rows = slice(start, start + ROWS_AT_ONCE)
                output[:, rows] = self.feed_forward(hidden_states[:, rows])
            return output
        return self.dropout(self.output(self.activation(self.intermediate(hidden_states))))

    def forward(
        self,
        hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> torch.Tensor:
        if self.pre_layer_norm:
            attended, _ = self.attention(self.attention_norm(hidden_states), attention_mask, **kwargs)
            hidden_states = hidden_states + self.dropout(attended)
            return hidden_states + self.feed_forward(self.output_norm(hidden_states))
        attended, _ = self.attention(hidden_states, attention_mask, **kwargs)
        hidden_states = self.attention_norm(self.dropout(attended) + hidden_states)
        return self.output_norm(self.feed_forward(hidden_states) + hidden_states)


class MockingjayHiddenState(nn.Module):
    """Hidden state that a layer shows: its output, or (pre-LN) the output after a layer norm of its own."""

    def __init__(self, config: MockingjayConfig, normalize: bool):
        super().__init__()
        self.layer_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) if normalize else None

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return hidden_states if self.layer_norm is None else self.layer_norm(hidden_states)


class MockingjayPreTrainedModel(PreTrainedModel):
    config: MockingjayConfig
    base_model_prefix = "mockingjay"
    main_input_name = "input_features"
    input_modalities = ("audio",)
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False  # the loss is a mean; the Trainer divides it when it accumulates gradients
    _no_split_modules = ["MockingjayEmbeddings", "MockingjayLayer"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_record_outputs = {  # noqa: RUF012
        "hidden_states": OutputRecorder(MockingjayHiddenState, capture_initial_hidden_state=False),
        "attentions": OutputRecorder(MockingjayAttention, index=1),
    }


class MockingjayModel(MockingjayPreTrainedModel):
    """Encoder of frames of features: one vector for R frames."""

    # A pre-training checkpoint also holds its head.
    _keys_to_ignore_on_load_unexpected = [r"^head\."]  # noqa: RUF012

    def __init__(self, config: MockingjayConfig):
        super().__init__(config)
        self.embeddings = MockingjayEmbeddings(config)
        self.layers = nn.ModuleList(MockingjayLayer(config, index) for index in range(config.num_hidden_layers))
        normalized = [config.normalize_embedding_state] + [True] * config.num_hidden_layers
        self.shown_states = nn.ModuleList(
            MockingjayHiddenState(config, config.pre_layer_norm and normalize) for normalize in normalized
        )
        if config.share_layers and config.num_hidden_layers > 1:
            self._tied_weights_keys = {r"layers\.(?!0\.)\d+\.": r"layers\.0\."}
        self.post_init()

    def get_output_lengths(self, input_lengths: torch.Tensor, frames: int | None = None) -> torch.Tensor:
        """Return the numbers of encoder positions with speech (batch,), for utterances of `input_lengths` frames.

        frames: frames of the padded batch, by default those of its longest utterance. A partly filled row counts
        if it exists; the last frames of the batch may fill none.
        """
        rate = self.config.downsample_rate
        rows = (int(input_lengths.max()) if frames is None else frames) // rate
        return ((input_lengths + rate - 1) // rate).clamp(max=rows)

    def forward(
        self,
        input_features: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        chunk_length: int | None = None,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutput | tuple:
        """
        input_features: frames of features, (batch, frames, feature_size), padded at the end.
        attention_mask: 1 on true frames, 0 on padding, (batch, frames); `None`: all true.
        chunk_length: overrides `config.chunk_length`.

        Returns `last_hidden_state` (batch, frames // R, hidden_size); with `output_hidden_states=True` also the
        embedding and every layer's output; with `output_attentions=True` (eager attention) one map per layer.

        Raises ModelError if the features have another size than the model reads, or no row can be stacked.
        """
        rate = self.config.downsample_rate
        if input_features.ndim != 3 or input_features.shape[-1] != self.config.feature_size:
            raise ModelError(
                f"expected input_features of shape (batch, frames, {self.config.feature_size}), "
                f"got {tuple(input_features.shape)}; the feature extractor makes them of waveforms (or use encode)"
            )
        if input_features.shape[1] < rate:
            raise ModelError(f"{input_features.shape[1]} frames are fewer than one row of {rate} stacked frames")
        stacked = stack_frames(input_features, rate)
        mask = None if attention_mask is None else stack_mask(attention_mask, rate)
        chunk_length = self.config.chunk_length if chunk_length is None else chunk_length
        if chunk_length is None or stacked.shape[1] <= chunk_length:
            return self.encode_stacked(stacked, mask, **kwargs)
        return self.encode_chunks(stacked, mask, chunk_length, **kwargs)

    @merge_with_config_defaults
    @capture_outputs(tie_last_hidden_states=False)
    def encode_stacked(
        self, stacked: torch.Tensor, attention_mask: torch.Tensor | None = None, **kwargs: Unpack[TransformersKwargs]
    ) -> BaseModelOutput:
        """Encode stacked rows (batch, rows, feature_size * R) with their mask (batch, rows)."""
        hidden_states = self.embeddings(stacked, attention_mask)
        attention_mask = create_bidirectional_mask(
            config=self.config, inputs_embeds=hidden_states, attention_mask=attention_mask
        )
        shown = self.shown_states[0](hidden_states)
        for layer, show in zip(self.layers, self.shown_states[1:], strict=True):
            hidden_states = layer(hidden_states, attention_mask, **kwargs)
            shown = show(hidden_states)
        return BaseModelOutput(last_hidden_state=shown)

    def encode_chunks(
        self,
        stacked: torch.Tensor,
        attention_mask: torch.Tensor | None,
        chunk_length: int,
        **kwargs: Unpack[TransformersKwargs],
    ) -> BaseModelOutput | tuple:
        """Cut each utterance into near-equal chunks (`torch.chunk`), encode each alone, and join the outputs.

        Each utterance is cut by its own length, so a batch changes nothing; positions restart in each chunk.
        Attention maps are joined along the diagonal.
        """
        rows = stacked.shape[1]
        lengths = [rows] * len(stacked) if attention_mask is None else attention_mask.sum(1).tolist()
        return_dict = kwargs.pop("return_dict", True)
        outputs = []
        for utterance, length in zip(stacked, lengths, strict=True):
            pieces = utterance[:length].chunk(-(-length // chunk_length)) if length else (utterance[:1],)
            outputs.append([self.encode_stacked(piece[None], **kwargs) for piece in pieces])
        output = join_chunks(outputs, rows)
        return output if return_dict else output.to_tuple()


__all__ = ["MockingjayModel", "MockingjayPreTrainedModel"]
