"""Spectral features of a waveform: log-mel spectra and 39-dimensional MFCC.

The definitions are librosa's (Slaney's mel scale, area-normalised triangles, Savitzky-Golay deltas). Frames are centred
on multiples of the hop, and the signal is padded with zeros at both ends.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.signal import get_window, savgol_filter

from sat_probe.errors import AudioError
from sat_probe.frames import FrameGrid

HOP = 160  # 10 ms at 16 kHz
WINDOW = 400  # 25 ms
DELTA_WIDTH = 9  # frames


def cepstra_grid(hop: int = HOP, sampling_rate: int = 16_000) -> FrameGrid:
    """The times of the frames: the first one is centred on the first sample."""
    return FrameGrid(hop=hop, first_centre=0.0, sampling_rate=sampling_rate)


def log_mel(
    waveform: NDArray[np.floating], *, bins: int = 80, hop: int = HOP, window: int = WINDOW, sampling_rate: int = 16_000
) -> NDArray[np.float64]:
    """Return the power mel spectrum in dB, at least the utterance's maximum - 80: (1 + samples // hop, bins) float64.

    Args:
        waveform: (samples,) at sampling_rate.
        bins: mel bands from 0 Hz to half the sampling rate.
        hop: samples from frame to frame.
        window: samples of the Hann window and of the Fourier transform.
        sampling_rate: Hz.

    Raises:
        AudioError: if the waveform is not a finite, non-empty vector.
    """
    signal = np.asarray(waveform, dtype=np.float64)
    if signal.ndim != 1 or not signal.size or not np.isfinite(signal).all():
        raise AudioError(f"a waveform must be a finite, non-empty vector, got shape {signal.shape}")
    padded = np.pad(signal, window // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop][: 1 + len(signal) // hop]
    power = np.abs(np.fft.rfft(frames * get_window("hann", window), axis=1)) ** 2
    mel = 10 * np.log10(np.maximum(power @ mel_filters(bins, window, sampling_rate), 1e-10))
    return np.asarray(np.maximum(mel, mel.max() - 80.0))


def mfcc(
    waveform: NDArray[np.floating],
    *,
    coefficients: int = 13,
    bins: int = 40,
    hop: int = HOP,
    window: int = WINDOW,
    sampling_rate: int = 16_000,
) -> NDArray[np.float64]:
    """Return cepstral coefficients of :func:`log_mel` with their derivatives, (frames, 3 * coefficients) float64."""
    spectrum = log_mel(waveform, bins=bins, hop=hop, window=window, sampling_rate=sampling_rate)
    static = dct(spectrum, type=2, norm="ortho", axis=1)[:, :coefficients]
    return np.concatenate([static, delta(static), delta(static, order=2)], axis=1)


def delta(features: NDArray[np.float64], *, order: int = 1) -> NDArray[np.float64]:
    """Return derivatives over time by a local polynomial, (frames, dimensions); few frames get a shorter window."""
    width = min(DELTA_WIDTH, len(features) - (len(features) + 1) % 2)
    if width <= order:
        return np.zeros_like(features)
    smoothed = savgol_filter(features, width, polyorder=order, deriv=order, axis=0, mode="interp")
    return np.asarray(smoothed)


def standardized(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return features with mean 0 and variance 1 per dimension over the utterance; a constant one becomes 0."""
    centred = features - features.mean(axis=0)
    deviation = centred.std(axis=0)
    return np.asarray(centred / np.where(deviation > 1e-12, deviation, 1.0))


@lru_cache(maxsize=16)
def mel_filters(bins: int, fft_length: int, sampling_rate: int) -> NDArray[np.float64]:
    """Triangles of area 1 on Slaney's mel scale, (fft_length // 2 + 1, bins)."""
    edges = _hertz(np.linspace(0.0, _mel(sampling_rate / 2), bins + 2))
    frequencies = np.linspace(0.0, sampling_rate / 2, fft_length // 2 + 1)[:, None]
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequencies - low) / (centre - low), (high - frequencies) / (high - centre)
    filters = np.maximum(0.0, np.minimum(rising, falling)) * 2 / (high - low)
    filters.flags.writeable = False
    return filters


# Slaney's scale: linear up to 1000 Hz = 15 mel, then 27 mel per factor of 6.4
def _mel(hertz: float) -> float:
    return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel - 15) / 27))
