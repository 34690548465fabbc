"""Rows of a corpus as `datasets` stores them, and back: records and their alignments in, utterances out."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sat_probe.audio import MINIMUM_SECONDS, SAMPLING_RATE, audio_duration
from sat_probe.errors import AlignmentError, AudioError, CorpusError, SatProbeError
from sat_probe.phones.alignment import Alignment, Gaps
from sat_probe.phones.corpora.records import Record
from sat_probe.phones.phone_set import PhoneSet, phone_set
from sat_probe.phones.readers.lookup import read_alignment
from sat_probe.phones.readers.table import AlignmentTable

ROW_VERSION = 1  # counts up when rows change, so that an older cache is not read


@dataclass(frozen=True, slots=True)
class Utterance:
    """One utterance: where its audio is, who speaks, what is said, and when each phone is."""

    id: str
    audio: Path | bytes
    speaker: str | None
    text: str | None
    alignment: Alignment | None
    gender: str | None = None


def row_features() -> Any:
    """The columns of a corpus; audio is the struct behind `datasets.Audio`, whose own encoder would need torchcodec."""
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


def folder_rows(
    records: Iterable[Record],
    table: AlignmentTable | None,
    phone_set_name: str,
    gaps: Gaps | None,
    stamp: str = "",
    version: int = ROW_VERSION,
) -> Iterator[dict[str, Any]]:
    """Read the alignment of each record and yield its row.

    Args:
        records: utterances on disk.
        table: the table that records with a row in it refer to.
        phone_set_name: labels that this set does not know are refused.
        gaps: what unlabelled time between two segments means; None for what suits the format.
        stamp: state of the files, part of the cache's key alone.
        version: the same for this code.

    Raises:
        AlignmentError: if an alignment is malformed, does not fit its audio, or has unknown labels.
    """
    known = phone_set(phone_set_name)
    for record in records:
        samples = samples_of(record.audio)
        alignment = None if samples is None else read_alignment(record, samples, gaps, table)
        if alignment is not None:
            check_labels(alignment, known)
        audio = {"bytes": None, "path": record.audio}
        described = {"speaker": record.speaker, "gender": gender_letter(record.gender), "text": record.text}
        yield {"id": record.id, "audio": audio} | described | alignment_columns(alignment, samples)


def load_folder_rows(
    scan: Iterable[Record],
    phone_set_name: str,
    gaps: Gaps | None,
    streaming: bool,
    num_proc: int | None = None,
) -> Any:
    """A `datasets` dataset of a corpus on disk; a map-style one is cached by `datasets`, until a file changes.

    Args:
        scan: the records; a streamed dataset iterates over them anew in every pass.
        phone_set_name: see :func:`folder_rows`.
        gaps: see :func:`folder_rows`.
        streaming: read rows as they come.
        num_proc: processes that read alignments.

    Raises:
        CorpusError: if two utterances have the same id.
        AlignmentError: as :func:`folder_rows`.
    """
    from datasets import Audio, Dataset, IterableDataset
    from datasets.exceptions import DatasetGenerationError

    lookup = getattr(scan, "lookup", None)
    arguments: dict[str, Any] = {
        "records": scan,
        "table": lookup if isinstance(lookup, AlignmentTable) else None,
        "phone_set_name": phone_set_name,
        "gaps": gaps,
    }
    if streaming:
        return IterableDataset.from_generator(folder_rows, features=row_features(), gen_kwargs=arguments)
    records = list(scan)
    _require_unique(records)
    arguments |= {"records": records, "stamp": _stamp(records)}
    workers = None if num_proc is None else min(num_proc, len(records))
    try:
        dataset = Dataset.from_generator(
            folder_rows, features=row_features(), gen_kwargs=arguments, num_proc=workers
        )
    except DatasetGenerationError as error:
        if workers is not None:
            # what a worker raises arrives as text: meet the same error here
            deque(folder_rows(**arguments), maxlen=0)
        if isinstance(error.__cause__, SatProbeError):
            raise error.__cause__ from None
        raise
    return dataset.cast_column("audio", Audio(decode=False))


def _require_unique(records: list[Record]) -> None:
    seen: dict[str, str] = {}
    for record in records:
        if record.id in seen:
            raise CorpusError(f"{record.audio} and {seen[record.id]} have the same id, {record.id}")
        seen[record.id] = record.audio


def _stamp(records: list[Record]) -> str:
    """Changes when a file of the corpus is written anew."""
    digest = hashlib.sha256()
    for record in records:
        for name in filter(None, (record.audio, record.alignment)):
            state = Path(name.partition("::")[0]).stat()
            digest.update(f"{name} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def samples_of(audio: str | Path | bytes) -> int | None:
    """Samples at 16 kHz; None for audio that cannot be decoded, which is refused by name where it is read."""
    try:
        samples = round(audio_duration(audio) * SAMPLING_RATE)
    except AudioError:
        return None
    return samples if samples >= MINIMUM_SECONDS * SAMPLING_RATE else None


def gender_letter(gender: str | None) -> str | None:
    """ "f" and "m" however a corpus writes them; anything else as it is."""
    return {"female": "f", "male": "m"}.get(gender.lower(), gender.lower()) if gender else None


def alignment_columns(alignment: Alignment | None, samples: int | None) -> dict[str, Any]:
    """The columns of a row that hold its alignment."""
    return {
        "samples": samples,
        "aligned": alignment is not None,
        "starts": alignment.starts.tolist() if alignment else [],
        "ends": alignment.ends.tolist() if alignment else [],
        "labels": list(alignment.labels) if alignment else [],
    }


def audio_source(encoded: Mapping[str, Any] | None) -> Path | bytes:
    """Where the audio of a row is: in its bytes, or else in a file; a row may lack its audio.

    With neither, no bytes stand for it: they are refused by name where they are read.
    """
    content, path = (encoded or {}).get("bytes"), (encoded or {}).get("path")
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


def check_labels(alignment: Alignment, known: PhoneSet) -> None:
    """Raise an AlignmentError naming the utterance and the first label that a phone set does not know."""
    for position, label in enumerate(alignment.labels, start=1):
        if label not in known:
            raise AlignmentError(
                f"{alignment.utterance_id}: segment {position} is {label!r}, no label of the phone set {known.name}; "
                "name the phone set its labels belong to, or correct the alignment"
            )
