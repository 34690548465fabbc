"""Layouts of corpora on disk: TIMIT, LibriSpeech, a folder with metadata, any folder. Each yields sorted records."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from sat_probe.errors import CorpusError
from sat_probe.phones.corpora.audio_files import alignment_beside, read_utf8, record_of_file, split_folder, walk_audio
from sat_probe.phones.corpora.timit import is_timit, scan_timit
from sat_probe.phones.readers.lookup import Lookup
from sat_probe.phones.record import Record

Layout = Literal["timit", "librispeech", "audiofolder", "folder"]
_METADATA = ("metadata.csv", "metadata.jsonl")


def detect_layout(folder: Path) -> Layout:
    """The layout of a folder, recognised by files that only this layout has."""
    if is_timit(folder):
        return "timit"
    if any((folder / name).is_file() or any(folder.glob(f"*/{name}")) for name in _METADATA):
        return "audiofolder"
    depths = ("", "*/", "*/*/", "*/*/*/", "*/*/*/*/")
    if any(any(folder.glob(f"{depth}*.trans.txt")) for depth in depths):
        return "librispeech"
    return "folder"


def holds_tables(folder: Path) -> bool:
    """Whether a folder holds audio in parquet tables only, as datasets on the Hub do."""
    if not any(any(folder.glob(pattern)) for pattern in ("*.parquet", "*/*.parquet", "*/*/*.parquet")):
        return False
    return next(walk_audio(folder), None) is None


@dataclass(frozen=True, slots=True)
class CorpusScan:
    """The records of a corpus folder; every iteration scans the folder again, so that none is held in memory.

    Args:
        layout: how the folder is laid out.
        folder: the corpus.
        split: which part; all of them by default.
        drop_sa: leave out TIMIT's SA sentences.
        limit: at most this many records.
        lookup: where alignments are; next to the audio by default.
    """

    layout: Layout
    folder: Path
    split: str | None = None
    drop_sa: bool = False
    limit: int | None = None
    lookup: Lookup | None = None

    def __iter__(self) -> Iterator[Record]:
        records = islice(self._scan(), self.limit)
        return records if self.lookup is None else map(self.lookup.locate, records)

    def _scan(self) -> Iterator[Record]:
        match self.layout:
            case "timit":
                return scan_timit(self.folder, self.split, self.drop_sa)
            case "librispeech":
                return _scan_librispeech(self.folder, self.split)
            case "audiofolder":
                return _scan_audiofolder(self.folder, self.split)
            case "folder":
                return _scan_folder(split_folder(self.folder, self.split), self.folder)


def _scan_folder(chosen: Path, folder: Path) -> Iterator[Record]:
    for path in walk_audio(chosen):
        yield record_of_file(path, path.relative_to(folder).with_suffix("").as_posix())


def _scan_librispeech(folder: Path, split: str | None) -> Iterator[Record]:
    root = folder / "LibriSpeech" if (folder / "LibriSpeech").is_dir() else folder
    genders = _librispeech_genders(root)
    for transcript in sorted(split_folder(root, split).rglob("*.trans.txt")):
        for number, line in enumerate(read_utf8(transcript).splitlines(), start=1):
            utterance, _, text = line.strip().partition(" ")
            if not utterance:
                continue
            audio = transcript.with_name(f"{utterance}.flac")
            if not audio.is_file():
                raise CorpusError(f"{transcript}, line {number}: lists {utterance}, but {audio.name} is not next to it")
            speaker = utterance.split("-")[0]
            yield Record(utterance, str(audio), speaker, genders.get(speaker), text, alignment_beside(audio))


def _librispeech_genders(root: Path) -> dict[str, str]:
    table = root / "SPEAKERS.TXT"
    if not table.is_file():
        return {}
    rows = (line.split("|") for line in read_utf8(table).splitlines() if not line.startswith(";"))
    return {row[0].strip(): row[1].strip().lower() for row in rows if len(row) > 2}


def _scan_audiofolder(folder: Path, split: str | None) -> Iterator[Record]:
    chosen = split_folder(folder, split)
    tables = [chosen / name for name in _METADATA if (chosen / name).is_file()]
    tables = tables or sorted(path for name in _METADATA for path in chosen.glob(f"*/{name}"))
    if not tables:
        raise CorpusError(f"{chosen}: has no {' or '.join(_METADATA)}")
    for table in tables:
        for number, row in _metadata_rows(table):
            name = _first_given(row, "file_name")
            audio = table.parent / (name or "")
            if name is None or not audio.is_file():
                raise CorpusError(f"{table}, line {number}: file_name {name!r} is no file below {table.parent}")
            yield _described(row, audio, table.parent)


def _described(row: dict[str, Any], audio: Path, folder: Path) -> Record:
    return Record(
        id=_first_given(row, "id", "utterance", "utterance_id") or audio.relative_to(folder).with_suffix("").as_posix(),
        audio=str(audio),
        speaker=_first_given(row, "speaker", "speaker_id"),
        gender=_first_given(row, "gender", "sex"),
        text=_first_given(row, "text", "transcription", "transcript", "sentence"),
        alignment=alignment_beside(audio),
    )


def _first_given(row: dict[str, Any], *names: str) -> str | None:
    """The first of some columns that has a value in a row, as text."""
    return next((str(row[name]) for name in names if row.get(name) not in (None, "")), None)


def _metadata_rows(table: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    lines = io.StringIO(read_utf8(table), newline="")
    if table.suffix == ".jsonl":
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise CorpusError(f"{table}, line {number}: is not JSON ({error.msg})") from error
            if not isinstance(row, dict):
                raise CorpusError(f"{table}, line {number}: is not a JSON object with file_name")
            yield number, row
        return
    reader = csv.DictReader(lines)
    if "file_name" not in (reader.fieldnames or ()):
        raise CorpusError(f"{table}: has no column file_name; its columns: {', '.join(reader.fieldnames or ())}")
    for row in reader:
        yield reader.line_num, row


def listing_parts(records: Iterable[Record]) -> Iterator[str]:
    """What a listing of files tells of a corpus: ids, speakers, and sizes of audio and alignments, in order."""
    for record in records:
        sizes = [_size(record.audio), _size(record.alignment)]
        yield repr((record.id, record.speaker, record.gender, *sizes, record.table_row))


def _size(source: str | None) -> int | None:
    """Bytes of a file; of a member of an archive, those of the archive."""
    return None if source is None else Path(source.partition("::")[0]).stat().st_size
