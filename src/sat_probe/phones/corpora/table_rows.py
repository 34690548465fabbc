"""Tables with an audio column, from the Hub or in memory, as rows of a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sat_probe.errors import CorpusError
from sat_probe.phones.alignment import Alignment
from sat_probe.phones.corpora.rows import ROW_VERSION, audio_source, row_features, row_of, samples_of
from sat_probe.phones.corpora.waveforms import encoded_audio
from sat_probe.phones.phone_set import phone_set
from sat_probe.phones.readers.lookup import AlignmentLookup, read_alignment
from sat_probe.phones.readers.table import AlignmentTable, alignment_from_phones
from sat_probe.phones.record import ReadingOptions, Record

_NAMES = {
    "id": ("id", "utterance", "utterance_id", "uid"),
    "audio": ("audio", "speech"),
    "text": ("text", "transcript", "transcription", "sentence"),
    "speaker": ("speaker_id", "speaker"),
    "gender": ("gender", "sex"),
    "phones": ("phonemes", "phones"),
}


@dataclass(frozen=True, slots=True)
class TableReading:
    """How the rows of a table become utterances.

    Args:
        name: of the table, in error messages.
        options: how labels are read.
        columns: our column ("id", "audio", "text", "speaker", "gender", "phones", "phone") -> the table's.
        lookup: alignments to join by utterance id; otherwise the table's own column of phones, if it has one.
        sampling_rate: of arrays that come without one.
        stamp, version: state of the alignment files and of this code, used only in the key of the cache of `datasets`.
    """

    name: str
    options: ReadingOptions
    columns: Mapping[str, str]
    lookup: AlignmentLookup | AlignmentTable | None = None
    sampling_rate: int | None = None
    stamp: str = ""
    version: int = ROW_VERSION


def table_rows(
    dataset: Any, reading: TableReading, limit: int | None = None, num_proc: int | None = None
) -> Any:
    """Return a dataset with the columns of `rows.row_features`, map-style or streaming like the given one.

    Args:
        dataset: a `datasets.Dataset` or `datasets.IterableDataset`.
        reading: how its rows are read.
        limit: at most this many rows.
        num_proc: processes that prepare rows of a map-style dataset.

    Raises:
        CorpusError: if it has no audio column, or lacks a column that ``reading.columns`` names.
    """
    from datasets import Audio, concatenate_datasets

    dataset = dataset.with_format(None)
    if limit is not None:
        dataset = dataset.take(limit)
    there = dataset.column_names or list(dataset.features or next(iter(dataset), {}))
    columns = _found_columns(reading, there, dataset.features or {})
    stamp = reading.lookup.stamp if isinstance(reading.lookup, AlignmentLookup) else ""
    reading = replace(reading, columns=columns, stamp=stamp)
    audio = reading.columns["audio"]
    encoded = _is_encoded((dataset.features or {}).get(audio))
    if encoded:
        dataset = dataset.cast_column(audio, Audio(decode=False))
    features = row_features()
    streaming = not hasattr(dataset, "__len__")
    convert = partial(_converted, reading=reading, audio=streaming or not encoded)
    if streaming:
        return dataset.map(convert, with_indices=True, remove_columns=there, features=features)
    if encoded:
        del features["audio"]
    rows = dataset.map(convert, with_indices=True, remove_columns=there, features=features, num_proc=num_proc)
    if not encoded:
        return rows
    # the audio stays where it is instead of being copied
    untouched = dataset.select_columns([audio])
    return concatenate_datasets(
        [untouched if audio == "audio" else untouched.rename_column(audio, "audio"), rows], axis=1
    )


def _found_columns(reading: TableReading, there: list[str], features: Mapping[str, Any]) -> dict[str, str]:
    named = {ours: next((name for name in names if name in there), None) for ours, names in _NAMES.items()}
    for ours, theirs in reading.columns.items():
        if ours in named and theirs not in there:
            raise CorpusError(f"{reading.name}: has no column {theirs!r}; its columns: {', '.join(there)}")
    found = {ours: name for ours, name in named.items() if name is not None} | dict(reading.columns)
    typed = [name for name, kind in features.items() if type(kind).__name__ == "Audio"]
    if "audio" not in found and len(typed) == 1:  # by its type, whatever its name
        return {**found, "audio": typed[0]}
    if "audio" not in found:
        raise CorpusError(f"{reading.name}: has no audio column; its columns: {', '.join(there)}")
    return found


def _is_encoded(feature: Any) -> bool:
    """Whether a column holds files or their content, rather than arrays."""
    if isinstance(feature, Mapping):
        return set(feature) <= {"bytes", "path"}
    return type(feature).__name__ == "Audio" or getattr(feature, "dtype", None) in (
        "string",
        "large_string",
        "binary",
    )


def _converted(row: dict[str, Any], index: int, reading: TableReading, audio: bool) -> dict[str, Any]:
    encoded = encoded_audio(
        row[reading.columns["audio"]], f"row {index} of {reading.name}", reading.sampling_rate
    )
    path = encoded["path"]
    speaker, gender, text = (_text(row, reading, name) for name in ("speaker", "gender", "text"))
    name = _text(row, reading, "id") or (Path(path).stem if path else f"{index:08d}")
    record = Record(name, path or name, speaker, gender, text)
    samples = samples_of(audio_source(encoded))
    alignment = None if samples is None else _alignment(row, record, samples, reading)
    converted = row_of(record, alignment, samples)
    return converted | {"audio": encoded} if audio else converted


def _alignment(row: dict[str, Any], record: Record, samples: int, reading: TableReading) -> Alignment | None:
    options, lookup = reading.options, reading.lookup
    if lookup is not None:
        table = lookup if isinstance(lookup, AlignmentTable) else None
        return read_alignment(lookup.locate(record), samples, options, table)
    fields = {"phone": "phoneme"} | dict(reading.columns)
    phones = _cell(row, reading, "phones")
    found = alignment_from_phones(phones, record.id, samples, options.gaps or "silence", fields)
    if found is not None:
        phone_set(options.phone_set).require_labels(found.labels, record.id)
    return found


def _text(row: dict[str, Any], reading: TableReading, name: str) -> str | None:
    value = _cell(row, reading, name)
    return None if value is None else str(value)


def _cell(row: dict[str, Any], reading: TableReading, name: str) -> Any:
    return row[reading.columns[name]] if name in reading.columns else None
