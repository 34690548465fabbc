"""What differs from one family of speech encoders to the next, in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from sat_probe.errors import ModelError
from sat_probe.frames import FrameGrid
from sat_probe.models import family_extractors as extractors
from sat_probe.models import family_frames as frames

Masking = Literal["padded", "always", "never", "keys"]


@dataclass(frozen=True, slots=True)
class Family:
    """One family of encoders.

    Attributes:
        model_type: ``config.model_type`` of its encoders.
        model: the class of transformers.
        attention: name of the class of its self-attention modules.
        feature_extractor: config -> the one used when a checkpoint brings none.
        grid: (config, feature extractor) -> where the encoder's frames sit in time.
        lengths: (model, input lengths) -> encoder frames that hold speech.
        padding_changes_frames: config -> True if padding changes valid frames, so that utterances must run one by one.
        stacking: config -> R, input frames stacked into one encoder frame (1 for most).
        layers: name of the configuration's number of layers.
        heads: name of the configuration's number of heads.
        within: regular expression of what comes before the encoder's weights in a checkpoint of the whole model.
        masking: when the model gets the mask of its inputs: if something is ``padded``, ``always``, ``never``, or as
            scores of the ``keys``, where the caller of the encoder makes them.
        arguments: names of forward's features and mask; None is ``main_input_name``.
        padding: as the feature extractor takes it.
        longest: (config, feature extractor) -> samples that the model takes at most.
        limits: what a user should know, in a few words.
    """

    model_type: str
    model: str
    attention: str
    feature_extractor: Callable[[Any], Any]
    grid: Callable[[Any, Any], FrameGrid]
    lengths: Callable[[Any, Tensor], Tensor] = frames.library_lengths
    padding_changes_frames: Callable[[Any], bool] = lambda config: False
    stacking: Callable[[Any], int] = lambda config: 1
    layers: str = "num_hidden_layers"
    heads: str = "num_attention_heads"
    within: str | None = None
    masking: Masking = "padded"
    arguments: tuple[str | None, str] = (None, "attention_mask")
    padding: bool | str = True
    longest: Callable[[Any, Any], float] | None = None
    limits: str = ""


def group_norm_over_time(config: Any) -> bool:
    """Group norm averages over the whole time axis, padding included."""
    return config.feat_extract_norm == "group"


def always(config: Any) -> bool:
    """Convolutions or norms of the architecture mix padding into valid frames, or it takes no mask."""
    return True


def _thirty_seconds(config: Any, feature_extractor: Any) -> float:
    stride = 2  # of the second convolution
    return config.max_source_positions * stride * feature_extractor.hop_length


_GROUP = "group norm: one utterance at a time"
_ALONE = "one utterance at a time"
_WHISPER = "at most 30 s; its padding to 30 s is attended to, and left out of every statistic"


def _convolutional(model_type: str, model: str, attention: str, limits: str = _GROUP, **options: Any) -> Family:
    return Family(
        model_type, model, attention, extractors.normalised_waveform, frames.convolution_grid,
        **{"padding_changes_frames": group_norm_over_time, "limits": limits, **options},
    )  # fmt: skip


def _whisper(model_type: str, model: str, attention: str, limits: str = _WHISPER, **options: Any) -> Family:
    return Family(
        model_type, model, attention, extractors.whisper, frames.whisper_grid, frames.halved_lengths,
        **{
            "masking": "never", "padding": "max_length", "longest": _thirty_seconds, "limits": limits,
            "within": r"(?:model\.)?audio_tower\.", **options,
        },
    )  # fmt: skip


_SQUEEZED: dict[str, Any] = {
    "grid": frames.squeezed_grid, "lengths": frames.squeezed_lengths, "padding_changes_frames": always,
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
        _convolutional("wavlm", "WavLMModel", "WavLMAttention", "own attention: true maps per head; " + _GROUP),
        _convolutional("unispeech", "UniSpeechModel", "UniSpeechAttention"),
        _convolutional("unispeech-sat", "UniSpeechSatModel", "UniSpeechSatAttention"),
        _convolutional(
            "data2vec-audio", "Data2VecAudioModel", "Data2VecAudioAttention", _ALONE,
            padding_changes_frames=always,
        ),
        _convolutional("wav2vec2-conformer", "Wav2Vec2ConformerModel", "Wav2Vec2ConformerSelfAttention"),
        Family(
            "wav2vec2-bert", "Wav2Vec2BertModel", "Wav2Vec2BertSelfAttention",
            extractors.stacked_filterbank, frames.stacked_filterbank_grid,
        ),
        Family(
            "sew", "SEWModel", "SEWAttention", extractors.normalised_waveform,
            limits="frames before up-sampling; " + _ALONE, **_SQUEEZED,
        ),
        Family(
            "sew-d", "SEWDModel", "DisentangledSelfAttention", extractors.normalised_waveform,
            limits="own attention; frames before up-sampling; " + _ALONE, **_SQUEEZED,
        ),
        Family(
            "speecht5", "SpeechT5EncoderWithSpeechPrenet", "SpeechT5Attention",
            extractors.named("SpeechT5FeatureExtractor"), frames.convolution_grid,
            lambda model, lengths: model.prenet._get_feat_extract_output_lengths(lengths),
            padding_changes_frames=always, layers="encoder_layers", heads="encoder_attention_heads",
            within=r"(?:speecht5\.)?encoder\.(?=prenet|wrapped_encoder)", limits="own attention; " + _ALONE,
        ),
        Family(
            "mockingjay", "MockingjayModel", "MockingjayAttention", extractors.mockingjay, frames.mockingjay_grid,
            lambda model, lengths: model.get_output_lengths(lengths),
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
            "glmasr_encoder", "GlmAsrEncoder", "GlmAsrAttention", "takes no mask: " + _ALONE,
            padding=True, longest=None, padding_changes_frames=always,
        ),
        Family(
            "voxtral_realtime_encoder", "VoxtralRealtimeEncoder", "VoxtralRealtimeAttention",
            extractors.named("VoxtralRealtimeFeatureExtractor"), frames.causal_whisper_grid, frames.halved_lengths,
            padding_changes_frames=always, masking="never", within=r"(?:model\.)?audio_tower\.",
            limits="causal, sliding window; " + _ALONE,
        ),
        Family(
            "fun_asr_nano_encoder", "FunAsrNanoEncoder", "FunAsrNanoAttention",
            extractors.named("FunAsrNanoFeatureExtractor"), frames.low_frame_rate_grid, frames.same_lengths,
            masking="always", arguments=(None, "input_features_mask"), within=r"(?:model\.)?audio_tower\.",
            limits="features need torchaudio",
        ),
        Family(
            "speech_to_text", "Speech2TextEncoder", "Speech2TextAttention",
            extractors.filterbank("Speech2TextFeatureExtractor"), frames.speech_to_text_grid,
            padding_changes_frames=always, layers="encoder_layers", heads="encoder_attention_heads",
            within=_INNER, limits=_ALONE,
        ),
        Family(
            "moonshine", "MoonshineEncoder", "MoonshineAttention", extractors.plain_waveform, frames.moonshine_grid,
            frames.each_length, padding_changes_frames=always, layers="encoder_num_hidden_layers",
            heads="encoder_num_attention_heads", within=_INNER, limits=_GROUP,
        ),
        Family(
            "moonshine_streaming_encoder", "MoonshineStreamingEncoder", "MoonshineStreamingEncoderAttention",
            extractors.whole_windows, frames.moonshine_streaming_grid, frames.moonshine_streaming_lengths,
            padding_changes_frames=always, masking="always", within=_INNER,
            limits="sliding windows; " + _ALONE,
        ),
        Family(
            "parakeet_encoder", "ParakeetEncoder", "ParakeetEncoderAttention",
            extractors.mel("ParakeetFeatureExtractor"), frames.subsampled_grid,
            padding_changes_frames=always, within=_INNER, limits="features need librosa; " + _ALONE,
        ),
        Family(
            "nemotron_asr_streaming_encoder", "NemotronAsrStreamingEncoder", "NemotronAsrStreamingEncoderAttention",
            extractors.mel("NemotronAsrStreamingFeatureExtractor"), frames.causally_subsampled_grid,
            padding_changes_frames=always, masking="always", within=_INNER,
            limits="chunked look-ahead; " + _ALONE,
        ),
        Family(
            "nemotron3_5_transcribe_asr_audio", "Nemotron3_5TranscribeAsrAudioModel", "Nemotron3_5TranscribeAttention",
            extractors.mel("NemotronAsrStreamingFeatureExtractor"), frames.stacked_mel_grid, frames.stacked_lengths,
            padding_changes_frames=always, within=None, limits=_ALONE,
        ),
        Family(
            "nemotron3_diarization_audio", "Nemotron3DiarizationAudioModel", "Nemotron3DiarizationAttention",
            extractors.mel("NemotronAsrStreamingFeatureExtractor"), frames.stacked_mel_grid, frames.stacked_lengths,
            padding_changes_frames=always, within=r"(?:model\.)?(?:audio_tower|audio_model|encoder)\.", limits=_ALONE,
        ),
        Family(
            "lasr_encoder", "LasrEncoder", "LasrEncoderAttention", extractors.mel("LasrFeatureExtractor"),
            frames.unpadded_filterbank_grid, padding_changes_frames=always, within=_INNER, limits=_ALONE,
        ),
        Family(
            "seamless_m4t", "SeamlessM4TSpeechEncoder", "SeamlessM4TConformerSelfAttention",
            extractors.stacked_filterbank, frames.stacked_filterbank_grid, frames.same_lengths,
            padding_changes_frames=always, **_CONFORMER,
        ),
        Family(
            "seamless_m4t_v2", "SeamlessM4Tv2SpeechEncoder", "SeamlessM4Tv2ConformerSelfAttention",
            extractors.stacked_filterbank, frames.stacked_filterbank_grid, frames.same_lengths,
            padding_changes_frames=always, **_CONFORMER,
        ),
        Family(
            "phi4_multimodal_audio", "Phi4MultimodalAudioModel", "Phi4MultimodalAudioAttention",
            extractors.named("Phi4MultimodalFeatureExtractor"), frames.phi4_grid, frames.phi4_lengths,
            padding_changes_frames=always, layers="num_blocks", masking="always", arguments=("hidden_states", "mask"),
            within=r"(?:model\.)?embed_tokens_extend\.audio_embed\.encoder\.", longest=frames.phi4_longest,
            limits="at most 500 frames; " + _ALONE,
        ),
        Family(
            "audio-spectrogram-transformer", "ASTModel", "ASTAttention", extractors.spectrogram, frames.no_grid,
            frames.patch_lengths, masking="never", padding="max_length", longest=frames.spectrogram_longest,
            limits="patches, not frames: no time-based measures; padding to max_length is seen",
        ),
    )
}  # fmt: skip


def family_of(model_type: str) -> Family:
    """The family of a model type.

    Raises:
        ModelError: if it is unknown; the message lists the known ones.
    """
    try:
        return FAMILIES[model_type]
    except KeyError:
        known = ", ".join(sorted(FAMILIES))
        raise ModelError(f"models of type {model_type!r} cannot be probed; known types: {known}") from None
