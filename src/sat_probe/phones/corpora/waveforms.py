"""Audio in memory as the content of a WAV file, so that everything after it reads files only."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import soundfile
from numpy.typing import NDArray

from sat_probe.errors import AudioError, CorpusError

MOST_CHANNELS = 8


class EncodedAudio(TypedDict):
    """Audio as `datasets` stores it: a file, or the content of one."""

    bytes: bytes | None
    path: str | None


def encoded_audio(value: Any, name: str, sampling_rate: int | None = None) -> EncodedAudio:
    """Return one recording as a file or the content of one.

    Args:
        value: a path; ``{"bytes", "path"}``; an array; ``{"array", "sampling_rate"}``; or None for no audio. An array
            is (samples,), (samples, channels) or (channels, samples), at most 8 channels; floats in -1 .. 1, or int16.
        name: of the recording, in error messages.
        sampling_rate: of an array that comes without one (Hz).

    Raises:
        AudioError: if an array has another shape or type, or NaN or infinite samples.
        CorpusError: if an array has no sampling rate, or one that is not a whole number above 0.
        TypeError: for any other value.
    """
    if value is None:
        return {"bytes": None, "path": None}
    if isinstance(value, str | Path):
        return {"bytes": None, "path": str(value)}
    if isinstance(value, Mapping):
        if "array" not in value and {"bytes", "path"} & set(value):
            return {"bytes": value.get("bytes"), "path": value.get("path")}
        if "array" in value:
            content = _wav_content(value["array"], value.get("sampling_rate", sampling_rate), name)
            return {"bytes": content, "path": value.get("path")}
    elif is_array(value) or isinstance(value, list):
        return {"bytes": _wav_content(value, sampling_rate, name), "path": None}
    raise TypeError(
        f"{name} is {shown(value)}; audio is a path, an array, {{'array', 'sampling_rate'}} or {{'bytes', 'path'}}"
    )


def is_array(value: Any) -> bool:
    """Whether a value is an array of NumPy, PyTorch or another library, and not a table of pandas."""
    return hasattr(value, "__array__") and hasattr(value, "shape") and not hasattr(value, "iloc")


def _wav_content(array: Any, sampling_rate: Any, name: str) -> bytes:
    """The content of a WAV file of 32-bit floats; exact for float32 samples."""
    if sampling_rate is None:
        raise CorpusError(
            f"{name}: an array needs its sampling rate; pass sampling_rate=, (array, rate) or "
            "{'array': ..., 'sampling_rate': ...}"
        )
    if isinstance(sampling_rate, bool) or not isinstance(sampling_rate, int | float | np.number):
        raise CorpusError(f"a sampling rate is a number of Hz, got {sampling_rate!r}")
    if not (sampling_rate > 0 and float(sampling_rate).is_integer()):
        raise CorpusError(f"a sampling rate is a whole number of Hz above 0, got {sampling_rate!r}")
    file = io.BytesIO()
    soundfile.write(file, _samples(array, name), int(sampling_rate), format="WAV", subtype="FLOAT")
    return file.getvalue()


def _samples(array: Any, name: str) -> NDArray[np.float32]:
    """(samples,) float32 of one recording, channels averaged as `read_audio` does for files."""
    if hasattr(array, "detach"):  # a torch.Tensor, perhaps on a GPU or in bfloat16, which NumPy lacks
        array = array.detach().cpu()
        array = array.float() if array.is_floating_point() else array
    samples = np.asarray(array)
    if samples.dtype == np.int16:
        samples = samples.astype(np.float32) / 32768
    if not np.issubdtype(samples.dtype, np.floating):
        raise AudioError(f"{name}: holds {samples.dtype} values; give floats in -1 .. 1, or int16")
    if samples.ndim == 2 and min(samples.shape) <= MOST_CHANNELS:
        samples = samples.mean(axis=int(np.argmin(samples.shape)), dtype=np.float32)
    if samples.ndim != 1:
        raise AudioError(
            f"{name}: has the shape {samples.shape}; give one array per recording, (samples,) or (samples, channels)"
        )
    if not np.isfinite(samples).all():
        raise AudioError(f"{name}: holds NaN or infinite samples")
    return samples.astype(np.float32)


def shown(value: Any) -> str:
    """A value in an error message: itself if it is short, else its type."""
    if value is None or isinstance(value, str | Path | int | float):
        return repr(value)
    return f"a {type(value).__name__}"
