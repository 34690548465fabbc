"""One utterance with the attention maps of all heads, small enough to keep in a report.

In the report folder it is `example.npz` (all but the audio) and `example.flac`.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from numpy.typing import ArrayLike, NDArray

from sat_probe.errors import ReportError

LONGEST = 4.0  # seconds of speech that a page can show head by head and stay small
FILES = ("example.npz", "example.flac")

_STEPS = ("times", "similarity", "filtered", "curve")
_DAMAGE = (
    *(OSError, EOFError, RuntimeError, ValueError, TypeError, KeyError, AttributeError),
    *(zipfile.BadZipFile, zlib.error),
)

Head = tuple[int, int]  # layer, head
Phone = tuple[float, float, str]  # start, end in seconds, label


@dataclass(frozen=True, slots=True, eq=False)
class SegmentedHead:
    """How one head segments the example, step by step (figure 2 of the paper); T frames after up-sampling.

    Attributes:
        head: layer and head.
        times: (T,) centres of the frames, seconds.
        similarity: (T, T) similarity of the frames' attention.
        filtered: (T, T) which similarities the filter keeps.
        curve: (T,) score, whose minima are the predicted boundaries.
    """

    head: Head
    times: NDArray[np.float64]
    similarity: NDArray[np.float16]
    filtered: NDArray[np.bool_]
    curve: NDArray[np.int64]

    def __post_init__(self) -> None:
        frames = len(self.times)
        shapes = self.similarity.shape, self.filtered.shape, self.curve.shape
        if shapes != ((frames, frames), (frames, frames), (frames,)):
            raise ReportError(f"the segmented head has steps of {shapes} for {frames} frames")


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One utterance with the attention maps of all heads.

    Attributes:
        id: name of the utterance.
        sampling_rate: Hz.
        samples: (N,) int16 audio.
        times: (T,) centres of the model's frames, seconds.
        maps: (layers, heads, T, T) attention in 8 bits, see `weights`; rows are queries.
        scale: (layers, heads) largest weight of each head; NaN for a head that is not there.
        phones: start, end (seconds) and label of each phone; empty without an alignment.
        boundaries: phone boundaries (seconds) that each head predicts; empty if the model was not segmented.
        segmented: the steps of the segmentation by the best head.

    Raises:
        ReportError: if the parts do not fit each other.
    """

    id: str
    sampling_rate: int
    samples: NDArray[np.int16]
    times: NDArray[np.float64]
    maps: NDArray[np.uint8]
    scale: NDArray[np.float32]
    phones: tuple[Phone, ...] = ()
    boundaries: Mapping[Head, NDArray[np.float64]] = field(default_factory=dict)
    segmented: SegmentedHead | None = None

    def __post_init__(self) -> None:
        frames = len(self.times)
        if self.maps.ndim != 4 or self.maps.shape[2:] != (frames, frames):
            raise ReportError(
                f"{self.id}: attention must be (layers, heads, {frames}, {frames}), got {self.maps.shape}"
            )
        if self.scale.shape != self.maps.shape[:2] or np.isinf(self.scale).any() or (self.scale < 0).any():
            raise ReportError(f"{self.id}: the largest weights of the heads do not fit the maps")
        if self.samples.ndim != 1 or not len(self.samples) or self.sampling_rate <= 0:
            raise ReportError(f"{self.id}: the audio of an example must be one channel that is not empty")
        layers, heads = self.scale.shape
        named = [*self.boundaries, *([self.segmented.head] if self.segmented else [])]
        if any(not (0 <= layer < layers and 0 <= head < heads) for layer, head in named):
            raise ReportError(f"{self.id}: has boundaries of a head that the model does not have")

    @property
    def waveform(self) -> NDArray[np.float64]:
        """(N,) audio in -1..1."""
        return self.samples / 32768

    @property
    def references(self) -> NDArray[np.float64]:
        """Boundaries between phones, seconds."""
        return np.array([start for start, _, _ in self.phones[1:]])

    def weights(self, layer: int, head: int) -> NDArray[np.float32]:
        """(T, T) attention of one head, rows are queries; NaN if the head is not there.

        The error is at most 0.4 % of the head's largest weight.
        """
        codes = self.maps[layer, head].astype(np.float32) / 255
        weights: NDArray[np.float32] = codes**2 * self.scale[layer, head]
        return weights

    def equals(self, other: Example | None) -> bool:
        """Whether the other example has the same content (NaN equals NaN)."""
        if other is None:
            return False
        mine, theirs = _arrays(self), _arrays(other)
        return (
            mine.keys() == theirs.keys()
            and np.array_equal(self.samples, other.samples)
            and all(np.array_equal(mine[name], theirs[name], equal_nan=True) for name in mine)
        )


def map_codes(weights: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Maps (..., T, T) in 8 bits a weight, and the largest weight of each (...).

    Raises:
        ReportError: if a weight is not a finite number >= 0.
    """
    if not np.isfinite(weights).all() or weights.min() < 0:
        raise ReportError("attention holds weights that are negative or not finite")
    scale = np.maximum(weights.max(axis=(-2, -1)), np.finfo(np.float32).tiny)
    # the square root spends the 8 bits on small weights, where most of a map is
    roots = np.sqrt(weights / scale[..., None, None])
    roots *= 255
    return np.rint(roots, out=roots).astype(np.uint8), scale


def make_example(
    utterance_id: str,
    waveform: ArrayLike,
    sampling_rate: int,
    times: ArrayLike,
    maps: NDArray[np.uint8],
    scale: NDArray[np.float32],
    phones: Sequence[Phone] = (),
) -> Example:
    """Pack an utterance for a report.

    Args:
        utterance_id: shown above the maps.
        waveform: (samples,) in -1..1.
        sampling_rate: Hz.
        times: (T,) centres of the model's frames, seconds.
        maps: (layers, heads, T, T) by `map_codes`.
        scale: (layers, heads) by `map_codes`; NaN for a head that is not there.
        phones: (start, end, label) of each phone, seconds.

    Raises:
        ReportError: if the shapes do not fit each other.
    """
    samples = np.rint(np.asarray(waveform, dtype=np.float64) * 32768)
    return Example(
        str(utterance_id),
        int(sampling_rate),
        np.clip(samples, -32768, 32767).astype(np.int16),
        np.asarray(times, dtype=np.float64),
        maps,
        np.asarray(scale, dtype=np.float32),
        _phones(phones),
    )


def save_example(example: Example, folder: str | Path) -> list[Path]:
    """Write `example.npz` and `example.flac` into a report folder; return their paths."""
    packed, audio = (Path(folder) / name for name in FILES)
    arrays = io.BytesIO()
    np.savez_compressed(arrays, allow_pickle=False, **_arrays(example))
    packed.write_bytes(arrays.getvalue())
    sound = io.BytesIO()
    soundfile.write(sound, example.samples, example.sampling_rate, format="FLAC", subtype="PCM_16")
    audio.write_bytes(sound.getvalue())
    return [packed, audio]


def load_example(folder: str | Path) -> Example | None:
    """Read what `save_example` wrote; None if the report has no example.

    Raises:
        ReportError: if the files are there but cannot be read.
    """
    packed, audio = (Path(folder) / name for name in FILES)
    if not packed.is_file() or not audio.is_file():
        return None
    try:
        with np.load(packed, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        described = json.loads(arrays["described"].tobytes())
        samples, rate = soundfile.read(audio, dtype="int16")
        segmented = None
        if "segmented" in described:
            steps = (arrays[f"segmented_{name}"] for name in _STEPS)
            segmented = SegmentedHead(_head(described["segmented"]), *steps)
        return Example(
            str(described["id"]),
            int(rate),
            samples,
            arrays["times"].astype(np.float64),
            arrays["maps"].astype(np.uint8, casting="safe"),
            arrays["scale"].astype(np.float32),
            _phones(described["phones"]),
            {_head(name): np.array(found, float) for name, found in described.get("boundaries", {}).items()},
            segmented,
        )
    except _DAMAGE as error:
        raise ReportError(f"{packed}: not an example of a head report ({error})") from error


def _arrays(example: Example) -> dict[str, NDArray[Any]]:
    """The content of `example.npz`."""
    described: dict[str, Any] = {
        "id": example.id,
        "sampling_rate": example.sampling_rate,
        "phones": example.phones,
        "boundaries": {f"{layer}.{head}": list(found) for (layer, head), found in example.boundaries.items()},
    }
    arrays: dict[str, NDArray[Any]] = {name: getattr(example, name) for name in ("maps", "scale", "times")}
    if (steps := example.segmented) is not None:
        described["segmented"] = "{}.{}".format(*steps.head)
        arrays |= {f"segmented_{name}": getattr(steps, name) for name in _STEPS}
    return arrays | {"described": np.frombuffer(json.dumps(described).encode(), dtype=np.uint8)}


def _head(name: str) -> Head:
    """ "3.1" is head 1 of layer 3."""
    layer, head = name.split(".")
    return int(layer), int(head)


def _phones(phones: Sequence[Any]) -> tuple[Phone, ...]:
    return tuple((float(start), float(end), str(label)) for start, end, label in phones)
