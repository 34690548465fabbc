"""Encoder configurations inside of checkpoints, and the model types that cannot be probed."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from sat_probe.errors import ModelError
from sat_probe.models.families.family import Family
from sat_probe.models.families.table import FAMILIES, family_of

_BLOCKS = "it attends within blocks of frames, never from any frame to any other"
_CHUNKS = "it packs audio into chunks that do not see each other and attends once per chunk"
_CODEC = "its transformer computes codes of a codec in a causal window"
# model types with speech encoders whose attention is not a map over the frames of an utterance, and why
REFUSED: dict[str, str] = {
    "clap": "it attends within windows of a spectrogram (Swin)",
    "clap_audio_model": "it attends within windows of a spectrogram (Swin)",
    "granite_speech": _BLOCKS,
    "granite_speech_encoder": _BLOCKS,
    "granite_speech_plus": _BLOCKS,
    "granite_speech5_ctc": _BLOCKS,
    "granite_speech5_encoder": _BLOCKS,
    "gemma3n": _BLOCKS,
    "gemma3n_audio": _BLOCKS,
    "gemma4": _BLOCKS,
    "gemma4_audio": _BLOCKS,
    "qwen2_5_omni": _CHUNKS,
    "qwen2_5_omni_thinker": _CHUNKS,
    "qwen2_5_omni_audio_encoder": _CHUNKS,
    "qwen3_asr": _CHUNKS,
    "qwen3_asr_encoder": _CHUNKS,
    "qwen3_omni_moe": _CHUNKS,
    "qwen3_omni_moe_audio_encoder": _CHUNKS,
    "dots3_note": "its feature extractor cuts audio into chunks that are encoded separately",
    "nemotron3_5_transcribe": "it normalises features inside and encodes chunks separately; probe its asr_encoder",
    "mimi": _CODEC,
    "xcodec2": _CODEC,
    "neucodec": _CODEC,
    "encodec": "it has no attention",
    "univnet": "it has no attention",
}


def encoder_config(config: Any, name: str) -> tuple[Any, Family]:
    """Return the configuration of the encoder in a checkpoint's configuration, and its family.

    Adapters after the encoder, which attend at another frame rate, are switched off.

    Raises:
        ModelError: if there is no such encoder; the message says why, or lists the known types.
    """
    if config.model_type in REFUSED:
        raise ModelError(f"{name}: models of type {config.model_type!r} cannot be probed: {REFUSED[config.model_type]}")
    if config.model_type not in FAMILIES:
        for attribute in ("audio_config", "encoder_config", "speech_encoder", "audio_encoder"):
            inner = getattr(config, attribute, None)
            if getattr(inner, "model_type", None) in FAMILIES or getattr(inner, "model_type", None) in REFUSED:
                return encoder_config(inner, name)
    try:
        family = family_of(config.model_type)
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from None
    if getattr(config, "add_adapter", False):
        config = deepcopy(config)
        config.add_adapter = False
    return config, family
