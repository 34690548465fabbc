"""Table of families: one row for each kind of speech encoder that can be probed."""

from __future__ import annotations

import contextlib
import warnings
from typing import Any

from transformers import CONFIG_MAPPING

from sat_probe.errors import ModelError
from sat_probe.models.families import extractors, frames, lengths
from sat_probe.models.families.family import Family, always, group_norm_over_time
from sat_probe.models.pruning import Pruning

_GROUP = "base models have a group norm: one by one"
_COUNTED = Pruning(counts=("num_heads",))
_CONFIGURED = Pruning(
    config_counts=(
        "num_attention_heads", "num_key_value_heads", "encoder_num_attention_heads", "encoder_num_key_value_heads",
    ),
)  # fmt: skip
_WHISPER = "at most 30 s; sees its padding, which is left out of every statistic"


def _convolutional(model_type: str, model: str, attention: str, limits: str = _GROUP, **options: Any) -> Family:
    return Family(
        model_type, model, attention, extractors.normalised_waveform, frames.convolution_grid,
        **{"padding_changes_frames": group_norm_over_time, "limits": limits, **options},
    )  # fmt: skip


def _whisper(model_type: str, model: str, attention: str, limits: str = _WHISPER, **options: Any) -> Family:
    return Family(
        model_type, model, attention, extractors.whisper, frames.whisper_grid, lengths.halved_lengths,
        **{
            "masking": "never", "extraction": {"padding": "max_length"}, "frame_axis": 2,
            "longest": lengths.longest_of_positions, "limits": limits, "pruning": _COUNTED,
            "within": r"(?:model\.)?audio_tower\.", **options,
        },
    )  # fmt: skip


_SQUEEZED: dict[str, Any] = {
    "grid": frames.squeezed_grid, "lengths": lengths.squeezed_lengths, "padding_changes_frames": always,
    "stacking": lambda config: config.squeeze_factor,
}  # fmt: skip
_CONFORMER: dict[str, Any] = {
    "layers": "speech_encoder_layers", "heads": "speech_encoder_attention_heads",
    "within": r"(?:model\.)?speech_encoder\.",
    "limits": "the adapter behind the encoder is left out",
}  # fmt: skip
_INNER = r"(?:model\.)?encoder\."

FAMILIES: dict[str, Family] = {
    family.model_type: family
    for family in (
        _convolutional("wav2vec2", "Wav2Vec2Model", "Wav2Vec2Attention"),
        _convolutional("hubert", "HubertModel", "HubertAttention"),
        _convolutional(
            "wavlm", "WavLMModel", "WavLMAttention", "own attention: true maps per head; " + _GROUP,
            pruning=Pruning(outputs=3, own_headless=True),
        ),
        _convolutional("unispeech", "UniSpeechModel", "UniSpeechAttention"),
        _convolutional("unispeech-sat", "UniSpeechSatModel", "UniSpeechSatAttention"),
        _convolutional(
            "data2vec-audio", "Data2VecAudioModel", "Data2VecAudioAttention", "",
            padding_changes_frames=always,
        ),
        _convolutional(
            "wav2vec2-conformer", "Wav2Vec2ConformerModel", "Wav2Vec2ConformerSelfAttention", "",
            padding_changes_frames=always,
        ),
        Family(
            "wav2vec2-bert", "Wav2Vec2BertModel", "Wav2Vec2BertSelfAttention",
            extractors.stacked_filterbank, frames.stacked_filterbank_grid,
        ),
        Family(
            "sew", "SEWModel", "SEWAttention", extractors.normalised_waveform,
            limits="frames before up-sampling", **_SQUEEZED,
        ),
        Family(
            "sew-d", "SEWDModel", "DisentangledSelfAttention", extractors.normalised_waveform,
            limits="own attention; frames before up-sampling", **_SQUEEZED,
            pruning=Pruning(
                ("query_proj", "key_proj", "value_proj", "pos_key_proj", "pos_query_proj"),
                outer_output="output.dense", counts=("num_attention_heads",), widths=("all_head_size",),
            ),
        ),
        Family(
            "speecht5", "SpeechT5EncoderWithSpeechPrenet", "SpeechT5Attention",
            extractors.named("SpeechT5FeatureExtractor"), frames.convolution_grid,
            lengths.prenet_lengths,
            padding_changes_frames=always, layers="encoder_layers", heads="encoder_attention_heads",
            within=r"(?:speecht5\.)?encoder\.(?=prenet|wrapped_encoder)", limits="own attention",
            pruning=Pruning(counts=("num_heads",), widths=("embed_dim",)),
        ),
        Family(
            "mockingjay", "MockingjayModel", "MockingjayAttention", extractors.mockingjay, frames.mockingjay_grid,
            lengths.own_lengths,
            stacking=lambda config: config.downsample_rate,
            limits="R input frames per encoder frame; chunk_length must be None to observe",
        ),
        _whisper(
            "whisper", "WhisperEncoder", "WhisperAttention", heads="encoder_attention_heads",
            layers="encoder_layers", within=_INNER,
        ),
        _whisper(
            "qwen2_audio_encoder", "Qwen2AudioEncoder", "Qwen2AudioAttention",
            "at most 30 s; padding masked; frames before pooling", masking="keys",
        ),
        _whisper("voxtral_encoder", "VoxtralEncoder", "VoxtralAttention"),
        _whisper(
            "audioflamingo3_encoder", "AudioFlamingo3Encoder", "AudioFlamingo3Attention",
            "at most 30 s; padding masked; frames before pooling", masking="always",
            arguments=(None, "input_features_mask"),
        ),
        _whisper(
            "moss_transcribe_diarize_audio", "MossTranscribeDiarizeAudioModel", "MossTranscribeDiarizeAudioAttention",
        ),
        _whisper(
            "glmasr_encoder", "GlmAsrEncoder", "GlmAsrAttention", "takes no mask",
            extraction={"padding": True}, longest=None, padding_changes_frames=always,
        ),
        Family(
            "voxtral_realtime_encoder", "VoxtralRealtimeEncoder", "VoxtralRealtimeAttention",
            extractors.named("VoxtralRealtimeFeatureExtractor"), frames.causal_whisper_grid,
            lengths.floored_half_lengths, frame_axis=2, padding_changes_frames=always, masking="never",
            within=r"(?:model\.)?audio_tower\.",
            limits="causal, sliding window",
        ),
        Family(
            "fun_asr_nano_encoder", "FunAsrNanoEncoder", "FunAsrNanoAttention",
            extractors.named("FunAsrNanoFeatureExtractor"), frames.low_frame_rate_grid, lengths.same_lengths,
            masking="always", arguments=(None, "input_features_mask"), within=r"(?:model\.)?audio_tower\.",
            limits="features need torchaudio; heads cannot be removed",
            pruning=None,  # its memory block reads the values of all heads
        ),
        Family(
            "speech_to_text", "Speech2TextEncoder", "Speech2TextAttention",
            extractors.filterbank, frames.speech_to_text_grid,
            padding_changes_frames=always, layers="encoder_layers", heads="encoder_attention_heads",
            within=_INNER, pruning=_COUNTED,
        ),
        Family(
            "moonshine", "MoonshineEncoder", "MoonshineAttention", extractors.plain_waveform, frames.moonshine_grid,
            lengths.each_length, padding_changes_frames=always, layers="encoder_num_hidden_layers",
            heads="encoder_num_attention_heads", within=_INNER, limits="group norm", pruning=_CONFIGURED,
        ),
        Family(
            "moonshine_streaming_encoder", "MoonshineStreamingEncoder", "MoonshineStreamingEncoderAttention",
            extractors.plain_waveform, frames.moonshine_streaming_grid, lengths.windowed_lengths,
            padding_changes_frames=always, masking="always", within=_INNER,
            extraction={"padding": True, "pad_to_multiple_of": 80},
            limits="sliding windows",
        ),
        Family(
            "parakeet_encoder", "ParakeetEncoder", "ParakeetEncoderAttention",
            extractors.mel("ParakeetFeatureExtractor"), frames.subsampled_grid,
            padding_changes_frames=always, within=_INNER, limits="features need librosa", pruning=_CONFIGURED,
        ),
        Family(
            "nemotron_asr_streaming_encoder", "NemotronAsrStreamingEncoder", "NemotronAsrStreamingEncoderAttention",
            extractors.mel("NemotronAsrStreamingFeatureExtractor"), frames.causally_subsampled_grid,
            padding_changes_frames=always, masking="always", within=_INNER,
            limits="chunked look-ahead", pruning=_CONFIGURED,
        ),
        Family(
            "nemotron3_5_transcribe_asr_audio", "Nemotron3_5TranscribeAsrAudioModel", "Nemotron3_5TranscribeAttention",
            extractors.mel("NemotronAsrStreamingFeatureExtractor"), frames.stacked_mel_grid, lengths.stacked_lengths,
            padding_changes_frames=always, within=None,
        ),
        Family(
            "nemotron3_diarization_audio", "Nemotron3DiarizationAudioModel", "Nemotron3DiarizationAttention",
            extractors.mel("NemotronAsrStreamingFeatureExtractor"), frames.stacked_mel_grid, lengths.stacked_lengths,
            padding_changes_frames=always, within=r"(?:model\.)?(?:audio_tower)\.",
        ),
        Family(
            "lasr_encoder", "LasrEncoder", "LasrEncoderAttention", extractors.mel("LasrFeatureExtractor"),
            frames.unpadded_filterbank_grid, padding_changes_frames=always, within=_INNER,
            pruning=_CONFIGURED,
        ),
        Family(
            "seamless_m4t", "SeamlessM4TSpeechEncoder", "SeamlessM4TConformerSelfAttention",
            extractors.stacked_filterbank, frames.stacked_filterbank_grid, lengths.same_lengths,
            padding_changes_frames=always, **_CONFORMER,
        ),
        Family(
            "seamless_m4t_v2", "SeamlessM4Tv2SpeechEncoder", "SeamlessM4Tv2ConformerSelfAttention",
            extractors.stacked_filterbank, frames.stacked_filterbank_grid, lengths.same_lengths,
            padding_changes_frames=always, **_CONFORMER, pruning=_COUNTED,
        ),
        Family(
            "phi4_multimodal_audio", "Phi4MultimodalAudioModel", "Phi4MultimodalAudioAttention",
            extractors.named("Phi4MultimodalFeatureExtractor"), frames.phi4_grid, lengths.reduced_lengths,
            padding_changes_frames=always, layers="num_blocks", masking="always", arguments=("hidden_states", "mask"),
            within=r"(?:model\.)?embed_tokens_extend\.audio_embed\.encoder\.", longest=lengths.longest_of_unfolding,
            limits="at most 500 frames", pruning=Pruning(outputs=1, mask_per_head=True),
        ),
        Family(
            "audio-spectrogram-transformer", "ASTModel", "ASTAttention", extractors.spectrogram, frames.no_grid,
            lengths.patch_lengths, masking="never", extraction={"padding": "max_length"},
            longest=lengths.longest_of_spectrogram,
            limits="patches, not frames: no time-based measures; padding to max_length is seen",
        ),
    )
}  # fmt: skip


def family_of(model_type: str) -> Family:
    """Return the family of a model type.

    Raises:
        ModelError: if it is unknown; the message lists the known ones.
    """
    try:
        return FAMILIES[model_type]
    except KeyError:
        known = ", ".join(sorted(FAMILIES))
        raise ModelError(f"models of type {model_type!r} cannot be probed; known types: {known}") from None


def family_rows() -> list[dict[str, Any]]:
    """Return one row per family, for its default configuration.

    ``frame_hop_ms`` and ``first_centre_ms`` are None if positions are not frames in time, or if the feature extractor
    needs a package that is not installed.
    """
    return [_row(family) for family in FAMILIES.values()]


def _row(family: Family) -> dict[str, Any]:
    config = CONFIG_MAPPING[family.model_type]()
    hop: float | None = None
    first: float | None = None
    with contextlib.suppress(ModelError, ImportError):
        with warnings.catch_warnings():
            # default extractors have more mel bins than their short windows can fill
            warnings.simplefilter("ignore")
            extractor = family.feature_extractor(config)
        grid = family.grid(config, extractor)
        hop, first = 1000 * grid.hop_seconds, 1000 * grid.first_centre / grid.sampling_rate
    return {
        "model_type": family.model_type,
        "model": family.model,
        "class": f"Probed{family.model}",
        "frame_hop_ms": hop,
        "first_centre_ms": first,
        "stacked_frames": family.stacking(config),
        "batches": _batches(family),
        "limits": family.limits,
    }


def _batches(family: Family) -> str:
    """Return whether padding keeps valid frames exact; if not, utterances run one by one."""
    if family.padding_changes_frames is always:
        return "no"
    return "with layer norm" if family.padding_changes_frames is group_norm_over_time else "yes"
