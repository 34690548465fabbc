"""Inversion of spectral features to sound, with phases by Griffin and Lim.

Griffin and Lim, "Signal estimation from modified short-time Fourier transform", IEEE TASSP 1984, in the fast form of
Perraudin, Balazs and Søndergaard, WASPAA 2013.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import lfilter

from .feature_recipes import FeatureRecipe
from .mockingjay_errors import ModelError
from .spectral_features import centred_spectrum, mel_filters, spectral_features

MOMENTUM = 0.99


def sounds_like(
    features: NDArray[np.float32],
    original: NDArray[np.float32],
    recipe: FeatureRecipe,
    sampling_rate: int = 16_000,
    iterations: int = 32,
    normalized: bool = True,
) -> NDArray[np.float32]:
    """Return the sound of features of an utterance.

    Args:
        features: (frames, recipe.feature_size); derivatives are ignored.
        original: (samples,) the utterance, for its level and the mean and spread of its features.
        recipe: of the features.
        sampling_rate: Hz.
        iterations: number of steps of the phase search.
        normalized: whether the features have mean 0 and variance 1 over the utterance.

    Returns:
        (samples,) float32 in [-1, 1], no longer than the original.

    Raises:
        ModelError: the recipe's frames are not centred (Kaldi's), or the features are not the recipe's.
    """
    if not recipe.centered:
        raise ModelError("frames that are not centred cannot be turned back into sound")
    if features.ndim != 2 or features.shape[1] != recipe.feature_size:
        raise ModelError(f"expected features (frames, {recipe.feature_size}), got {features.shape}")
    logarithms = torch.from_numpy(features[:, : recipe.static_size]).double()
    if normalized:
        static = replace(recipe, delta_order=0)
        plain = torch.from_numpy(spectral_features(original, static, sampling_rate, normalize=False)).double()
        spread = plain.std(0, correction=recipe.std_correction) + recipe.std_floor
        logarithms = logarithms * spread + plain.mean(0)
    magnitudes = spectral_magnitudes(logarithms, recipe, sampling_rate)
    signal = find_phases(magnitudes, recipe, iterations)
    if recipe.pre_emphasis:
        signal = torch.from_numpy(lfilter([1.0], [1.0, -recipe.pre_emphasis], signal.numpy()))
    if recipe.level_db is not None:
        level = float(np.sqrt(np.mean(np.square(original, dtype=np.float64))))
        signal = signal * level / 10 ** (recipe.level_db / 20)
    return signal[: len(original)].clamp(-1, 1).float().numpy()


def spectral_magnitudes(logarithms: torch.Tensor, recipe: FeatureRecipe, sampling_rate: int) -> torch.Tensor:
    """Return magnitudes (frames, bins) for logarithmic features (frames, static_size), as exactly as mel allows."""
    if recipe.compression == "decibel":
        powers = 10 ** ((logarithms.clamp(0, 1) * 100 - 80) / 20)
    else:
        added = recipe.floor if recipe.compression == "add-log" else 0.0
        powers = (logarithms.clamp(max=30).exp() - added).clamp(min=0)
    if recipe.mel_bins is not None:
        filters = mel_filters(recipe, sampling_rate)
        powers = (powers @ torch.linalg.pinv(filters)).clamp(min=0)
    return powers ** (1 / recipe.power)


def find_phases(magnitudes: torch.Tensor, recipe: FeatureRecipe, iterations: int) -> torch.Tensor:
    """Return a signal (samples,) whose spectrum has nearly these magnitudes (frames, bins); deterministic."""
    bare = replace(recipe, pre_emphasis=0.0)
    samples = recipe.hop_length * (len(magnitudes) - 1)
    generator = torch.Generator().manual_seed(0)
    phases = torch.rand(magnitudes.shape, generator=generator, dtype=torch.float64) * (2 * torch.pi)
    spectrum = torch.polar(magnitudes, phases)
    before = torch.zeros_like(spectrum)
    for _ in range(iterations):
        consistent = centred_spectrum(_signal(spectrum, recipe, samples), bare)[: len(magnitudes)]
        ahead = consistent + MOMENTUM * (consistent - before)
        before = consistent
        spectrum = magnitudes * ahead / ahead.abs().clamp(min=1e-16)
    return _signal(spectrum, recipe, samples)


def _signal(spectrum: torch.Tensor, recipe: FeatureRecipe, samples: int) -> torch.Tensor:
    window = torch.hann_window(recipe.window_length, dtype=torch.float64)
    return torch.istft(spectrum.T, recipe.fft_length, recipe.hop_length, recipe.window_length, window, length=samples)
