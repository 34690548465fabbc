"""Alignment lookup: alignments in a folder tree, an archive, a CTM file or a table, away from their audio."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache, partial
from itertools import takewhile
from pathlib import Path, PurePosixPath

from sat_probe.errors import AlignmentError
from sat_probe.phones.alignment import Alignment, Gaps
from sat_probe.phones.phone_set import phone_set
from sat_probe.phones.readers.phn_ctm import decode_text, read_ctm, read_phn
from sat_probe.phones.readers.table import AlignmentTable
from sat_probe.phones.readers.textgrid import read_textgrid
from sat_probe.phones.record import ReadingOptions, Record

_MEMBER = "::"
SUFFIXES = {".textgrid", ".phn"}


def open_alignments(place: str | Path) -> Lookup:
    """Open alignments that are stored away from their audio.

    Args:
        place: a folder tree or a .zip of TextGrid or .phn files, a .ctm file, or a table (a .parquet file or a folder
            of them).

    Raises:
        AlignmentError: if the place does not exist or has no alignments.
    """
    path = Path(place)
    if not path.exists():
        raise AlignmentError(f"{place}: no such file or folder of alignments")
    if path.suffix.lower() == ".parquet" or (path.is_dir() and any(path.glob("**/*.parquet"))):
        return AlignmentTable.from_parquet(path)
    return AlignmentLookup(path)


class AlignmentLookup:
    """Alignment files in a tree, an archive or a CTM file, matched to records.

    A file belongs to the utterance whose audio path has the longest end in common with it, or whose id is its name.

    Args:
        place: see :func:`open_alignments`.

    Raises:
        AlignmentError: if it has no alignments.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        # stem -> (path below the place, source)
        self._files: dict[str, list[tuple[tuple[str, ...], str]]] = {}
        self._taken: dict[str, str] = {}
        suffix = place.suffix.lower()
        if place.is_file() and suffix not in (".zip", ".ctm"):
            raise AlignmentError(f"{place}: is neither a folder, nor a .zip, .ctm or .parquet file")
        if suffix != ".ctm":
            files = _archive_members(place) if suffix == ".zip" else _tree_files(place)
            for relative, source in files.items():
                parts = PurePosixPath(relative).with_suffix("").parts
                self._files.setdefault(parts[-1], []).append((parts, source))
            if not self._files:
                raise AlignmentError(f"{place}: holds no alignments (.TextGrid or .phn files, or a .parquet table)")

    @property
    def stamp(self) -> str:
        """The :func:`stamp` of the files."""
        sources = sorted(source for found in self._files.values() for _, source in found) or [str(self.place)]
        return stamp(sources)

    def locate(self, record: Record) -> Record:
        """The record with its alignment here, or without one if there is none.

        Raises:
            AlignmentError: if several files match.
        """
        if not self._files:
            names = (record.id, Path(record.audio).stem)
            there = any(name in _ctm(str(self.place), self.place.stat().st_mtime_ns, "unlabelled") for name in names)
            return replace(record, alignment=str(self.place) if there else None)
        return replace(record, alignment=self._file_of(record))

    def _file_of(self, record: Record) -> str | None:
        audio = Path(record.audio).with_suffix("").parts
        found = self._files.get(audio[-1]) or self._files.get(PurePosixPath(record.id).name, [])
        if not found:
            return None
        shared = [_common_tail(parts, audio) for parts, _ in found]
        best = [source for (_, source), length in zip(found, shared, strict=True) if length == max(shared)]
        if len(best) > 1:
            raise AlignmentError(
                f"{record.id}: {len(best)} alignments could be meant, {best[0]} and {best[1]} among them; "
                "lay them out like the audio"
            )
        if self._taken.setdefault(best[0], record.audio) != record.audio:
            raise AlignmentError(
                f"{best[0]}: could belong to {self._taken[best[0]]} and to {record.audio}; "
                "lay alignments out like the audio"
            )
        return best[0]


def _common_tail(left: tuple[str, ...], right: tuple[str, ...]) -> int:
    pairs = zip(reversed(left), reversed(right), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _tree_files(folder: Path) -> dict[str, str]:
    named = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES)
    files = (path for path in named if not path.name.startswith(".") and path.is_file())
    return {path.relative_to(folder).as_posix(): str(path) for path in files}


def _archive_members(archive: Path) -> dict[str, str]:
    try:
        names = sorted(_archive(str(archive), os.getpid()).namelist())
    except (zipfile.BadZipFile, OSError) as error:
        raise AlignmentError(f"{archive}: is not a readable zip archive ({error})") from error
    wanted = [name for name in names if Path(name).suffix.lower() in SUFFIXES and "__MACOSX" not in name]
    return {name: f"{archive}{_MEMBER}{name}" for name in wanted}


@lru_cache(maxsize=4)
def _archive(path: str, process: int) -> zipfile.ZipFile:
    """One open archive per process, because forked processes would share its position in the file."""
    return zipfile.ZipFile(path)


@lru_cache(maxsize=4)
def _ctm(path: str, written: int, gaps: Gaps) -> dict[str, Alignment]:
    return read_ctm(path, gaps=gaps)


Lookup = AlignmentLookup | AlignmentTable


def stamp(sources: Iterable[str]) -> str:
    """Names, sizes and times of files, or of the archives they are in; it changes when one is written again."""
    digest = hashlib.sha256()
    for source in sources:
        state = Path(source.partition(_MEMBER)[0]).stat()
        digest.update(f"{source} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def read_alignment(
    record: Record, samples: int, options: ReadingOptions, lookup: Lookup | None = None
) -> Alignment | None:
    """Read the alignment of a record.

    Args:
        record: the utterance.
        samples: duration of its audio, in samples at 16 kHz.
        options: how labels are read.
        lookup: where its alignment is, if not in ``record.alignment``.

    Returns:
        The alignment, None if there is none.

    Raises:
        AlignmentError: if it is malformed, does not fit the audio, or has a label that the phone set does not know.
    """
    if lookup is not None:
        record = lookup.locate(record)
    found = None
    if isinstance(lookup, AlignmentTable) and record.table_row is not None:
        found = lookup.read(record.table_row, record.id, samples, options.gaps or "silence")
    elif record.alignment is not None:
        found = _read_file(record.alignment, record, samples, options)
    if found is not None:
        phone_set(options.phone_set).require_labels(found.labels, found.utterance_id)
    return found


def _read_file(source: str, record: Record, samples: int, options: ReadingOptions) -> Alignment:
    """The alignment in a file, or in a member of an archive."""
    gaps = options.gaps or "refuse"
    archive, _, member = source.partition(_MEMBER)
    suffix = Path(source).suffix.lower()
    if suffix == ".ctm" and not member:
        return _from_ctm(Path(source), record, samples, gaps)
    if suffix not in SUFFIXES:
        raise AlignmentError(f"{source}: is not an alignment file (.TextGrid, .phn or .ctm)")
    text = decode_text(_archive(archive, os.getpid()).read(member), source) if member else None
    read = read_phn if suffix == ".phn" else partial(read_textgrid, tier=options.tier)
    return read(source, record.id, gaps=gaps, duration=samples, text=text)


def _from_ctm(path: Path, record: Record, samples: int, gaps: Gaps) -> Alignment:
    if not path.is_file():
        raise AlignmentError(f"{path}: no such file of alignments")
    alignments = _ctm(str(path), path.stat().st_mtime_ns, gaps)
    names = (record.id, Path(record.audio).stem, path.stem)
    name = next((name for name in names if name in alignments), None)
    if name is None:
        raise AlignmentError(f"{path}: has no segment of {record.id}; it names {', '.join(list(alignments)[:3])}")
    return replace(alignments[name], utterance_id=record.id, duration=samples)
