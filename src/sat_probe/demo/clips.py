"""Recordings: the examples that come with the package, and uploads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import groupby, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sat_probe.audio import SAMPLING_RATE, read_audio
from sat_probe.demo.settings import DemoSettings
from sat_probe.demo.uploads import check_size, file_name
from sat_probe.errors import AlignmentError, ConfigurationError
from sat_probe.phones.alignment import Alignment
from sat_probe.phones.readers.phn_ctm import decode_text, read_phn
from sat_probe.phones.readers.textgrid import read_textgrid

PER_VOICE = 2
SPEECH = Path(str(files("sat_probe") / "data" / "speech"))


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording.

    Attributes:
        name: name shown to the visitor.
        waveform: (samples,) at 16 kHz.
        alignment: its phones; None if they are unknown.
    """

    name: str
    waveform: NDArray[np.float32]
    alignment: Alignment | None = None

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.waveform) / SAMPLING_RATE

    @property
    def phones(self) -> list[tuple[float, float, str]]:
        """(start s, end s, label) of each phone; empty if they are unknown."""
        if self.alignment is None:
            return []
        starts, ends = (edges / SAMPLING_RATE for edges in (self.alignment.starts, self.alignment.ends))
        return list(zip(starts.tolist(), ends.tolist(), self.alignment.labels, strict=True))


@cache
def examples() -> dict[str, Path]:
    """Return the first utterances of each bundled voice, by their text and voice."""
    found: dict[str, Path] = {}
    for voice, paths in groupby(sorted(SPEECH.glob("*.flac")), lambda path: path.stem.split("-")[0]):
        for path in islice(paths, PER_VOICE):
            said = path.with_suffix(".txt").read_text(encoding="utf-8").strip()
            found[f"{said} ({voice})"] = path
    return found


def example_clip(label: str) -> Clip:
    """Return an example with its phones.

    Raises:
        ConfigurationError: if there is no such example.
    """
    if label not in examples():
        raise ConfigurationError("there is no such example; choose one from the list")
    return bundled_clip(examples()[label].stem)


def bundled_clip(stem: str) -> Clip:
    """Return an utterance of the bundled speech, named without its suffix, with its phones."""
    path = SPEECH / f"{stem}.flac"
    waveform = read_audio(path, SAMPLING_RATE, path.name)
    return Clip(stem, waveform, read_phn(path.with_suffix(".phn"), stem, duration=len(waveform)))


def uploaded_alignment(path: str | Path, clip: Clip, settings: DemoSettings) -> Alignment:
    """Return the tier "phones" of an uploaded TextGrid, or an uploaded .phn file (16 kHz), for a recording.

    Raises:
        AudioError: if the file is too large.
        AlignmentError: if it cannot be read, or belongs to another recording.
    """
    name = file_name(path)
    check_size(path, settings)
    text = decode_text(Path(path).read_bytes(), name)
    samples = len(clip.waveform)
    if "ooTextFile" in text[:200]:
        return read_textgrid(name, clip.name, gaps="silence", duration=samples, text=text)
    alignment = read_phn(name, clip.name, text=text)
    if abs(alignment.ends[-1] - samples) > SAMPLING_RATE:
        raise AlignmentError(
            f"{name}: ends at {alignment.ends[-1] / SAMPLING_RATE:.2f} s, but {clip.name} is {clip.seconds:.2f} s long"
        )
    return alignment
