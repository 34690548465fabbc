"""Rows of a corpus as `datasets` stores them: made from records and alignments, read as utterances."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sat_probe.audio import MINIMUM_SECONDS, SAMPLING_RATE, audio_duration
from sat_probe.errors import AudioError, CorpusError, SatProbeError
from sat_probe.phones.alignment import Alignment
from sat_probe.phones.corpora.layouts import CorpusScan
from sat_probe.phones.corpora.waveforms import EncodedAudio
from sat_probe.phones.phone_set import phone_set
from sat_probe.phones.readers.lookup import Lookup, read_alignment, stamp
from sat_probe.phones.readers.table import AlignmentTable
from sat_probe.phones.record import ReadingOptions, Record

ROW_VERSION = 2  # increase when rows change, so that an older cache is not read

ROW_COLUMNS = ("id", "audio", "speaker", "gender", "text", "samples", "aligned", "starts", "ends", "labels")


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance.

    Attributes:
        id: unique in its corpus.
        audio: a file, or the content of one.
        speaker, text: None if unknown.
        alignment: its phones in time, None without alignment.
        gender: "f" or "m", None if unknown.
    """

    id: str
    audio: Path | bytes
    speaker: str | None
    text: str | None
    alignment: Alignment | None
    gender: str | None = None


def row_features() -> Any:
    """The columns of a corpus; audio is the struct behind `datasets.Audio`, whose encoder would need torchcodec."""
    from datasets import Features, List, Value

    return Features(
        {
            "id": Value("string"),
            "audio": {"bytes": Value("binary"), "path": Value("string")},
            "speaker": Value("string"),
            "gender": Value("string"),
            "text": Value("string"),
            "samples": Value("int64"),
            "aligned": Value("bool"),
            "starts": List(Value("int64")),
            "ends": List(Value("int64")),
            "labels": List(Value("string")),
        }
    )


def read_row(
    record: Record,
    audio: EncodedAudio,
    options: ReadingOptions,
    lookup: Lookup | None = None,
    given: Callable[[int], Alignment | None] | None = None,
) -> dict[str, Any]:
    """Return the row of an utterance.

    Args:
        record: the utterance.
        audio: its audio; without readable audio it has no alignment.
        options: how labels are read.
        lookup: where its alignment is, if not in ``record.alignment``.
        given: instead, a function of the samples of audio (at 16 kHz) that returns the alignment.

    Raises:
        AlignmentError: if the alignment is malformed, does not fit its audio, or has unknown labels.
    """
    samples, alignment = _samples_of(audio_source(audio)), None
    if samples is not None and given is None:
        alignment = read_alignment(record, samples, options, lookup)
    elif samples is not None and given is not None and (alignment := given(samples)) is not None:
        phone_set(options.phone_set).require_labels(alignment.labels, record.id)
    return {
        "id": record.id,
        "audio": audio,
        "speaker": record.speaker,
        "gender": _gender_letter(record.gender),
        "text": record.text,
        "samples": samples,
        "aligned": alignment is not None,
        "starts": alignment.starts.tolist() if alignment else [],
        "ends": alignment.ends.tolist() if alignment else [],
        "labels": list(alignment.labels) if alignment else [],
    }


def _folder_rows(
    records: Iterable[Record], table: AlignmentTable | None, options: ReadingOptions, **_key: Any
) -> Iterator[dict[str, Any]]:
    """Yield the rows of utterances on disk; `_key` distinguishes entries of the cache of `datasets`."""
    for record in records:
        yield read_row(record, {"bytes": None, "path": record.audio}, options, table)


def load_folder_rows(scan: CorpusScan, options: ReadingOptions, streaming: bool, num_proc: int | None = None) -> Any:
    """Return a dataset of a corpus on disk; `datasets` caches a map-style one until a file changes.

    Args:
        scan: the records; a streamed dataset iterates over them in every pass.
        options: how labels are read.
        streaming: read rows as they come.
        num_proc: processes that read alignments.

    Raises:
        CorpusError: if two utterances have the same id.
        AlignmentError: as :func:`read_row`.
    """
    from datasets import Audio, Dataset, IterableDataset
    from datasets.exceptions import DatasetGenerationError

    arguments: dict[str, Any] = {
        "records": scan,
        "table": scan.lookup if isinstance(scan.lookup, AlignmentTable) else None,
        "options": options,
    }
    if streaming:
        return IterableDataset.from_generator(_folder_rows, features=row_features(), gen_kwargs=arguments)
    records = list(scan)
    require_unique(records)
    files = (name for record in records for name in (record.audio, record.alignment) if name is not None)
    arguments |= {"records": records, "stamp": stamp(files), "version": ROW_VERSION}
    workers = None if num_proc is None else min(num_proc, len(records))
    try:
        dataset = Dataset.from_generator(_folder_rows, features=row_features(), gen_kwargs=arguments, num_proc=workers)
    except DatasetGenerationError as error:
        if workers is not None:
            # a worker's exception arrives as text: raise the original here
            deque(_folder_rows(**arguments), maxlen=0)
        if isinstance(error.__cause__, SatProbeError):
            raise error.__cause__ from None
        raise
    return dataset.cast_column("audio", Audio(decode=False))


def require_unique(records: Iterable[Record]) -> None:
    """Raise a CorpusError if two utterances have the same id."""
    seen: dict[str, str] = {}
    for record in records:
        if record.id in seen:
            raise CorpusError(f"{record.audio} and {seen[record.id]} have the same id, {record.id}")
        seen[record.id] = record.audio


def _samples_of(audio: str | Path | bytes) -> int | None:
    """Samples at 16 kHz; None for audio that cannot be decoded or is too short, which is reported when it is read."""
    try:
        samples = round(audio_duration(audio) * SAMPLING_RATE)
    except AudioError:
        return None
    return samples if samples >= MINIMUM_SECONDS * SAMPLING_RATE else None


def _gender_letter(gender: str | None) -> str | None:
    """Return "f" or "m" for female and male; anything else in lower case."""
    return {"female": "f", "male": "m"}.get(gender.lower(), gender.lower()) if gender else None


def audio_source(encoded: EncodedAudio | None) -> Path | bytes:
    """The audio of a row: its bytes, else its file, else empty bytes, which are reported when they are read."""
    content, path = (encoded["bytes"], encoded["path"]) if encoded else (None, None)
    return Path(path) if content is None and path else content or b""


def utterance_from(row: dict[str, Any]) -> Utterance:
    """The utterance of a row."""
    alignment = None
    if row["aligned"]:
        alignment = Alignment(
            row["id"], row["starts"], row["ends"], tuple(row["labels"]), SAMPLING_RATE, row["samples"]
        )
    return Utterance(
        id=row["id"],
        audio=audio_source(row["audio"]),
        speaker=row["speaker"],
        text=row["text"],
        alignment=alignment,
        gender=row["gender"],
    )


def row_parts(dataset: Any) -> Iterator[str]:
    """The content of a map-style dataset of `row_features`: ids, speakers, sizes and alignments, in order."""
    from pyarrow import compute

    values, lists = ("id", "speaker", "gender", "samples", "aligned"), ("starts", "ends", "labels")
    for batch in dataset.select_columns([*values, *lists]).with_format("arrow").iter(1000):
        yield from (repr(batch[name].to_pylist()) for name in values)
        for name in lists:
            yield repr(compute.list_value_length(batch[name]).to_pylist())
            yield repr(compute.list_flatten(batch[name]).to_pylist())
