"""Audio in every format that libsndfile reads, and everything that can be wrong with a file."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile

from sat_probe.audio import audio_duration, prepare_samples, read_audio
from sat_probe.errors import AudioError

SECONDS = 0.5


def tone(rate: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(SECONDS * rate)) / rate)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("wav", {}),
        ("flac", {}),
        ("ogg", {}),
        ("opus", {"format": "OGG", "subtype": "OPUS"}),
        ("mp3", {}),
        ("sph", {"format": "NIST", "subtype": "PCM_16"}),
    ],
)
def test_formats(tmp_path, suffix, options):
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, tone(16_000), 16_000, **options)
    for source in (path, str(path), path.read_bytes(), io.BytesIO(path.read_bytes())):
        samples = read_audio(source)
        assert samples.dtype == np.float32
        assert abs(len(samples) / 16_000 - SECONDS) < 0.06
        assert np.sqrt(np.mean(samples**2)) == pytest.approx(np.sqrt(0.125), rel=0.1)
    assert audio_duration(path) == pytest.approx(SECONDS, abs=0.06)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled(tmp_path, rate):
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(rate), rate)
    samples = read_audio(path)
    assert abs(len(samples) - SECONDS * 16_000) <= 1
    spectrum = np.abs(np.fft.rfft(samples))
    assert spectrum.argmax() / SECONDS == pytest.approx(440, abs=2)


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([tone(16_000), np.zeros(8_000)], axis=1), 16_000)
    np.testing.assert_allclose(read_audio(path), tone(16_000) / 2, atol=1e-4)


def write_nan(path):
    samples = tone(16_000)
    samples[100] = np.nan
    soundfile.write(path, samples, 16_000, subtype="FLOAT")


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "no such audio file"),
        (lambda path: path.write_bytes(b""), "is an empty file"),
        (lambda path: path.write_text("not audio at all\n" * 20), "cannot be decoded as audio"),
        (lambda path: path.write_bytes(b"RIFF\x00\x00\x00\x00WAVEfmt " + bytes(40)), "cannot be decoded|too short"),
        (lambda path: soundfile.write(path, np.zeros(0), 16_000), "0 ms of audio is too short"),
        (lambda path: soundfile.write(path, np.zeros(160), 16_000), "10 ms of audio is too short"),
        (write_nan, "holds NaN or infinite samples"),
    ],
)
def test_bad_files_are_named_with_the_reason(tmp_path, write, message):
    path = tmp_path / "bad.wav"
    write(path)
    with pytest.raises(AudioError, match=message) as caught:
        read_audio(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_replaces_the_path_in_errors(tmp_path):
    with pytest.raises(AudioError, match="^speaker 7, take 2: "):
        read_audio(b"nothing", name="speaker 7, take 2")


def test_samples_in_memory_are_checked_like_files():
    with pytest.raises(AudioError, match="infinite"):
        prepare_samples(np.full(1000, np.inf), 16_000)
