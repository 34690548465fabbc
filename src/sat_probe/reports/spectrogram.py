"""Spectrograms and averaged images for pages and figures, without matplotlib."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

WINDOW, HOP = 0.025, 0.005  # seconds
RANGE = 50  # dB below the highest level that is shown


def log_spectrogram(
    waveform: ArrayLike, sampling_rate: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Times (s), frequencies (Hz) and levels (dB, the lowest 50 dB below the highest) of 25 ms windows every 5 ms.

    Levels are one-sided power densities of a periodic Hann window without the mean, as `scipy.signal.spectrogram`
    defines them; its import takes longer than everything else that a page needs.
    """
    waveform = np.asarray(waveform, dtype=float)
    # lifts the high frequencies of speech
    waveform = np.append(waveform[:1], waveform[1:] - 0.97 * waveform[:-1])
    width = min(int(WINDOW * sampling_rate), len(waveform))
    hop = int(HOP * sampling_rate) if width > 160 else width
    frames = np.lib.stride_tricks.sliding_window_view(waveform, width)[::hop]
    window = np.sin(np.pi * np.arange(width) / width) ** 2
    spectrum = np.fft.rfft((frames - frames.mean(axis=1, keepdims=True)) * window, axis=1)
    power = np.abs(spectrum.T) ** 2 / (sampling_rate * np.sum(window**2))
    power[1 : None if width % 2 else -1] *= 2  # what the negative frequencies hold
    level = 10 * np.log10(np.maximum(power, 1e-30))
    seconds = (np.arange(len(frames)) * hop + width / 2) / sampling_rate
    hertz = np.arange(len(power)) * sampling_rate / width
    return seconds, hertz, np.maximum(level, level.max() - RANGE)


def average_blocks(image: NDArray[np.generic], factor: int) -> NDArray[np.float64]:
    """Average `factor` x `factor` pixels into one; the last block of a side may be smaller."""
    if factor == 1:
        return np.asarray(image, dtype=float)
    sums = _sums_of_rows(_sums_of_rows(np.asarray(image, dtype=float), factor).T, factor).T
    heights, widths = (np.minimum(factor, side - np.arange(0, side, factor)) for side in image.shape)
    return sums / np.outer(heights, widths)


def _sums_of_rows(image: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Sums of `factor` rows each, row by row: `np.add.reduceat` takes three times as long."""
    sums = image[::factor].copy()
    for offset in range(1, factor):
        rows = image[offset::factor]
        sums[: len(rows)] += rows
    return sums
