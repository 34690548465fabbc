"""Audio decoding: files in, mono float32 samples out, with libsndfile and soxr."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from sat_probe.errors import AudioError

SAMPLING_RATE = 16_000
MINIMUM_SECONDS = 0.025  # one analysis window; no model has a frame for less
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".sph", ".aiff", ".aif", ".au"})

AudioSource = str | Path | bytes | BinaryIO


def read_audio(source: AudioSource, sampling_rate: int = SAMPLING_RATE, name: str | None = None) -> NDArray[np.float32]:
    """Decode one audio file to mono at ``sampling_rate``.

    WAV, FLAC, Ogg (Vorbis, Opus), MP3 and NIST SPHERE are recognised by content, not by suffix. Channels
    are averaged; other sampling rates are resampled (soxr, high quality).

    Args:
        source: path, the file's bytes, or an open binary file.
        sampling_rate: wanted rate in Hz.
        name: name of the source in error messages; the path by default.

    Returns:
        (samples,) float32.

    Raises:
        AudioError: if it is missing, not audio, empty, shorter than 25 ms, or has NaN or infinite samples.
    """
    name = name or (str(source) if isinstance(source, str | Path) else "audio")
    try:
        with soundfile.SoundFile(_open(source, name)) as file:
            samples = file.read(dtype="float32", always_2d=True)
            rate = file.samplerate
    except (soundfile.SoundFileError, OSError) as error:
        raise AudioError(f"{name}: cannot be decoded as audio ({_reason(error)})") from error
    return prepare_samples(samples, rate, sampling_rate, name)


def prepare_samples(
    samples: NDArray[np.floating], rate: int, sampling_rate: int = SAMPLING_RATE, name: str = "audio"
) -> NDArray[np.float32]:
    """Average channels, resample and check samples that are already decoded.

    Args:
        samples: (samples,) or (samples, channels).
        rate: their rate in Hz.
        sampling_rate: wanted rate in Hz.
        name: name of the samples in error messages.

    Returns:
        (samples,) float32.

    Raises:
        AudioError: if there are less than 25 ms of samples, or NaN or infinite ones.
    """
    mono = samples.mean(axis=1) if samples.ndim == 2 else np.asarray(samples)
    seconds = len(mono) / rate
    if seconds < MINIMUM_SECONDS:
        raise AudioError(
            f"{name}: {1000 * seconds:g} ms of audio is too short, at least {1000 * MINIMUM_SECONDS:g} ms needed"
        )
    if not np.isfinite(mono).all():
        raise AudioError(f"{name}: holds NaN or infinite samples; the file is damaged or was written wrongly")
    if rate != sampling_rate:
        mono = soxr.resample(mono, rate, sampling_rate)
    return np.ascontiguousarray(mono, dtype=np.float32)


def audio_duration(source: AudioSource, name: str | None = None) -> float:
    """Return the duration in seconds, from the header.

    Raises:
        AudioError: if the file is missing or not audio.
    """
    name = name or (str(source) if isinstance(source, str | Path) else "audio")
    try:
        info = soundfile.info(_open(source, name))
    except (soundfile.SoundFileError, OSError) as error:
        raise AudioError(f"{name}: cannot be decoded as audio ({_reason(error)})") from error
    return info.frames / info.samplerate


def _open(source: AudioSource, name: str) -> str | BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if isinstance(source, str | Path):
        path = Path(source)
        if not path.is_file():
            raise AudioError(f"{name}: no such audio file")
        if not path.stat().st_size:
            raise AudioError(f"{name}: is an empty file")
        return str(path)
    return source


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip().rstrip(".") or type(error).__name__
