"""Input and target features of an original checkpoint, from its settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sat_probe.errors import ModelError
from sat_probe.models.mockingjay.configuration_mockingjay import MockingjayConfig
from sat_probe.models.mockingjay.feature_extraction_mockingjay import MockingjayFeatureExtractor
from sat_probe.models.mockingjay.feature_recipes import FeatureRecipe, feature_recipe, recipe_changes
from sat_probe.models.mockingjay.original_checkpoint import OriginalCheckpoint

KALDI_HOP, KALDI_CENTRE = 160, 200.0  # of all features that Kaldi extracted


@dataclass(frozen=True, slots=True)
class CheckpointFeatures:
    """Kinds and recipes of features; None if no recipe makes them."""

    kind: str | None
    recipe: FeatureRecipe | None
    target_kind: str | None
    target_recipe: FeatureRecipe | None

    @property
    def hop_length(self) -> int:
        """Samples between two frames."""
        return KALDI_HOP if self.recipe is None else self.recipe.hop_length

    @property
    def first_centre(self) -> float:
        """Centre of the first frame, in samples."""
        return KALDI_CENTRE if self.recipe is None else self.recipe.first_centre

    def extractor(self, config: MockingjayConfig) -> MockingjayFeatureExtractor | None:
        """Return the feature extractor, or None if no recipe makes the features."""
        if self.kind is None or self.recipe is None:
            return None
        return MockingjayFeatureExtractor(
            feature_kind=self.kind,
            recipe=asdict(self.recipe),
            target_kind=self.target_kind,
            target_recipe=None if self.target_recipe is None else asdict(self.target_recipe),
            downsample_rate=config.downsample_rate,
            sampling_rate=config.sampling_rate,
        )


def checkpoint_features(
    original: OriginalCheckpoint,
    feature_size: int,
    target_size: int,
    feature_kind: str | None = None,
    target_kind: str | None = None,
) -> CheckpointFeatures:
    """Return the features, from the settings of the file or the given kinds.

    Raises:
        ModelError: the features do not have the size that the weights need.
    """
    kind = feature_kind or _input_kind(original)
    changes = _audio_changes(original.audio, kind, "input") if kind and not feature_kind else {}
    recipe = _fitted(kind, feature_size, changes)
    target = target_kind or _target_kind(original, kind, feature_size, target_size)
    if target is None:
        return CheckpointFeatures(kind, recipe, None, None)
    changes = _audio_changes(original.audio, target, "target") if not target_kind else {}
    return CheckpointFeatures(kind, recipe, target, _fitted(target, target_size, changes))


def _input_kind(original: OriginalCheckpoint) -> str | None:
    if original.audio:
        return _audio_kind(original.audio, "input")
    path = original.feature_path.lower()
    # Kaldi's speaker adaptation and statistics over a speaker need more than one utterance.
    if any(word in path for word in ("fmllr", "mfcc", "_cmvn")):
        return None
    if "fbank" in path:
        return "legacy_fbank"
    if "linear" in path:
        return "legacy_linear"
    return "legacy_mel" if "mel" in path else None


def _target_kind(original: OriginalCheckpoint, kind: str | None, feature_size: int, target_size: int) -> str | None:
    """Return the kind of the targets; None if they are the input, or unknown."""
    if original.audio and "target" in original.audio:
        found = _audio_kind(original.audio, "target")
        return None if found == kind and feature_size == target_size else found
    if feature_size == target_size:
        return None
    return {1025: "legacy_linear", 201: "online_log_linear"}.get(target_size)


def _audio_kind(audio: dict[str, Any], side: str) -> str | None:
    if "kaldi" in audio:
        return "kaldi_fbank" if audio["kaldi"].get("feat_type", "fbank") == "fbank" else None
    settings = audio.get(side) or {}
    if not settings.get("log", True) or not settings.get("cmvn", True):
        return None
    return {"mel": "online_log_mel", "linear": "online_log_linear"}.get(settings.get("feat_type", "mel"))


def _audio_changes(audio: dict[str, Any], kind: str | None, side: str) -> dict[str, Any]:
    """Return the numbers of on-line features that differ from s3prl's defaults."""
    if kind not in ("online_log_mel", "online_log_linear"):
        return {}
    usual = feature_recipe(kind)
    changes: dict[str, Any] = {
        "window_length": int(audio.get("win_ms", 25)) * 16,
        "hop_length": int(audio.get("hop_ms", 10)) * 16,
        "fft_length": (int(audio.get("n_freq", 201)) - 1) * 2,
        "level_db": float(audio.get("target_level", -25)),
        "delta_order": int((audio.get(side) or {}).get("delta", 0)),
    }
    if usual.mel_bins is not None:
        changes["mel_bins"] = int(audio.get("n_mels", 80))
    return changes


def _fitted(kind: str | None, size: int, changes: dict[str, Any]) -> FeatureRecipe | None:
    """Return the recipe of a kind with `size` values per frame."""
    if kind is None:
        return None
    recipe = feature_recipe(kind, changes)
    if recipe.feature_size == size:
        return recipe
    if changes:
        raise ModelError(f"the settings make {recipe.feature_size} values per frame, the weights need {size}")
    return feature_recipe(kind, recipe_changes(kind, size))
