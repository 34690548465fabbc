"""Spectral features of a waveform: the steps of every `FeatureRecipe`."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from transformers.audio_utils import mel_filter_bank

from .feature_recipes import FeatureRecipe

FRAMES_AT_ONCE = 20_000  # spectra held at a time; some minutes


def spectral_features(
    waveform: np.ndarray, recipe: FeatureRecipe, sampling_rate: int = 16_000, normalize: bool = True
) -> np.ndarray:
    """Return the features of one utterance, next to their first `delta_order` derivatives over time.

    waveform: (samples,) in [-1, 1]. Returns (frames, recipe.feature_size) float32.
    normalize: mean 0 and variance 1 in every column over the utterance (CMVN).
    """
    waveform = np.asarray(waveform, dtype=recipe.precision)
    signal = torch.from_numpy(waveform if waveform.flags.writeable else waveform.copy())  # never written to
    if recipe.level_db is not None:
        root_mean_square = signal.square().mean().sqrt()
        signal = signal * (10 ** (recipe.level_db / 20) / (root_mean_square + 1e-10))
    if recipe.centered:
        signal = mirrored(signal, recipe)
    features = static_features(signal, recipe, sampling_rate)
    del signal  # an hour of it is 230 MB
    blocks = [features]
    for _ in range(recipe.delta_order):
        blocks.append(slopes(blocks[-1], recipe))
    features = torch.cat(blocks, dim=1) if recipe.delta_order else features
    if normalize:
        centred = features - features.mean(0)
        features = centred / (features.std(0, correction=recipe.std_correction) + recipe.std_floor)
    return features.float().numpy()


def static_features(signal: torch.Tensor, recipe: FeatureRecipe, sampling_rate: int) -> torch.Tensor:
    """Return the features without deltas, (frames, recipe.static_size), computed some frames at a time.

    The spectra of an hour at once would be a gigabyte. A centred recipe's signal is mirrored at its ends already.
    """
    width = recipe.fft_length if recipe.centered else recipe.window_length
    count = 1 + (len(signal) - width) // recipe.hop_length
    parts = []
    for first in range(0, count, FRAMES_AT_ONCE):
        last = min(first + FRAMES_AT_ONCE, count) - 1
        piece = signal[first * recipe.hop_length : last * recipe.hop_length + width]
        spectrum = (stft(piece, recipe) if recipe.centered else framed_spectrum(piece, recipe)).abs()
        if recipe.power != 1.0:
            spectrum = spectrum.pow(recipe.power)
        if recipe.mel_bins is not None:
            spectrum = spectrum @ mel_filters(recipe, sampling_rate).to(spectrum.dtype)
        parts.append(compressed(spectrum, recipe))
    return torch.cat(parts)


def centred_spectrum(signal: torch.Tensor, recipe: FeatureRecipe) -> torch.Tensor:
    """Return spectra of frames centred on multiples of the hop, mirrored at the ends: complex (frames, bins)."""
    return stft(mirrored(signal, recipe), recipe)


def mirrored(signal: torch.Tensor, recipe: FeatureRecipe) -> torch.Tensor:
    """Return the pre-emphasised signal, mirrored at both ends so that frame 0 is centred on sample 0."""
    if recipe.pre_emphasis:
        signal = torch.cat([signal[:1], signal[1:] - recipe.pre_emphasis * signal[:-1]])
    half = recipe.fft_length // 2
    return torch.nn.functional.pad(signal[None], (half, half), mode="reflect")[0]


def stft(signal: torch.Tensor, recipe: FeatureRecipe) -> torch.Tensor:
    """Return spectra of frames that begin at multiples of the hop: complex (frames, bins)."""
    window = torch.hann_window(recipe.window_length, dtype=signal.dtype)
    sizes = (recipe.fft_length, recipe.hop_length, recipe.window_length)
    return torch.stft(signal, *sizes, window, center=False, return_complex=True).T


def framed_spectrum(signal: torch.Tensor, recipe: FeatureRecipe) -> torch.Tensor:
    """Return spectra of Kaldi's frames, all within the signal: complex (frames, bins)."""
    frames = signal.unfold(0, recipe.window_length, recipe.hop_length)
    if recipe.remove_offset:
        frames = frames - frames.mean(1, keepdim=True)
    if recipe.pre_emphasis:
        before = torch.cat([frames[:, :1], frames[:, :-1]], dim=1)
        frames = frames - recipe.pre_emphasis * before
    window = torch.hann_window(recipe.window_length, periodic=False, dtype=signal.dtype)
    if recipe.window == "povey":
        window = window.pow(0.85)
    return torch.fft.rfft(frames * window, n=recipe.fft_length)


@lru_cache(maxsize=8)
def mel_filters(recipe: FeatureRecipe, sampling_rate: int) -> torch.Tensor:
    """Return the mel filter bank of a recipe, (frequency bins, mel bins) float64."""
    filters = mel_filter_bank(
        num_frequency_bins=recipe.fft_length // 2 + 1,
        num_mel_filters=recipe.static_size,
        min_frequency=recipe.mel_low,
        max_frequency=sampling_rate / 2,
        sampling_rate=sampling_rate,
        norm=recipe.mel_norm,
        mel_scale=recipe.mel_scale,
        triangularize_in_mel_space=recipe.mel_scale == "kaldi",
    )
    return torch.from_numpy(filters)


def compressed(spectrum: torch.Tensor, recipe: FeatureRecipe) -> torch.Tensor:
    """Return the logarithm of a spectrum, as the recipe computes it."""
    match recipe.compression:
        case "add-log":
            return torch.log(spectrum + recipe.floor)
        case "floor-log":
            return torch.log(spectrum.clamp(min=recipe.floor))
        case "decibel":  # 20 dB is taken as full scale, -100 dB below it as 0, both clipped
            decibels = 20 * torch.log10(spectrum.clamp(min=recipe.floor)) - 20
            return ((decibels + 100) / 100).clamp(0, 1)


def slopes(features: torch.Tensor, recipe: FeatureRecipe) -> torch.Tensor:
    """Return the slope of the line fitted to `delta_width` frames around each frame.

    At the ends the edge frame is repeated ("repeat", Kaldi), or the line of the outermost full window is used
    ("line", librosa); an utterance shorter than the window uses the widest odd window that fits.
    """
    width = recipe.delta_width
    if recipe.delta_edges == "line":
        width = min(width, len(features) - 1 + len(features) % 2)
    half = width // 2
    if half == 0:
        return torch.zeros_like(features)
    edge = (features[:1].expand(half, -1), features[-1:].expand(half, -1))
    padded = torch.cat([edge[0], features, edge[1]]) if recipe.delta_edges == "repeat" else features
    offsets = torch.arange(-half, half + 1, dtype=features.dtype)
    inner = padded.unfold(0, width, 1) @ (offsets / offsets.square().sum())
    if recipe.delta_edges == "repeat":
        return inner
    return torch.cat([inner[:1].expand(half, -1), inner, inner[-1:].expand(half, -1)])
