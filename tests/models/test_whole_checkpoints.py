"""Checkpoints of whole models load as their encoder, weight by weight; models that no probe can show are refused."""

from __future__ import annotations

import pytest
import torch
import transformers
from transformers import CONFIG_MAPPING

from sat_probe.errors import ModelError
from sat_probe.models.auto import AutoProbedModel
from sat_probe.models.families.encoder_config import REFUSED
from sat_probe.models.families.table import FAMILIES
from tests.models.tiny_families import CONFIGURATIONS, LAYERS, audio

_TEXT = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "vocab_size": 40, "head_dim": 8,
}  # fmt: skip
# model type, class, configuration, path of the encoder inside
WHOLE = {
    "whisper": ("WhisperForConditionalGeneration", {**CONFIGURATIONS["whisper"]}, "model.encoder"),
    "whisper:base": ("WhisperModel", {**CONFIGURATIONS["whisper"]}, "encoder"),
    "speech_to_text": (
        "Speech2TextForConditionalGeneration", CONFIGURATIONS["speech_to_text"], "model.encoder",
    ),
    "moonshine": ("MoonshineForConditionalGeneration", CONFIGURATIONS["moonshine"], "model.encoder"),
    "moonshine_streaming": (
        "MoonshineStreamingForConditionalGeneration",
        {"encoder_config": CONFIGURATIONS["moonshine_streaming_encoder"], **_TEXT}, "model.encoder",
    ),
    "seamless_m4t": (
        "SeamlessM4TForSpeechToText", {**CONFIGURATIONS["seamless_m4t"], "add_adapter": True}, "speech_encoder",
    ),
    "seamless_m4t_v2": (
        "SeamlessM4Tv2ForSpeechToText", {**CONFIGURATIONS["seamless_m4t_v2"], "add_adapter": True}, "speech_encoder",
    ),
    "speecht5": (
        "SpeechT5ForSpeechToText", {**CONFIGURATIONS["speecht5"], "vocab_size": 20}, "speecht5.encoder",
    ),
    "parakeet_ctc": (
        "ParakeetForCTC", {"encoder_config": CONFIGURATIONS["parakeet_encoder"], "vocab_size": 20, "pad_token_id": 0},
        "encoder",
    ),
    "lasr_ctc": (
        "LasrForCTC", {"encoder_config": CONFIGURATIONS["lasr_encoder"], "vocab_size": 20}, "encoder",
    ),
    "qwen2_audio": (
        "Qwen2AudioForConditionalGeneration",
        {
            "audio_config": {**CONFIGURATIONS["qwen2_audio_encoder"], "model_type": "qwen2_audio_encoder"},
            "text_config": {"model_type": "qwen2", **_TEXT}, "audio_token_index": 3,
        },
        "model.audio_tower",
    ),
    "voxtral": (
        "VoxtralForConditionalGeneration",
        {
            "audio_config": {**CONFIGURATIONS["voxtral_encoder"], "model_type": "voxtral_encoder"},
            "text_config": {"model_type": "llama", **_TEXT}, "audio_token_id": 3,
        },
        "model.audio_tower",
    ),
    # its weights have other names in checkpoints than in the model
    "audio-spectrogram-transformer": (
        "ASTForAudioClassification", CONFIGURATIONS["audio-spectrogram-transformer"],
        "audio_spectrogram_transformer",
    ),
    "audio-spectrogram-transformer:base": (
        "ASTModel", CONFIGURATIONS["audio-spectrogram-transformer"], "",
    ),
    "wav2vec2": ("Wav2Vec2ForCTC", {**CONFIGURATIONS["wav2vec2"], "add_adapter": True, "vocab_size": 9}, "wav2vec2"),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_whole_models_load_as_their_encoder(name, tmp_path):
    model_class, options, path = WHOLE[name]
    torch.manual_seed(0)
    whole = getattr(transformers, model_class)(CONFIG_MAPPING[name.split(":")[0]](**options)).eval()
    with torch.no_grad():
        for parameter in whole.parameters():
            parameter.normal_(0, 0.1)
    whole.save_pretrained(tmp_path / "whole")
    encoder = AutoProbedModel.from_pretrained(tmp_path / "whole")
    expected = {key: value for key, value in whole.get_submodule(path).state_dict().items() if "adapter" not in key}
    assert encoder.state_dict().keys() == expected.keys()
    for key, value in encoder.state_dict().items():
        torch.testing.assert_close(value, expected[key], atol=0, rtol=0, msg=key)
    if encoder.config.model_type == "parakeet_encoder":
        pytest.importorskip("librosa", reason="Parakeet's feature extractor needs librosa")
    output = encoder.encode(audio(0.4), output_attentions=True)
    assert len(output.attentions) == encoder.num_probed_layers == LAYERS
    encoder.save_pretrained(tmp_path / "encoder")
    again = AutoProbedModel.from_pretrained(tmp_path / "encoder")
    torch.testing.assert_close(again.encode(audio(0.4)).last_hidden_state, output.last_hidden_state, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [
        ("clap_audio_model", "Swin"),
        ("granite_speech_encoder", "blocks"),
        ("gemma3n_audio", "blocks"),
        ("qwen2_5_omni_audio_encoder", "chunks"),
        ("mimi", "codec"),
    ],
)
def test_other_attention_is_refused_by_name(model_type, reason, tmp_path):
    CONFIG_MAPPING[model_type]().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=f"'{model_type}' cannot be probed: .*{reason}"):
        AutoProbedModel.from_pretrained(tmp_path)
    assert not REFUSED.keys() & FAMILIES.keys()
