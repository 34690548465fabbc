"""Audio files of a folder, and the files next to them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sat_probe.audio import AUDIO_SUFFIXES
from sat_probe.errors import CorpusError
from sat_probe.phones.record import Record

_ALIGNMENT_SUFFIXES = (".TextGrid", ".textgrid", ".TEXTGRID", ".phn", ".PHN", ".ctm", ".CTM")
_SUFFIX_ORDER = (".wav", ".flac", ".sph")  # which of several files of one stem is read; then by name


def walk_audio(folder: Path) -> Iterator[Path]:
    """Yield the audio files below a folder, sorted by path; of files that differ only in suffix, one (WAV first).

    Hidden folders and head reports, whose example is audio too, are left out.

    Raises:
        CorpusError: if a folder cannot be read.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise CorpusError(f"{folder}: cannot be read ({error.strerror or error})") from error
    names = {entry.name for entry in entries}
    if {"report.json", "heads.parquet"} <= names:
        return
    best: dict[str, Path] = {}
    for entry in entries:
        path = Path(entry.path)
        if path.suffix.lower() in AUDIO_SUFFIXES and not entry.name.startswith(".") and entry.is_file():
            best[path.stem] = min(path, best.get(path.stem, path), key=_preference)
    for entry in entries:
        path = Path(entry.path)
        if entry.is_dir() and not entry.name.startswith("."):
            yield from walk_audio(path)
        elif best.get(path.stem) == path:
            yield path


def _preference(path: Path) -> tuple[int, str]:
    suffix = path.suffix.lower()
    return (_SUFFIX_ORDER.index(suffix) if suffix in _SUFFIX_ORDER else len(_SUFFIX_ORDER), path.name)


def alignment_beside(audio: Path) -> str | None:
    """The alignment file of the same stem next to an audio file: TextGrid, then .phn, then .ctm."""
    candidates = (audio.with_suffix(suffix) for suffix in _ALIGNMENT_SUFFIXES)
    return next((str(path) for path in candidates if path.is_file()), None)


def read_utf8(path: Path) -> str:
    """The text of a file in UTF-8, with or without a byte order mark; any other raises a CorpusError."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise CorpusError(f"{path}: cannot be read as UTF-8 text; save it as UTF-8") from error


def record_of_file(audio: Path, utterance_id: str) -> Record:
    """The record of an audio file with the transcript (.txt or .lab) and the alignment next to it."""
    transcripts = (audio.with_suffix(suffix) for suffix in (".txt", ".lab"))
    transcript = next((candidate for candidate in transcripts if candidate.is_file()), None)
    text = " ".join(read_utf8(transcript).split()) if transcript else None
    return Record(utterance_id, str(audio), text=text, alignment=alignment_beside(audio))


def split_folder(folder: Path, split: str | None) -> Path:
    """The folder of a split, or the whole corpus for None.

    Raises:
        CorpusError: if there is no such folder.
    """
    if split is None:
        return folder
    if not (folder / split).is_dir():
        there = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_dir())) or "none"
        raise CorpusError(f"{folder}: has no folder for the split {split!r}; its folders: {there}")
    return folder / split
