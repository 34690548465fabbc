"""Tables with an audio column, from the Hub or in memory, as rows of a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sat_probe.errors import CorpusError
from sat_probe.phones.alignment import Alignment
from sat_probe.phones.corpora.rows import ROW_VERSION, read_row, row_features
from sat_probe.phones.corpora.waveforms import encoded_audio
from sat_probe.phones.readers.lookup import AlignmentLookup, Lookup
from sat_probe.phones.readers.table import alignment_from_phones
from sat_probe.phones.record import ReadingOptions, Record

_NAMES = {
    "id": ("id", "utterance", "utterance_id", "uid"),
    "audio": ("audio", "speech"),
    "text": ("text", "transcript", "transcription", "sentence"),
    "speaker": ("speaker_id", "speaker"),
    "gender": ("gender", "sex"),
    "phones": ("phonemes", "phones"),
}
_TEXTS = ("id", "speaker", "gender", "text")


def table_rows(
    dataset: Any,
    name: str,
    options: ReadingOptions,
    columns: Mapping[str, str],
    lookup: Lookup | None = None,
    *,
    sampling_rate: int | None = None,
    limit: int | None = None,
    num_proc: int | None = None,
) -> Any:
    """Return a dataset with the columns of `rows.row_features`, map-style or streaming like the given one.

    Args:
        dataset: a `datasets.Dataset` or `datasets.IterableDataset`.
        name: of the table, in error messages.
        options: how labels are read.
        columns: our column ("id", "audio", "text", "speaker", "gender", "phones", "phone") -> the table's.
        lookup: alignments to join by utterance id; otherwise the table's own column of phones, if it has one.
        sampling_rate: of arrays that come without one (Hz).
        limit: at most this many rows.
        num_proc: processes that prepare rows of a map-style dataset.

    Raises:
        CorpusError: if it has no audio column, or lacks a column that ``columns`` names.
    """
    from datasets import Audio, concatenate_datasets

    dataset = dataset.with_format(None)
    if limit is not None:
        dataset = dataset.take(limit)
    there = dataset.column_names or list(dataset.features or next(iter(dataset), {}))
    columns = _found_columns(name, columns, there, dataset.features or {})
    audio = columns["audio"]
    encoded = _is_encoded((dataset.features or {}).get(audio))
    if encoded:
        dataset = dataset.cast_column(audio, Audio(decode=False))
    features, workers = row_features(), {"num_proc": num_proc}
    streaming = not hasattr(dataset, "__len__")
    if streaming:
        workers = {}
    elif encoded:
        del features["audio"]
    convert = partial(
        _converted,
        kept=tuple(features),
        name=name,
        options=options,
        columns=columns,
        lookup=lookup,
        sampling_rate=sampling_rate,
        stamp=lookup.stamp if isinstance(lookup, AlignmentLookup) else "",
        version=ROW_VERSION,
    )
    rows = dataset.map(convert, with_indices=True, remove_columns=there, features=features, **workers)
    if "audio" in features:
        return rows
    # the audio stays where it is instead of being copied
    untouched = dataset.select_columns([audio])
    return concatenate_datasets(
        [untouched if audio == "audio" else untouched.rename_column(audio, "audio"), rows], axis=1
    )


def _found_columns(
    name: str, given: Mapping[str, str], there: list[str], features: Mapping[str, Any]
) -> dict[str, str]:
    for ours, theirs in given.items():
        if ours in _NAMES and theirs not in there:
            raise CorpusError(f"{name}: has no column {theirs!r}; its columns: {', '.join(there)}")
    usual = {ours: [name for name in names if name in there] for ours, names in _NAMES.items()}
    found = {ours: names[0] for ours, names in usual.items() if names} | dict(given)
    typed = [column for column, kind in features.items() if type(kind).__name__ == "Audio"]
    if "audio" not in found and len(typed) == 1:  # by its type, whatever its name
        return {**found, "audio": typed[0]}
    if "audio" not in found:
        raise CorpusError(f"{name}: has no audio column; its columns: {', '.join(there)}")
    return found


def _is_encoded(feature: Any) -> bool:
    """Whether a column holds files or their content, rather than arrays."""
    if isinstance(feature, Mapping):
        return set(feature) <= {"bytes", "path"}
    stored = getattr(feature, "dtype", None)
    return type(feature).__name__ == "Audio" or stored in ("string", "large_string", "binary")


def _converted(
    row: dict[str, Any],
    index: int,
    *,
    kept: tuple[str, ...],
    name: str,
    options: ReadingOptions,
    columns: Mapping[str, str],
    lookup: Lookup | None,
    sampling_rate: int | None,
    **_key: Any,
) -> dict[str, Any]:
    """The columns `kept` of one row; `_key` distinguishes entries of the cache of `datasets`."""
    audio = encoded_audio(row[columns["audio"]], f"row {index} of {name}", sampling_rate)
    found = {ours: row.get(theirs) for ours, theirs in columns.items()}
    text = {ours: str(value) for ours, value in found.items() if value is not None and ours in _TEXTS}
    path = audio["path"]
    identity = text.get("id") or (Path(path).stem if path else f"{index:08d}")
    record = Record(identity, path or identity, text.get("speaker"), text.get("gender"), text.get("text"))

    def own(samples: int) -> Alignment | None:
        fields = {"phone": "phoneme"} | dict(columns)
        return alignment_from_phones(found.get("phones"), identity, samples, options.gaps or "silence", fields)

    converted = read_row(record, audio, options, lookup, own if lookup is None else None)
    return {column: converted[column] for column in kept}
