"""Spectrograms against scipy, and averaged images."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from sat_probe.reports.spectrogram import average_blocks, log_spectrogram


def test_averaging_blocks_keeps_the_mean():
    image = np.arange(25.0).reshape(5, 5)
    np.testing.assert_allclose(average_blocks(image, 2)[:2, :2], [[3, 5], [13, 15]])
    assert average_blocks(image, 2)[2, 2] == 24
    assert average_blocks(image, 1) is image


def test_the_spectrogram_finds_a_tone():
    seconds, hertz, level = log_spectrogram(np.sin(2 * np.pi * 2000 * np.arange(16_000) / 16_000), 16_000)
    assert hertz[level.mean(1).argmax()] == pytest.approx(2000, abs=40)
    assert np.diff(seconds) == pytest.approx(0.005)


@pytest.mark.parametrize(("samples", "rate"), [(16_000, 16_000), (9_001, 22_050), (1_500, 8_000), (100, 16_000)])
def test_the_spectrogram_is_that_of_scipy(samples, rate):
    waveform = np.random.default_rng(0).normal(size=samples)
    lifted = np.append(waveform[:1], waveform[1:] - 0.97 * waveform[:-1])
    width = min(int(0.025 * rate), samples)
    hertz, seconds, power = signal.spectrogram(
        lifted, rate, "hann", width, width - int(0.005 * rate) if width > 160 else 0
    )
    level = 10 * np.log10(power)
    for found, truth in zip(
        log_spectrogram(waveform, rate), (seconds, hertz, np.maximum(level, level.max() - 50)), strict=True
    ):
        np.testing.assert_allclose(found, truth, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("shape", "factor"), [((7, 11), 3), ((6, 6), 2), ((5, 4), 9)])
def test_blocks_are_averaged_as_a_loop_does(shape, factor):
    image = np.random.default_rng(1).random(shape).astype(np.float32)
    blocks = [
        [image[top : top + factor, left : left + factor].mean() for left in range(0, shape[1], factor)]
        for top in range(0, shape[0], factor)
    ]
    np.testing.assert_allclose(average_blocks(image, factor), blocks, rtol=1e-6)
