"""An utterance before its alignment is read, and how labels are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from sat_probe.errors import ConfigurationError
from sat_probe.phones.alignment import Gaps
from sat_probe.phones.phone_set import phone_set


@dataclass(frozen=True, slots=True)
class Record:
    """One utterance, before its alignment is read.

    Args:
        id: unique in its corpus.
        audio: the audio file; the id where the audio is not in a file.
        speaker: who speaks, if known.
        gender: "f" or "m", if known.
        text: what is said, if known.
        alignment: the alignment file; ``archive.zip::member`` for one inside an archive.
        table_row: its row in a table of alignments, where one is used.
    """

    id: str
    audio: str
    speaker: str | None = None
    gender: str | None = None
    text: str | None = None
    alignment: str | None = None
    table_row: int | None = None


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """How the labels of a corpus are read.

    Args:
        phone_set: name of the phone set; labels that it does not know are refused.
        gaps: what unlabelled time between two segments means; by default refused in files and in segments in memory,
            and silence in tables, which leave silence out.
        tier: TextGrid tier that holds the phones.

    Raises:
        ConfigurationError: if the phone set or the meaning of gaps is unknown.
    """

    phone_set: str
    gaps: Gaps | None = None
    tier: str = "phones"

    def __post_init__(self) -> None:
        phone_set(self.phone_set)
        if self.gaps is not None and self.gaps not in get_args(Gaps):
            raise ConfigurationError(f"gaps must be one of {', '.join(get_args(Gaps))}, got {self.gaps!r}")
