"""One utterance with the attention maps of all heads, small enough to keep in a report.

An example is a plain dict, the value of `HeadReport.examples`:

    id              str, the utterance
    sampling_rate   int, Hz
    audio           bytes, a FLAC file
    times           (T,) float64, centres of the model's frames, seconds
    phones          list of (start, end, label), seconds; empty without an alignment
    maps            (layers, heads, T, T) uint8, see `example_weights`
    scale           (layers, heads) float32, the largest weight of each head

In the report folder it is `example.npz` (all but the audio) and `example.flac`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import ArrayLike, NDArray

from sat_probe.errors import ReportError

LONGEST = 4.0  # seconds of speech that a page can show head by head and stay small
FILES = ("example.npz", "example.flac")


def make_example(
    utterance_id: str,
    waveform: ArrayLike,
    sampling_rate: int,
    times: ArrayLike,
    attention: ArrayLike,
    phones: Sequence[tuple[float, float, str]] = (),
) -> dict[str, Any]:
    """Pack an utterance for a report.

    Args:
        utterance_id: shown above the maps.
        waveform: (samples,) in -1..1.
        sampling_rate: Hz.
        times: (T,) centres of the model's frames, seconds.
        attention: (layers, heads, T, T) weights.
        phones: (start, end, label) of each phone, seconds.

    Raises:
        ReportError: if the shapes do not fit each other, or a weight is not a finite number >= 0.
    """
    weights, frames = np.asarray(attention, dtype=np.float32), np.asarray(times).size
    if weights.ndim != 4 or weights.shape[2:] != (frames, frames):
        raise ReportError(
            f"{utterance_id}: attention must be (layers, heads, {frames}, {frames}), got {weights.shape}"
        )
    if not np.isfinite(weights).all() or weights.min() < 0:
        raise ReportError(f"{utterance_id}: attention holds weights that are negative or not finite")
    return example_of_codes(utterance_id, waveform, sampling_rate, times, *map_codes(weights), phones)


def map_codes(weights: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Maps (..., T, T) in 8 bits a weight, and the largest weight of each (...)."""
    scale = np.maximum(weights.max(axis=(-2, -1)), np.finfo(np.float32).tiny)
    # the square root spends the 8 bits on small weights, where most of a map is
    roots = np.sqrt(weights / scale[..., None, None])
    roots *= 255
    return np.rint(roots, out=roots).astype(np.uint8), scale


def example_of_codes(
    utterance_id: str,
    waveform: ArrayLike,
    sampling_rate: int,
    times: ArrayLike,
    maps: NDArray[np.uint8],
    scale: NDArray[np.float32],
    phones: Sequence[tuple[float, float, str]] = (),
) -> dict[str, Any]:
    """As `make_example`, of maps (layers, heads, T, T) and scales (layers, heads) by `map_codes`."""
    audio = io.BytesIO()
    soundfile.write(
        audio, np.asarray(waveform, dtype=np.float32), sampling_rate, format="FLAC", subtype="PCM_16"
    )
    return {
        "id": str(utterance_id),
        "sampling_rate": int(sampling_rate),
        "audio": audio.getvalue(),
        "times": np.asarray(times, dtype=np.float64),
        "phones": [(float(start), float(end), str(label)) for start, end, label in phones],
        "maps": maps,
        "scale": scale,
    }


def example_weights(example: Mapping[str, Any], layer: int, head: int) -> NDArray[np.float32]:
    """(T, T) attention of one head, rows are queries; within 0.4 % of the head's largest weight of the truth."""
    codes = np.asarray(example["maps"][layer, head], dtype=np.float32) / 255
    return (codes**2 * example["scale"][layer, head]).astype(np.float32)


def save_example(example: Mapping[str, Any], folder: str | Path) -> list[Path]:
    """Write `example.npz` and `example.flac` into a report folder; returns their paths."""
    arrays, audio = (Path(folder) / name for name in FILES)
    described = {name: example[name] for name in ("id", "sampling_rate", "phones")}
    np.savez_compressed(
        arrays,
        maps=example["maps"],
        scale=example["scale"],
        times=example["times"],
        described=np.frombuffer(json.dumps(described).encode(), dtype=np.uint8),
    )
    audio.write_bytes(example["audio"])
    return [arrays, audio]


def load_example(folder: str | Path) -> dict[str, Any]:
    """Read what `save_example` wrote; an empty dict where the report has no example.

    Raises:
        ReportError: if the files are there but cannot be read.
    """
    arrays, audio = (Path(folder) / name for name in FILES)
    if not arrays.is_file() or not audio.is_file():
        return {}
    try:
        with np.load(arrays, allow_pickle=False) as stored:
            described = json.loads(stored["described"].tobytes())
            kept = {name: stored[name] for name in ("maps", "scale", "times")}
    except (OSError, ValueError, KeyError) as error:
        raise ReportError(f"{arrays}: not an example of a head report ({error})") from error
    phones = [(float(start), float(end), str(label)) for start, end, label in described["phones"]]
    return {**described, **kept, "phones": phones, "audio": audio.read_bytes()}
