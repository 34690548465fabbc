"""Every family of the table in a tiny random configuration."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from transformers import CONFIG_MAPPING, PretrainedConfig

from sat_probe.models.families.table import FAMILIES
from sat_probe.models.inputs_outputs import ModelInputs
from sat_probe.models.probed import ProbedModel
from sat_probe.models.probed_classes import probed_class

LAYERS, HEADS, SIZE = 2, 4, 16
_TRANSFORMER = {
    "hidden_size": SIZE, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": 24,
}  # fmt: skip
_CONVOLUTIONAL = {
    **_TRANSFORMER, "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 4,
    "mask_time_prob": 0.0,
}  # fmt: skip
_LAYER_NORM = {**_CONVOLUTIONAL, "feat_extract_norm": "layer", "do_stable_layer_norm": True}
_ENCODER_DECODER = {
    "d_model": SIZE, "encoder_layers": LAYERS, "encoder_attention_heads": HEADS, "encoder_ffn_dim": 24,
    "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 24, "vocab_size": 20,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1,
}  # fmt: skip
_WHISPER = {**_ENCODER_DECODER, "num_mel_bins": 20, "max_source_positions": 50}
_RELATIVE = {**_TRANSFORMER, "conv_depthwise_kernel_size": 5, "position_embeddings_type": "relative"}
_SUBSAMPLED = {
    **_TRANSFORMER, "num_mel_bins": 16, "subsampling_conv_channels": 4, "conv_kernel_size": 3,
    "subsampling_factor": 4, "dropout": 0.0,
}  # fmt: skip
_SEAMLESS = {
    "hidden_size": SIZE, "speech_encoder_layers": LAYERS, "speech_encoder_attention_heads": HEADS,
    "speech_encoder_intermediate_size": 24, "feature_projection_input_dim": 40, "conv_depthwise_kernel_size": 5,
    "add_adapter": False, "adaptor_kernel_size": 2, "adaptor_stride": 2, "encoder_layers": 1, "decoder_layers": 1,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16,
    "vocab_size": 20, "t2u_vocab_size": 20, "t2u_encoder_layers": 1, "t2u_decoder_layers": 1,
    "t2u_encoder_attention_heads": 2, "t2u_decoder_attention_heads": 2, "t2u_encoder_ffn_dim": 16,
    "t2u_decoder_ffn_dim": 16, "position_embeddings_type": "relative",
}  # fmt: skip
_SQUEEZED = {
    **_CONVOLUTIONAL, "conv_dim": (8,) * 4, "conv_kernel": (10, 8, 4, 2), "conv_stride": (5, 4, 4, 4),
}  # fmt: skip

# names go on after the model type where one family is tested in several shapes
CONFIGURATIONS: dict[str, dict] = {
    "wav2vec2": _CONVOLUTIONAL,
    "wav2vec2:layer norm": _LAYER_NORM,
    "hubert": _LAYER_NORM,
    "wavlm": {**_CONVOLUTIONAL, "num_buckets": 8, "max_bucket_distance": 12},
    "wavlm:layer norm": {**_LAYER_NORM, "num_buckets": 8, "max_bucket_distance": 12},
    "unispeech": _LAYER_NORM,
    "unispeech-sat": _LAYER_NORM,
    "data2vec-audio": {**_CONVOLUTIONAL, "num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 3},
    "wav2vec2-conformer": {
        **_CONVOLUTIONAL, **_RELATIVE, "feat_extract_norm": "layer",
    },
    "wav2vec2-conformer:rotary": {
        **_CONVOLUTIONAL, **_RELATIVE, "feat_extract_norm": "layer", "position_embeddings_type": "rotary",
    },
    "wav2vec2-bert": {**_RELATIVE, "feature_projection_input_dim": 40, "position_embeddings_type": "relative_key"},
    "wav2vec2-bert:relative": {**_RELATIVE, "feature_projection_input_dim": 40},
    "sew": {**_SQUEEZED, "squeeze_factor": 2},
    "sew-d": {**_SQUEEZED, "squeeze_factor": 2, "max_position_embeddings": 32, "position_buckets": 8},
    "sew-d:own positions": {
        **_SQUEEZED, "squeeze_factor": 2, "max_position_embeddings": 32, "position_buckets": 8,
        "share_att_key": False, "pos_att_type": ("c2p",),
    },
    "speecht5": {
        **_ENCODER_DECODER, "hidden_size": SIZE, "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 4, "encoder_max_relative_position": 10, "mask_time_prob": 0.0,
        "speech_decoder_prenet_units": 8,
    },
    "mockingjay": {**_TRANSFORMER, "feature_size": 20, "target_size": 20},
    "whisper": _WHISPER,
    "qwen2_audio_encoder": _WHISPER,
    "voxtral_encoder": {**_TRANSFORMER, "num_mel_bins": 20, "max_source_positions": 50},
    "audioflamingo3_encoder": {**_TRANSFORMER, "num_mel_bins": 20, "max_source_positions": 50},
    "moss_transcribe_diarize_audio": _WHISPER,
    "glmasr_encoder": {**_TRANSFORMER, "num_mel_bins": 20},
    "voxtral_realtime_encoder": {
        **_TRANSFORMER, "num_mel_bins": 128, "head_dim": 4, "sliding_window": 8,
    },
    "fun_asr_nano_encoder": {
        **_TRANSFORMER, "num_mel_bins": 4, "num_stacked_frames": 3, "num_timestamp_prediction_layers": 1,
        "fsmn_kernel_size": 3,
    },
    "speech_to_text": {
        **_ENCODER_DECODER, "input_feat_per_channel": 20, "conv_channels": 16, "num_conv_layers": 2,
    },
    "moonshine": {
        "hidden_size": SIZE, "intermediate_size": 24, "encoder_num_hidden_layers": LAYERS, "vocab_size": 20,
        "encoder_num_attention_heads": HEADS, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2,
    },
    "moonshine_streaming_encoder": {
        **_TRANSFORMER, "num_key_value_heads": HEADS, "head_dim": 4, "sliding_windows": ((16, 4), (8, 0)),
    },
    "parakeet_encoder": _SUBSAMPLED,
    "nemotron_asr_streaming_encoder": {**_SUBSAMPLED, "sliding_window": 8, "default_num_lookahead_tokens": 1},
    "nemotron3_5_transcribe_asr_audio": {**_TRANSFORMER, "num_mel_bins": 16, "subsampling_factor": 2},
    "nemotron3_diarization_audio": {**_TRANSFORMER, "num_mel_bins": 16, "subsampling_factor": 2},
    "lasr_encoder": {**_TRANSFORMER, "num_mel_bins": 16, "subsampling_conv_channels": 8, "conv_kernel_size": 4},
    "seamless_m4t": _SEAMLESS,
    "seamless_m4t_v2": {**_SEAMLESS, "position_embeddings_type": "relative_key"},
    "phi4_multimodal_audio": {
        "hidden_size": SIZE, "intermediate_size": 24, "num_blocks": LAYERS, "num_attention_heads": HEADS,
        "nemo_conv_channels": 4, "time_reduction": 4, "ext_pw_out_channel": SIZE,
        "depthwise_separable_out_channel": SIZE,
    },
    "audio-spectrogram-transformer": {**_TRANSFORMER, "num_mel_bins": 32, "max_length": 64},
}  # fmt: skip


def configuration(name: str) -> PretrainedConfig:
    """The configuration of one of CONFIGURATIONS."""
    return CONFIG_MAPPING[name.split(":")[0]](**CONFIGURATIONS[name])


@cache
def tiny(name: str) -> ProbedModel:
    """A model in evaluation mode; positions and attention matter in it as much as in a trained one."""
    torch.manual_seed(0)
    model = probed_class(name.split(":")[0])(configuration(name)).eval()
    positions = ("rel_attn_embed", "rel_embeddings", "bias_values", "pe_k", "position_embeddings", "embed_positions")
    with torch.no_grad():
        for module in model.attention_modules:
            for parameter in module.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
        for key, parameter in model.named_parameters():
            if any(position in key for position in positions):
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def audio(*seconds: float) -> list[np.ndarray]:
    """Noise that rises and falls, each (samples,)."""
    generator = np.random.default_rng(3)
    return [
        (generator.standard_normal(n) * (1 + np.sin(np.arange(n) / 500)) / 4).astype(np.float32)
        for n in (int(16_000 * one) for one in seconds)
    ]


def prepared(model: ProbedModel, *seconds: float) -> list[ModelInputs]:
    """Model inputs; of Fun-ASR, whose extractor needs torchaudio, made by hand."""
    waveforms = audio(*seconds)
    if model.config.model_type != "fun_asr_nano_encoder":
        return model.prepare(waveforms)
    size = model.config.num_mel_bins * model.config.num_stacked_frames
    lengths = [len(waveform) // 960 for waveform in waveforms]
    features = torch.zeros(len(lengths), max(lengths), size)
    mask = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
    for index, (waveform, length) in enumerate(zip(waveforms, lengths, strict=True)):
        features[index, :length] = torch.from_numpy(waveform[: length * 960].reshape(length, -1)[:, :size])
        mask[index, :length] = 1
    tensors = {"input_features": features, "input_features_mask": mask}
    return [ModelInputs(tensors, tuple(lengths))]


assert {name.split(":")[0] for name in CONFIGURATIONS} == set(FAMILIES)
