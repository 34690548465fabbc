"""Mockingjay model configuration."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from .feature_recipes import FEATURE_RECIPES


@strict
class MockingjayConfig(PreTrainedConfig):
    r"""
    Configuration of a Mockingjay, TERA or AudioALBERT encoder (Liu et al., "Mockingjay", ICASSP 2020). The
    defaults are the 12-layer, 12-head model of Yang et al., "Understanding Self-Attention of Self-Supervised Audio
    Transformers".

    feature_size (`int`, defaults to 80):
        Values per input frame, before stacking.
    target_size (`int`, defaults to 80):
        Values per frame the reconstruction head predicts.
    downsample_rate (`int`, defaults to 3):
        R: how many consecutive frames are stacked into one position of the encoder.
    feature_kind (`str`, *optional*, defaults to `"online_log_mel"`):
        Which features the model reads (a key of `FEATURE_RECIPES`); `None` for features no recipe makes (fMLLR).
    target_kind (`str`, *optional*):
        Which features it reconstructs; `None` means those it reads.
    hop_length (`int`, *optional*):
        Samples between the centres of two input frames; by default what the recipe of `feature_kind` says.
    first_frame_centre (`float`, *optional*):
        Centre of the first input frame, in samples; by default what the recipe of `feature_kind` says.
    pre_layer_norm (`bool`, defaults to `False`):
        Layer normalisation before each block instead of after it; every hidden state then has one of its own.
    normalize_embedding_state (`bool`, defaults to `True`):
        Whether the embedding has such a normalisation too (pre-LN only; it had none before s3prl).
    share_layers (`bool`, defaults to `False`):
        AudioALBERT: one set of weights for all layers.
    zero_padding_positions (`bool`, defaults to `False`):
        Give padding no position, as the legacy code did; true frames never notice.
    chunk_length (`int`, *optional*):
        If set, longer utterances are cut into near-equal chunks of at most this many (stacked) positions that do
        not see each other, as s3prl does at inference. `None` encodes any length in one piece.
    """

    model_type = "mockingjay"

    feature_size: int = 80
    target_size: int = 80
    downsample_rate: int = 3
    feature_kind: str | None = "online_log_mel"
    target_kind: str | None = None
    hop_length: int | None = None
    first_frame_centre: float | int | None = None
    sampling_rate: int = 16_000
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pre_layer_norm: bool = False
    normalize_embedding_state: bool = True
    share_layers: bool = False
    zero_padding_positions: bool = False
    chunk_length: int | None = None
    # transformers ties weights only under this name; here it ties the layers when `share_layers` is set.
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        recipe = FEATURE_RECIPES.get(self.feature_kind or "online_log_mel", FEATURE_RECIPES["online_log_mel"])
        if self.hop_length is None:
            self.hop_length = recipe.hop_length
        if self.first_frame_centre is None:
            self.first_frame_centre = recipe.first_centre
        super().__post_init__(**kwargs)

    def validate_architecture(self) -> None:
        """Part of `@strict`-powered validation."""
        for name in (
            "feature_size", "target_size", "downsample_rate", "hop_length", "sampling_rate", "hidden_size",
            "num_hidden_layers", "num_attention_heads", "intermediate_size",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of num_attention_heads "
                f"({self.num_attention_heads})"
            )
        if self.chunk_length is not None and self.chunk_length < 1:
            raise ValueError(f"chunk_length must be at least 1 or None, got {self.chunk_length}")
        for name in ("feature_kind", "target_kind"):
            kind = getattr(self, name)
            if kind is not None and kind not in FEATURE_RECIPES:
                raise ValueError(f"unknown {name} {kind!r}; known kinds: {', '.join(FEATURE_RECIPES)}")


__all__ = ["MockingjayConfig"]
