"""Rows of a corpus as `datasets` stores them, and back: records and their alignments in, utterances out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sat_probe.audio import SAMPLING_RATE, audio_duration
from sat_probe.errors import AlignmentError

from .alignment import Alignment, Gaps
from .alignment_sources import AlignmentSource, read_beside
from .corpus_layouts import Record
from .phone_set import PhoneSet, phone_set

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
    source: AlignmentSource | None,
    phone_set_name: str | None,
    gaps: Gaps,
    stamp: str = "",
    version: int = ROW_VERSION,
) -> Iterator[dict[str, Any]]:
    """Read the alignment of each record and yield its row.

    Args:
        records: utterances on disk.
        source: where alignments are looked up; the file beside the audio by default.
        phone_set_name: labels that this set does not know are refused.
        gaps: what unlabelled time between two segments means.
        stamp: state of the files, part of the cache's key alone.
        version: the same for this code.
    """
    known = phone_set(phone_set_name) if phone_set_name else None
    for record in records:
        samples = round(audio_duration(record.audio) * SAMPLING_RATE)
        if source is not None:
            alignment = source.find(record, samples, gaps)
        else:
            alignment = read_beside(record, samples, gaps)
        if alignment is not None and known is not None:
            check_labels(alignment, known)
        audio = {"bytes": None, "path": record.audio}
        yield row(record.id, audio, record.speaker, record.gender, record.text, samples, alignment)


def row(
    utterance_id: str,
    audio: dict[str, Any],
    speaker: str | None,
    gender: str | None,
    text: str | None,
    samples: int,
    alignment: Alignment | None,
) -> dict[str, Any]:
    """One row with the columns of :func:`row_features`."""
    return {
        "id": utterance_id,
        "audio": audio,
        "speaker": speaker,
        "gender": gender,
        "text": text,
        "samples": samples,
        "aligned": alignment is not None,
        "starts": alignment.starts.tolist() if alignment else [],
        "ends": alignment.ends.tolist() if alignment else [],
        "labels": list(alignment.labels) if alignment else [],
    }


def utterance_from(row: dict[str, Any]) -> Utterance:
    """The utterance of a row."""
    audio = row["audio"]
    alignment = None
    if row["aligned"]:
        alignment = Alignment(
            row["id"], row["starts"], row["ends"], tuple(row["labels"]), SAMPLING_RATE, row["samples"]
        )
    return Utterance(
        id=row["id"],
        audio=audio["bytes"] if audio["bytes"] is not None else Path(audio["path"]),
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
