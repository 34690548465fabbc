from __future__ import annotations

import numpy as np
import pytest

from sat_probe.errors import AudioError
from sat_probe.measures.cepstra import cepstra_grid, delta, log_mel, mel_filters, mfcc, standardized


def tone(hertz, seconds=0.5):
    return np.sin(2 * np.pi * hertz * np.arange(int(16_000 * seconds)) / 16_000)


def test_equal_to_librosa():
    # pinned from librosa 0.11: power_to_db of melspectrogram, mfcc, delta; n_fft 400, hop 160
    time = np.arange(8000) / 16_000
    signal = tone(440) * np.linspace(1, 0.01, 8000) + 0.2 * np.sin(2 * np.pi * (900 + 3000 * time) * time)
    mel = [
        [0.1239, 16.7463, -19.6191, -40.2684],
        [-56.6773, 15.591, -55.4642, -56.6773],
        [-31.8194, -17.897, -33.4091, -36.2687],
    ]
    np.testing.assert_allclose(log_mel(signal)[[0, 20, 50]][:, [0, 10, 40, 79]], mel, atol=1e-3)
    cepstra = [
        [-109.8107, 102.1416, 7.634, -15.9099, -3.1851, 11.1222, -2.036],
        [-299.3489, 38.3234, -7.7731, -0.6692, -3.7299, 0.0915, 2.401],
        [-190.3461, -16.027, -3.5547, 8.7379, 0.8102, 8.1126, 1.0715],
    ]
    np.testing.assert_allclose(mfcc(signal)[[0, 20, 50]][:, [0, 1, 12, 13, 25, 26, 38]], cepstra, atol=1e-3)


def test_shapes_and_grid():
    signal = tone(300)
    assert mfcc(signal).shape == (51, 39)
    assert log_mel(signal, bins=23).shape == (51, 23)
    assert mfcc(tone(300, 0.011)).shape == (2, 39)
    assert cepstra_grid().times(3).tolist() == [0.0, 0.01, 0.02]


def test_a_tone_excites_its_band():
    # Slaney's scale is linear below 1 kHz: 200 / 3 Hz per mel
    filters = mel_filters(80, 400, 16_000)
    spectrum = log_mel(tone(1000), bins=80)
    assert spectrum[25].argmax() == filters[25].argmax()  # bin 25 of 400 points at 16 kHz is 1000 Hz
    assert spectrum.max() - spectrum.min() == pytest.approx(80)


def test_deltas_of_a_ramp():
    ramp = np.arange(20.0)[:, None] ** 2
    np.testing.assert_allclose(delta(ramp)[4:-4, 0], 2 * np.arange(4.0, 16.0))
    np.testing.assert_allclose(delta(ramp, order=2), 2)
    assert not delta(np.ones((1, 3))).any()


def test_standardized():
    result = standardized(np.array([[1.0, 5.0], [3.0, 5.0]]))
    assert result.tolist() == [[-1.0, 0.0], [1.0, 0.0]]


@pytest.mark.parametrize("signal", [np.zeros(0), np.zeros((2, 100)), np.full(100, np.nan)])
def test_bad_waveforms_are_refused(signal):
    with pytest.raises(AudioError, match="finite, non-empty vector"):
        log_mel(signal)
