"""Corpora of recordings in memory: lists of paths, of arrays, and of pairs of audio and alignment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from sat_probe.audio import SAMPLING_RATE
from sat_probe.errors import CorpusError
from sat_probe.phones.alignment import Alignment
from sat_probe.phones.corpora.audio_files import record_of_file
from sat_probe.phones.corpora.rows import read_row, require_unique, row_features
from sat_probe.phones.corpora.waveforms import EncodedAudio, encoded_audio, is_array, shown
from sat_probe.phones.readers.lookup import Lookup
from sat_probe.phones.record import ReadingOptions, Record

TAKEN = (
    "a name, a folder, a YAML file, the id of a dataset on the Hub, a Corpus, a datasets.Dataset, IterableDataset or "
    "DatasetDict, or a list of recordings: paths, arrays with sampling_rate=, (array, rate), "
    "{'array', 'sampling_rate'}, or (audio, alignment)"
)
_ALIGNMENTS = (".textgrid", ".phn", ".ctm")
_BATCH_BYTES = 2**28  # arrow columns of bytes hold 2 GiB at most


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording of a list: what is known of it, its audio, and segments that were given in memory."""

    record: Record
    audio: EncodedAudio
    segments: Alignment | Sequence[tuple[float, float, str]] | None = None


def recordings(source: Any, sampling_rate: int | None = None, limit: int | None = None) -> list[Recording]:
    """The recordings of a list, or of one recording.

    Args:
        source: what `load_corpus` takes as recordings in memory.
        sampling_rate: of arrays that come without one (Hz).
        limit: at most this many.

    Raises:
        TypeError: for anything else.
        CorpusError: if there is none, an array has no sampling rate, rates differ, or two have the same id.
        AudioError: if an array cannot be used as audio.
    """
    if _is_one(source):
        if is_array(source) and len(source.shape) == 2 and min(source.shape) > 1:
            raise CorpusError(
                f"an array of shape {tuple(source.shape)} may be recordings or channels; pass a list with one array "
                "per recording"
            )
        source = [source]
    if not isinstance(source, list | tuple):
        raise TypeError(f"a corpus is {TAKEN}; got {shown(source)}")
    if not source:
        raise CorpusError("the list of recordings is empty; give at least one")
    found, rates = [], set()
    for index, item in enumerate(islice(source, limit)):
        name = f"recording {index}"
        value, alignment = _parts(item, name, sampling_rate)
        audio = encoded_audio(value, name)
        if isinstance(value, Mapping) and "array" in value:
            rates.add(int(value["sampling_rate"]))
        own = alignment.utterance_id if isinstance(alignment, Alignment) else f"{index:08d}"
        identity = Path(audio["path"]).stem if audio["path"] else own
        if isinstance(alignment, str | Path):
            record = Record(identity, audio["path"] or str(alignment), alignment=str(alignment))
            found.append(Recording(record, audio))
        else:
            found.append(Recording(Record(identity, audio["path"] or identity), audio, alignment))
    if len(rates) > 1:
        given = ", ".join(map(str, sorted(rates)))
        raise CorpusError(f"the recordings have different sampling rates, {given} Hz; resample them to one")
    found = _with_names_of_files(found)
    require_unique(one.record for one in found)
    return found


def recording_rows(found: Sequence[Recording], options: ReadingOptions, lookup: Lookup | None) -> Any:
    """Return a dataset of recordings with the columns of `rows.row_features`.

    Args:
        found: the recordings.
        options: how labels are read.
        lookup: alignments of recordings that come without one; for files, those next to them by default.

    Raises:
        AlignmentError: if an alignment is malformed, does not fit its audio, or has unknown labels.
    """
    from datasets import Audio, Dataset, concatenate_datasets

    parts: list[Any] = []
    rows: list[dict[str, Any]] = []
    held = 0
    for one in found:
        given = None
        if one.segments is not None:
            given = partial(_in_samples, one.segments, one.record.id, options)
        rows.append(read_row(one.record, one.audio, options, None if one.record.alignment else lookup, given))
        held += len(one.audio["bytes"] or b"")
        if held > _BATCH_BYTES or one is found[-1]:
            parts.append(Dataset.from_list(rows, features=row_features()))
            rows, held = [], 0
    return concatenate_datasets(parts).cast_column("audio", Audio(decode=False))


def _parts(item: Any, name: str, sampling_rate: int | None) -> tuple[Any, Any]:
    """The audio of an item, arrays with their rate, and its alignment, if it is a pair."""
    alignment = None
    if isinstance(item, tuple) and len(item) == 2 and not _is_rate(item[1]):
        item, alignment = item
        if not _is_alignment(alignment):
            raise TypeError(
                f"{name}: {shown(alignment)} is not an alignment; give an Alignment, the path of a TextGrid, .phn or "
                ".ctm file, or a list of (start, end, label) in seconds"
            )
    if isinstance(item, tuple) and len(item) == 2 and _is_rate(item[1]):
        item = {"array": item[0], "sampling_rate": item[1]}
    elif is_array(item):
        item = {"array": item, "sampling_rate": sampling_rate}
    elif isinstance(item, Mapping) and "array" in item:
        item = {"sampling_rate": sampling_rate, **item}
    elif not isinstance(item, str | Path | Mapping):
        raise TypeError(f"{name} is {shown(item)}; a corpus is {TAKEN}")
    if isinstance(item, str | Path) and not Path(item).expanduser().is_file():
        raise CorpusError(f"{name}: {item}: no such audio file")
    return item, alignment


def _with_names_of_files(found: list[Recording]) -> list[Recording]:
    """Recordings in files with what is next to them; their ids are their paths below the folder they share."""
    files = [
        Path(one.audio["path"]).expanduser() if one.audio["path"] and one.audio["bytes"] is None else None
        for one in found
    ]
    try:
        common = os.path.commonpath([file.absolute().parent for file in files if file is not None])
    except ValueError:  # no files, or on different drives
        common = None
    named = []
    for one, file in zip(found, files, strict=True):
        if file is None:
            named.append(one)
            continue
        below = file if common is None else file.absolute().relative_to(common)
        record = record_of_file(file, below.with_suffix("").as_posix())
        if one.record.alignment is not None or one.segments is not None:
            record = replace(record, alignment=one.record.alignment)
        named.append(replace(one, record=record, audio={"bytes": None, "path": str(file)}))
    return named


def _in_samples(
    given: Alignment | Sequence[tuple[float, float, str]], name: str, options: ReadingOptions, samples: int
) -> Alignment:
    """Segments in memory as an alignment at 16 kHz."""
    if isinstance(given, Alignment):
        scale = SAMPLING_RATE / given.sampling_rate
        starts, ends = np.rint(given.starts * scale), np.rint(given.ends * scale)
        return Alignment(name, starts, ends, given.labels, SAMPLING_RATE, samples)
    times = zip(*given, strict=True)
    return Alignment.from_seconds(name, *times, gaps=options.gaps or "refuse", duration=samples)


def _is_one(source: Any) -> bool:
    """Whether a value is one recording and not a list of them."""
    if isinstance(source, tuple) and len(source) == 2:
        return _is_rate(source[1]) or _is_alignment(source[1])
    named = isinstance(source, Mapping) and bool({"array", "bytes", "path"} & set(source))
    return named or is_array(source)


def _is_rate(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _is_alignment(value: Any) -> bool:
    if isinstance(value, str | Path):
        return Path(value).suffix.lower() in _ALIGNMENTS
    if not (isinstance(value, list | tuple) and value):
        return isinstance(value, Alignment)
    rows = all(isinstance(row, list | tuple) and len(row) == 3 for row in value)
    return rows and all(_is_rate(row[0]) and _is_rate(row[1]) and isinstance(row[2], str) for row in value)
