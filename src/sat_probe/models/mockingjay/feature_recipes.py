"""Acoustic features of Mockingjay checkpoints, as numbers.

Three code bases trained the same transformer on three kinds of features: the legacy repository (librosa,
12.5 ms), s3prl's on-line features (torch, 10 ms) and Kaldi filter banks (10 ms). A `FeatureRecipe` has
all numbers of one of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from .mockingjay_errors import ModelError


@dataclass(frozen=True)
class FeatureRecipe:
    """Numbers that define the features of an utterance.

    Lengths are in samples at 16 kHz, frequencies in Hz.
    """

    fft_length: int
    window_length: int
    hop_length: int
    window: Literal["hann", "povey"] = "hann"
    # A centred frame k sits on sample k * hop, with the signal mirrored at both ends; else it starts there.
    centered: bool = True
    level_db: float | None = None  # root mean square the waveform is scaled to, in dB of full scale
    pre_emphasis: float = 0.0
    remove_offset: bool = False  # subtract each frame's mean
    power: float = 2.0
    mel_bins: int | None = None  # None keeps the linear frequency bins
    mel_scale: Literal["htk", "slaney", "kaldi"] = "htk"
    mel_norm: Literal["slaney"] | None = None
    mel_low: float = 0.0
    compression: Literal["add-log", "floor-log", "decibel"] = "add-log"
    floor: float = 1e-10
    delta_order: int = 0
    delta_width: int = 9
    delta_edges: Literal["line", "repeat"] = "line"
    std_correction: int = 0  # degrees of freedom taken off the per-utterance variance
    std_floor: float = 1e-16
    # What the originals computed in: it decides the digits of near-silent cells, just above the floor.
    precision: Literal["float32", "float64"] = "float64"

    @property
    def static_size(self) -> int:
        """Values per frame before the deltas."""
        return self.fft_length // 2 + 1 if self.mel_bins is None else self.mel_bins

    @property
    def feature_size(self) -> int:
        """Values per frame, deltas included."""
        return self.static_size * (self.delta_order + 1)

    @property
    def first_centre(self) -> float:
        """Centre of frame 0, in samples."""
        return 0.0 if self.centered else self.window_length / 2

    @property
    def least_samples(self) -> int:
        """Samples of the shortest utterance: mirroring needs more than half a window."""
        return self.fft_length // 2 + 1 if self.centered else self.window_length

    def frame_count(self, samples: int) -> int:
        """Return the number of frames of an utterance of `samples` samples."""
        if self.centered:
            return 1 + samples // self.hop_length
        return 1 + (samples - self.window_length) // self.hop_length


_ONLINE = FeatureRecipe(
    400, 400, 160, level_db=-25.0, floor=1e-10, delta_width=5, delta_edges="repeat", std_correction=1,
    std_floor=1e-10, precision="float32",
)  # fmt: skip
_LEGACY = FeatureRecipe(2048, 800, 200, mel_scale="slaney", mel_norm="slaney", floor=1e-6)

FEATURE_RECIPES: dict[str, FeatureRecipe] = {
    "online_log_mel": replace(_ONLINE, mel_bins=80),
    "online_log_linear": _ONLINE,
    "legacy_mel": replace(_LEGACY, mel_bins=80, delta_order=1),
    "legacy_linear": replace(_LEGACY, pre_emphasis=0.97, power=1.0, compression="decibel", floor=1e-5),
    "legacy_fbank": replace(
        _LEGACY, fft_length=400, window_length=400, hop_length=160, mel_bins=80, delta_order=1
    ),
    "kaldi_fbank": FeatureRecipe(
        512, 400, 160, window="povey", centered=False, pre_emphasis=0.97, remove_offset=True, mel_bins=80,
        mel_scale="kaldi", mel_low=20.0, compression="floor-log", floor=2.0**-23, delta_order=2,
        delta_width=5, delta_edges="repeat", std_correction=1, std_floor=1e-10, precision="float32",
    ),
}  # fmt: skip


def feature_recipe(kind: str, changes: Mapping[str, Any] | None = None) -> FeatureRecipe:
    """Return the recipe `kind`, with some numbers changed.

    Raises:
        ModelError: the kind or the name of a number is unknown.
    """
    if kind not in FEATURE_RECIPES:
        raise ModelError(f"unknown feature kind {kind!r}; known kinds: {', '.join(FEATURE_RECIPES)}")
    try:
        return replace(FEATURE_RECIPES[kind], **(changes or {}))
    except TypeError as error:
        raise ModelError(f"feature kind {kind!r} has no such parameter: {error}") from error


def recipe_changes(kind: str, feature_size: int) -> dict[str, int]:
    """Return the changes of the recipe `kind` that give `feature_size` values per frame.

    Deltas may be left out, and the number of mel bands may change; a linear recipe has one size only.

    Raises:
        ModelError: no change gives that size.
    """
    recipe = feature_recipe(kind)
    if recipe.feature_size == feature_size:
        return {}
    if recipe.static_size == feature_size:
        return {"delta_order": 0}
    if recipe.mel_bins is None:
        raise ModelError(f"{kind} has {recipe.feature_size} values per frame, never {feature_size}")
    return {"mel_bins": feature_size, "delta_order": 0}
