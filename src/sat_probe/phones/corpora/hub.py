"""Corpora and tables of alignments on the Hugging Face Hub, map-style or streaming, joined by utterance id."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from sat_probe.errors import CorpusError, HubError
from sat_probe.phones.alignment import Gaps
from sat_probe.phones.corpora.config import HubTable
from sat_probe.phones.corpora.rows import (
    alignment_columns,
    audio_source,
    check_labels,
    gender_letter,
    row_features,
    samples_of,
)
from sat_probe.phones.phone_set import phone_set
from sat_probe.phones.readers.table import AlignmentTable, alignment_from_phones

_NAMES = {
    "id": ("id", "utterance", "utterance_id", "uid"),
    "audio": ("audio", "speech"),
    "text": ("text", "transcript", "transcription", "sentence"),
    "speaker": ("speaker_id", "speaker"),
    "gender": ("gender", "sex"),
    "phones": ("phonemes", "phones"),
}


def load_hub_rows(
    table: HubTable,
    split: str | None,
    alignments: AlignmentTable | None,
    phone_set_name: str,
    gaps: Gaps | None,
    streaming: bool,
    limit: int | None = None,
    num_proc: int | None = None,
) -> Any:
    """A corpus on the Hub as a dataset with the columns of `corpus_rows.row_features`.

    Args:
        table: which dataset.
        split: which of our splits; its default, or its only one.
        alignments: a table to join by utterance id; otherwise the dataset's own column of phones, if it has one.
        phone_set_name: labels that this set does not know are refused.
        gaps: what unlabelled time means; silence by default.
        streaming: read rows as they come.
        limit: at most this many rows.
        num_proc: processes that prepare rows.

    Raises:
        CorpusError: if the split or the audio column is missing.
        HubError: if the dataset cannot be read.
    """
    from datasets import Audio, concatenate_datasets

    dataset = _open(table, split, streaming)
    columns = _columns(table, dataset)
    dataset = dataset.cast_column(columns["audio"], Audio(decode=False))
    if limit is not None:
        dataset = dataset.take(limit)
    convert = partial(
        _hub_row,
        columns=columns,
        table=alignments,
        phone_set_name=phone_set_name,
        gaps=gaps or "silence",
        audio=streaming,
    )
    features = row_features()
    if streaming:
        return dataset.map(convert, with_indices=True, remove_columns=dataset.column_names, features=features)
    del features["audio"]
    rows = dataset.map(
        convert, with_indices=True, remove_columns=dataset.column_names, features=features, num_proc=num_proc
    )
    audio = dataset.select_columns([columns["audio"]]).rename_columns(
        {columns["audio"]: "audio"} if columns["audio"] != "audio" else {}
    )
    return concatenate_datasets([audio, rows], axis=1)  # audio stays where it is instead of being copied


def load_hub_alignments(table: HubTable, split: str | None) -> AlignmentTable:
    """A table of alignments on the Hub; of its files only the id and phone columns are read.

    Raises:
        CorpusError: if the split is missing.
        HubError: if it cannot be read.
        AlignmentError: if it lacks a column.
    """
    from datasets import Dataset

    streamed = _open(table, split, streaming=True)
    wanted = [
        name
        for name in (table.columns.get("id", "id"), table.columns.get("phones", "phonemes"))
        if name in streamed.column_names
    ]
    streamed = streamed.select_columns(wanted)
    dataset = Dataset.from_generator(
        _forward, features=streamed.features, gen_kwargs={"dataset": streamed, "key": f"{table} {split}"}
    )
    return AlignmentTable(dataset, table.columns, table.repository)


def _forward(dataset: Any, key: str) -> Any:
    yield from dataset


def _open(table: HubTable, split: str | None, streaming: bool) -> Any:
    from datasets import get_dataset_config_names, get_dataset_split_names, load_dataset

    wanted = split or table.default_split
    try:
        if wanted is None:
            there = get_dataset_split_names(table.repository, table.configuration, revision=table.revision)
            if len(there) != 1:
                raise CorpusError(
                    f"{table.repository}: has the splits {', '.join(there)}; name one with --split"
                )
            wanted = there[0]
        return load_dataset(
            table.repository,
            table.configuration,
            split=table.splits.get(wanted, wanted),
            revision=table.revision,
            streaming=streaming,
        )
    except (ValueError, FileNotFoundError, ConnectionError, OSError) as error:
        if isinstance(error, CorpusError):
            raise
        reason = " ".join(str(error).split())
        if "Config name is missing" in reason:
            there = get_dataset_config_names(table.repository, revision=table.revision)
            raise CorpusError(
                f"{table.repository}: has the configurations {', '.join(there)}; name one in a YAML file like those of "
                "hub_configs/datasets (hub: repository, configuration), and give its path as the dataset"
            ) from error
        part = "" if wanted is None else f" (split {wanted!r})"
        where = "" if Path(table.repository).is_dir() else " from the Hub"
        raise HubError(f"{table.repository}: cannot be loaded{where}{part}: {reason}") from error


def _columns(table: HubTable, dataset: Any) -> dict[str, str]:
    there = dataset.column_names
    if there is None:
        there = list(dataset.features or next(iter(dataset)))
    named = {ours: next((name for name in names if name in there), None) for ours, names in _NAMES.items()}
    for ours, theirs in table.columns.items():
        if ours in named and theirs not in there:
            raise CorpusError(
                f"{table.repository}: has no column {theirs!r}; its columns: {', '.join(there)}"
            )
    found = {ours: name for ours, name in named.items() if name is not None} | table.columns
    typed = [name for name, kind in (dataset.features or {}).items() if type(kind).__name__ == "Audio"]
    if "audio" not in found and len(typed) == 1:  # by its type, whatever it is called
        return {**found, "audio": typed[0]}
    if "audio" not in found:
        raise CorpusError(f"{table.repository}: has no audio column; its columns: {', '.join(there)}")
    return found


def _hub_row(
    row: dict[str, Any],
    index: int,
    columns: dict[str, str],
    table: AlignmentTable | None,
    phone_set_name: str,
    gaps: Gaps,
    audio: bool,
) -> dict[str, Any]:
    encoded = row[columns["audio"]] or {}  # a row may lack its audio
    path = encoded.get("path")
    utterance_id = str(_cell(row, columns, "id") or (Path(path).stem if path else f"{index:08d}"))
    samples = samples_of(audio_source(encoded))
    alignment = None
    if samples is not None and table is not None:
        position = table.row_of(utterance_id)
        alignment = None if position is None else table.read(position, utterance_id, samples, gaps)
    elif samples is not None:
        named = {"phone": "phoneme"} | columns
        alignment = alignment_from_phones(_cell(row, columns, "phones"), utterance_id, samples, gaps, named)
    if alignment is not None:
        check_labels(alignment, phone_set(phone_set_name))
    texts = {name: _cell(row, columns, name) for name in ("speaker", "gender", "text")}
    described = {name: None if value is None else str(value) for name, value in texts.items()}
    described["gender"] = gender_letter(described["gender"])
    converted = {"id": utterance_id} | described | alignment_columns(alignment, samples)
    return converted | {"audio": {"bytes": encoded.get("bytes"), "path": path}} if audio else converted


def _cell(row: dict[str, Any], columns: dict[str, str], name: str) -> Any:
    return row[columns[name]] if name in columns else None
