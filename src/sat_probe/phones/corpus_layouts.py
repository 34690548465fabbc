"""How corpora lie on disk: TIMIT, LibriSpeech, a folder with metadata, any folder. Each layout yields records, sorted."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sat_probe.audio import AUDIO_SUFFIXES
from sat_probe.errors import CorpusError

Layout = Literal["timit", "librispeech", "audiofolder", "folder"]
_METADATA = ("metadata.csv", "metadata.jsonl")
_ALIGNMENT_SUFFIXES = (".TextGrid", ".textgrid", ".TEXTGRID", ".phn", ".PHN", ".ctm", ".CTM")
_SUFFIX_ORDER = (
    ".wav",
    ".flac",
    ".sph",
)  # which file of one stem is read, where a corpus holds several; then by name
_TIMIT_REGIONS = tuple(f"dr{number}" for number in range(1, 9))


@dataclass(frozen=True, slots=True)
class Record:
    """One utterance on disk, before its alignment is read."""

    id: str
    audio: str
    relative: str  # path below the corpus folder without suffix: where a mirrored tree of alignments has it
    speaker: str | None = None
    gender: str | None = None
    text: str | None = None
    alignment: str | None = None  # the alignment file beside the audio


def detect_layout(folder: Path) -> Layout:
    """Which layout a folder has, by the files that only this layout has."""
    names = {entry.name for entry in folder.iterdir()}
    if _timit_roots(folder) or any(re.fullmatch(r"dr[1-8]-\w+", name, re.IGNORECASE) for name in names):
        return "timit"
    if any((folder / name).exists() or list(folder.glob(f"*/{name}")) for name in _METADATA):
        return "audiofolder"
    if any(_librispeech_splits(folder)):
        return "librispeech"
    return "folder"


def scan(layout: Layout, folder: Path, split: str | None = None, drop_sa: bool = False) -> Iterator[Record]:
    """Records of a corpus folder in the order of their paths.

    Args:
        layout: how the folder is laid out.
        folder: the corpus.
        split: which part; all of them by default.
        drop_sa: leave out TIMIT's SA sentences, which every speaker reads.

    Raises:
        CorpusError: if the folder, the split or a part of the layout is missing.
    """
    match layout:
        case "timit":
            return _scan_timit(folder, split, drop_sa)
        case "librispeech":
            return _scan_librispeech(folder, split)
        case "audiofolder":
            return _scan_audiofolder(folder, split)
        case "folder":
            return _scan_folder(_split_folder(folder, split))


def walk_audio(folder: Path) -> Iterator[Path]:
    """Audio files below a folder, sorted by path; of files that differ in their suffix alone, one (WAV first)."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise CorpusError(f"{folder}: cannot be read ({error.strerror or error})") from error
    best: dict[str, Path] = {}
    for entry in entries:
        path = Path(entry.path)
        if entry.is_file() and path.suffix.lower() in AUDIO_SUFFIXES and not entry.name.startswith("."):
            best[path.stem] = min(path, best.get(path.stem, path), key=_preference)
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith("."):
            yield from walk_audio(Path(entry.path))
        elif best.get(Path(entry.name).stem) == Path(entry.path):
            yield Path(entry.path)


def _preference(path: Path) -> tuple[int, str]:
    suffix = path.suffix.lower()
    return (_SUFFIX_ORDER.index(suffix) if suffix in _SUFFIX_ORDER else len(_SUFFIX_ORDER), path.name)


def _relative(path: Path, folder: Path) -> str:
    return path.relative_to(folder).with_suffix("").as_posix()


def _alignment_beside(audio: Path) -> str | None:
    candidates = (audio.with_suffix(suffix) for suffix in _ALIGNMENT_SUFFIXES)
    return next((str(path) for path in candidates if path.is_file()), None)


def _split_folder(folder: Path, split: str | None) -> Path:
    if split is None:
        return folder
    if not (folder / split).is_dir():
        there = ", ".join(sorted(path.name for path in folder.iterdir() if path.is_dir())) or "none"
        raise CorpusError(f"{folder}: has no folder for the split {split!r}; its folders: {there}")
    return folder / split


def _scan_folder(folder: Path) -> Iterator[Record]:
    for path in walk_audio(folder):
        relative = _relative(path, folder)
        text = next((t for t in (path.with_suffix(s) for s in (".txt", ".lab")) if t.is_file()), None)
        yield Record(
            id=relative,
            audio=str(path),
            relative=relative,
            text=" ".join(text.read_text(encoding="utf-8-sig").split()) if text else None,
            alignment=_alignment_beside(path),
        )


def _scan_timit(folder: Path, split: str | None, drop_sa: bool) -> Iterator[Record]:
    roots = _timit_roots(folder)
    if not roots:  # the NLTK sample: no split folders, one folder per speaker
        if split is not None:
            raise CorpusError(
                f"{folder}: has no folder for the split {split!r}; expected TRAIN and TEST as the LDC ships them"
            )
        roots = {"": folder}
    elif split is not None and split.lower() not in roots:
        raise CorpusError(
            f"{folder}: has no folder for the split {split!r}; found {', '.join(sorted(roots))}"
        )
    else:
        _require_regions(folder, roots)
    chosen = [split.lower()] if split is not None else sorted(roots, reverse=True)
    for name in chosen:
        for path in walk_audio(roots[name]):
            record = _timit_record(path, folder)
            if record is not None and not (drop_sa and record.id.rsplit("-", 1)[1].startswith("sa")):
                yield record


def _timit_roots(folder: Path) -> dict[str, Path]:
    """Split name -> folder, for an LDC tree at ``folder`` or up to two folders below it."""
    for pattern in ("*", "*/*", "*/*/*"):
        found = {
            path.name.lower(): path
            for path in sorted(folder.glob(pattern))
            if path.name.lower() in ("train", "test") and path.is_dir() and _regions(path)
        }
        if found:
            return found
    return {}


def _regions(split_folder: Path) -> set[str]:
    names = {path.name.lower() for path in split_folder.iterdir() if path.is_dir()}
    return names & set(_TIMIT_REGIONS)


def _require_regions(folder: Path, roots: dict[str, Path]) -> None:
    """The LDC ships all eight dialect regions in both splits; a cut-down copy that deals regions out must still hold all."""
    regions = {name: _regions(path) for name, path in roots.items()}
    if len(regions) == 2 and not regions["train"] & regions["test"]:
        regions = {"train and test": regions["train"] | regions["test"]}
    for name, present in regions.items():
        missing = [region.upper() for region in _TIMIT_REGIONS if region not in present]
        if missing:
            raise CorpusError(
                f"{folder}: {name} lacks {', '.join(missing)}; copy TIMIT again as the LDC ships it"
            )


def _timit_record(path: Path, folder: Path) -> Record | None:
    speaker = path.parent.name.lower().rsplit("-", 1)[-1]
    sentence = path.name.split(".")[0].lower()
    if path.name.count(".") > 1 and path.with_name(path.name.rsplit(".", 1)[0]).is_file():
        return None  # SA1.WAV.wav, a converted copy beside SA1.WAV
    beside = {entry.suffix.lower(): entry for entry in _siblings(path)}
    return Record(
        id=f"{speaker}-{sentence}",
        audio=str(path),
        relative=_relative(path, folder),
        speaker=speaker,
        gender=speaker[0] if speaker[0] in "fm" else None,
        text=_timit_text(beside),
        alignment=str(beside[".phn"]) if ".phn" in beside else None,
    )


def _siblings(path: Path) -> list[Path]:
    stem = path.name.split(".")[0]
    endings = ("phn", "wrd", "txt")
    candidates = [path.with_name(f"{stem}.{end}") for end in (*endings, *(end.upper() for end in endings))]
    return [candidate for candidate in candidates if candidate.is_file()]


def _timit_text(beside: dict[str, Path]) -> str | None:
    for suffix in (".txt", ".wrd"):  # .txt: "0 46797 She had ..."; .wrd: one "start end word" a line
        if suffix in beside:
            lines = beside[suffix].read_text(encoding="latin-1").splitlines()
            words = [word for line in lines for word in line.split()[2:]]
            return " ".join(words)
    return None


def _librispeech_splits(folder: Path) -> Iterator[Path]:
    for depth in (
        "*.trans.txt",
        "*/*.trans.txt",
        "*/*/*.trans.txt",
        "*/*/*/*.trans.txt",
        "*/*/*/*/*.trans.txt",
    ):
        yield from folder.glob(depth)


def _scan_librispeech(folder: Path, split: str | None) -> Iterator[Record]:
    root = folder / "LibriSpeech" if (folder / "LibriSpeech").is_dir() else folder
    genders = _librispeech_genders(root)
    for transcript in sorted(_split_folder(root, split).rglob("*.trans.txt")):
        for number, line in enumerate(transcript.read_text(encoding="utf-8").splitlines(), start=1):
            utterance, _, text = line.strip().partition(" ")
            if not utterance:
                continue
            audio = transcript.with_name(f"{utterance}.flac")
            if not audio.is_file():
                raise CorpusError(
                    f"{transcript}, line {number}: {utterance} is listed, but {audio.name} is not beside it"
                )
            speaker = utterance.split("-")[0]
            yield Record(
                id=utterance,
                audio=str(audio),
                relative=_relative(audio, root),
                speaker=speaker,
                gender=genders.get(speaker),
                text=text,
                alignment=_alignment_beside(audio),
            )


def _librispeech_genders(root: Path) -> dict[str, str]:
    table = root / "SPEAKERS.TXT"
    if not table.is_file():
        return {}
    rows = (
        line.split("|") for line in table.read_text(encoding="utf-8").splitlines() if not line.startswith(";")
    )
    return {row[0].strip(): row[1].strip().lower() for row in rows if len(row) > 2}


def _scan_audiofolder(folder: Path, split: str | None) -> Iterator[Record]:
    chosen = _split_folder(folder, split)
    tables = [chosen / name for name in _METADATA if (chosen / name).is_file()]
    tables = tables or sorted(path for name in _METADATA for path in chosen.glob(f"*/{name}"))
    if not tables:
        raise CorpusError(f"{chosen}: has no {' or '.join(_METADATA)}")
    for table in tables:
        for number, row in _metadata_rows(table):
            audio = table.parent / str(row.get("file_name") or "")
            if not row.get("file_name") or not audio.is_file():
                raise CorpusError(
                    f"{table}, line {number}: file_name {row.get('file_name')!r} is no file of {table.parent}"
                )
            relative = _relative(audio, table.parent)
            yield Record(
                id=_first(row, "id", "utterance", "utterance_id") or relative,
                audio=str(audio),
                relative=relative,
                speaker=_first(row, "speaker", "speaker_id"),
                gender=_first(row, "gender", "sex"),
                text=_first(row, "text", "transcription", "transcript", "sentence"),
                alignment=_alignment_beside(audio),
            )


def _metadata_rows(table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with table.open(encoding="utf-8-sig", newline="") as lines:
        if table.suffix == ".jsonl":
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, json.loads(line)
            return
        reader = csv.DictReader(lines)
        if "file_name" not in (reader.fieldnames or ()):
            raise CorpusError(
                f"{table}: has no column file_name; its columns: {', '.join(reader.fieldnames or ())}"
            )
        for row in reader:
            yield reader.line_num, row


def _first(row: dict[str, Any], *names: str) -> str | None:
    return next((str(row[name]) for name in names if row.get(name) not in (None, "")), None)
