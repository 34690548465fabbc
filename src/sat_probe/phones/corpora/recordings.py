"""Corpora of recordings in memory: lists of paths, of arrays, and of pairs of audio and alignment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from sat_probe.audio import SAMPLING_RATE
from sat_probe.errors import CorpusError
from sat_probe.phones.alignment import Alignment
from sat_probe.phones.corpora.audio_files import record_of_file
from sat_probe.phones.corpora.rows import audio_source, require_unique, row_features, row_of, samples_of
from sat_probe.phones.corpora.waveforms import EncodedAudio, checked_rate, encoded_audio, is_array
from sat_probe.phones.phone_set import phone_set
from sat_probe.phones.readers.lookup import AlignmentLookup, read_alignment
from sat_probe.phones.readers.table import AlignmentTable
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
    """One recording of a list.

    Args:
        record: id, file and alignment file, as far as there are any.
        audio: the file or its content.
        rate: sampling rate of an array.
        alignment: segments that were given in memory.
    """

    record: Record
    audio: EncodedAudio
    rate: int | None = None
    alignment: Alignment | Sequence[tuple[float, float, str]] | None = None


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
        raise TypeError(f"a corpus is {TAKEN}; got {_shown(source)}")
    if not source:
        raise CorpusError("the list of recordings is empty; give at least one")
    found = [_recording(item, index, sampling_rate) for index, item in enumerate(islice(source, limit))]
    rates = sorted({one.rate for one in found if one.rate is not None})
    if len(rates) > 1:
        raise CorpusError(
            f"the recordings have different sampling rates, {', '.join(map(str, rates))} Hz; resample them to one"
        )
    found = _with_names_of_files(found)
    require_unique(one.record for one in found)
    return found


def recording_rows(
    found: Sequence[Recording], options: ReadingOptions, lookup: AlignmentLookup | AlignmentTable | None
) -> Any:
    """Return a dataset of recordings with the columns of `rows.row_features`.

    Args:
        found: the recordings.
        options: how labels are read.
        lookup: alignments of recordings that come without one; for files, those next to them by default.

    Raises:
        AlignmentError: if an alignment is malformed, does not fit its audio, or has unknown labels.
    """
    from datasets import Audio, Dataset, concatenate_datasets

    parts = [
        Dataset.from_list(rows, features=row_features())
        for rows in _batches(_row(one, options, lookup) for one in found)
    ]
    return concatenate_datasets(parts).cast_column("audio", Audio(decode=False))


def _recording(item: Any, index: int, sampling_rate: int | None) -> Recording:
    name, alignment = f"recording {index}", None
    if isinstance(item, tuple) and len(item) == 2 and not _is_rate(item[1]):
        item, alignment = item
        if not _is_alignment(alignment):
            raise TypeError(
                f"{name}: {_shown(alignment)} is not an alignment; give an Alignment, the path of a TextGrid, .phn or "
                ".ctm file, or a list of (start, end, label) in seconds"
            )
    if isinstance(item, tuple) and len(item) == 2 and _is_rate(item[1]):
        item = {"array": item[0], "sampling_rate": item[1]}
    if not (isinstance(item, str | Path | Mapping) or is_array(item)):
        raise TypeError(f"{name} is {_shown(item)}; a corpus is {TAKEN}")
    if isinstance(item, str | Path) and not Path(item).expanduser().is_file():
        raise CorpusError(f"{name}: {item}: no such audio file")
    audio = encoded_audio(item, name, sampling_rate)
    rate = None
    if audio["bytes"] is not None and not (isinstance(item, Mapping) and "array" not in item):
        given = item.get("sampling_rate", sampling_rate) if isinstance(item, Mapping) else sampling_rate
        rate = checked_rate(given)
    path = audio["path"]
    identity = Path(path).stem if path else f"{index:08d}"
    if not path and isinstance(alignment, Alignment):
        identity = alignment.utterance_id
    record = Record(identity, path or identity)
    if isinstance(alignment, str | Path):
        return Recording(replace(record, audio=path or str(alignment), alignment=str(alignment)), audio, rate)
    return Recording(record, audio, rate, alignment)


def _with_names_of_files(found: list[Recording]) -> list[Recording]:
    """Recordings in files with what is next to them; their ids are their paths below the folder they share."""
    folders = [Path(path).parent for one in found if (path := _file(one)) is not None]
    if not folders:
        return found
    try:
        common = Path(os.path.commonpath([folder.absolute() for folder in folders]))
    except ValueError:  # on different drives
        common = None
    named = []
    for one in found:
        path = _file(one)
        if path is None:
            named.append(one)
            continue
        file = Path(path).expanduser()
        below = file if common is None else file.absolute().relative_to(common)
        record = record_of_file(file, below.with_suffix("").as_posix())
        if one.record.alignment is not None or one.alignment is not None:
            record = replace(record, alignment=one.record.alignment)
        named.append(replace(one, record=record, audio={"bytes": None, "path": str(file)}))
    return named


def _file(one: Recording) -> str | None:
    return one.audio["path"] if one.audio["bytes"] is None else None


def _row(
    one: Recording, options: ReadingOptions, lookup: AlignmentLookup | AlignmentTable | None
) -> dict[str, Any]:
    record, samples = one.record, samples_of(audio_source(one.audio))
    if samples is None:
        found = None
    elif one.alignment is not None:
        found = _in_samples(one.alignment, record.id, samples, options)
        phone_set(options.phone_set).require_labels(found.labels, record.id)
    elif lookup is not None and record.alignment is None:
        table = lookup if isinstance(lookup, AlignmentTable) else None
        found = read_alignment(lookup.locate(record), samples, options, table)
    else:
        found = read_alignment(record, samples, options)
    return row_of(record, found, samples) | {"audio": one.audio}


def _in_samples(
    given: Alignment | Sequence[tuple[float, float, str]], name: str, samples: int, options: ReadingOptions
) -> Alignment:
    """Segments in memory as an alignment at 16 kHz."""
    if isinstance(given, Alignment):
        edges = [
            np.rint(times * (SAMPLING_RATE / given.sampling_rate)) for times in (given.starts, given.ends)
        ]
        return Alignment(name, edges[0], edges[1], given.labels, SAMPLING_RATE, samples)
    starts, ends, labels = zip(*given, strict=True)
    return Alignment.from_seconds(name, starts, ends, labels, gaps=options.gaps or "refuse", duration=samples)


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    held = 0
    for row in rows:
        batch.append(row)
        held += len(row["audio"]["bytes"] or b"")
        if held > _BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _is_one(source: Any) -> bool:
    """Whether a value is one recording and not a list of them."""
    if isinstance(source, tuple) and len(source) == 2:
        return _is_rate(source[1]) or (_is_alignment(source[1]) and not _is_audio_path(source[1]))
    return is_array(source) or (
        isinstance(source, Mapping) and bool({"array", "bytes", "path"} & set(source))
    )


def _is_rate(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _is_audio_path(value: Any) -> bool:
    return isinstance(value, str | Path) and Path(value).suffix.lower() not in _ALIGNMENTS


def _is_alignment(value: Any) -> bool:
    if isinstance(value, Alignment):
        return True
    if isinstance(value, str | Path):
        return not _is_audio_path(value)
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(
            isinstance(row, list | tuple)
            and len(row) == 3
            and _is_rate(row[0])
            and _is_rate(row[1])
            and isinstance(row[2], str)
            for row in value
        )
    )


def _shown(value: Any) -> str:
    if value is None or isinstance(value, str | Path | int | float):
        return repr(value)
    return f"a {type(value).__name__}"
