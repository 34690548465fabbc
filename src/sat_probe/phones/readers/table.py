"""Tables of alignments: one row per utterance with a list of phones, as in gilkeyio/librispeech-alignments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sat_probe.errors import AlignmentError
from sat_probe.phones.alignment import Alignment, Gaps
from sat_probe.phones.record import Record

COLUMNS = {"id": "id", "phones": "phonemes", "phone": "phoneme"}


class AlignmentTable:
    """A `datasets.Dataset` of alignments, looked up by utterance id.

    Each row has an ``id`` and ``phonemes``, a list of ``{"phoneme": "AH0", "start": 0.33, "end": 0.4}`` in seconds. The
    published table leaves silence out, so time between phones is silence by default.

    Args:
        dataset: the table; only the two columns are read.
        columns: our names of its columns ("id", "phones", "phone") -> its own.
        name: its name in error messages.

    Raises:
        AlignmentError: if it lacks a column.
    """

    def __init__(self, dataset: Any, columns: Mapping[str, str], name: str) -> None:
        self.columns = COLUMNS | dict(columns)
        self.name = name
        missing = [self.columns[key] for key in ("id", "phones") if self.columns[key] not in dataset.column_names]
        if missing:
            raise AlignmentError(
                f"{name}: has no column {' or '.join(missing)}; its columns: {', '.join(dataset.column_names)}"
            )
        self.dataset = dataset.select_columns([self.columns["id"], self.columns["phones"]])
        self._rows = {utterance: row for row, utterance in enumerate(self.dataset[self.columns["id"]])}

    @classmethod
    def from_parquet(cls, place: Path) -> AlignmentTable:
        """Read a .parquet file or all of those in a folder; audio columns are never loaded."""
        import pyarrow
        from datasets import Dataset

        files = sorted(place.glob("**/*.parquet")) if place.is_dir() else [place]
        wanted = [COLUMNS["id"], COLUMNS["phones"]]
        try:
            dataset = Dataset.from_parquet([str(file) for file in files], columns=wanted)
        except Exception as error:
            cause = error.__cause__ or error
            if isinstance(cause, (pyarrow.ArrowException, ValueError, KeyError, OSError)):
                raise AlignmentError(
                    f"{place}: is not a table with the columns {' and '.join(wanted)} ({cause})"
                ) from error
            raise
        return cls(dataset, {}, str(place))

    def locate(self, record: Record) -> Record:
        """The record with the row of its id or of its audio's name, if there is one."""
        row = self._rows.get(record.id, self._rows.get(Path(record.audio).stem))
        return replace(record, alignment=None, table_row=row)

    def read(self, row: int, utterance_id: str, samples: int, gaps: Gaps) -> Alignment | None:
        """The alignment in a row; None if its list of phones is empty."""
        return alignment_from_phones(
            self.dataset[row][self.columns["phones"]], utterance_id, samples, gaps, self.columns
        )


def alignment_from_phones(
    phones: Any, utterance_id: str, samples: int, gaps: Gaps, columns: Mapping[str, str] = COLUMNS
) -> Alignment | None:
    """Return the alignment in a cell of a table; None for no phones.

    Args:
        phones: a list of ``{"phoneme": ..., "start": ..., "end": ...}`` in seconds, or one such mapping of lists.
        utterance_id: named in errors.
        samples: duration of the audio, in samples at 16 kHz.
        gaps: what unlabelled time means.
        columns: `columns["phone"]` is the field of the label.

    Raises:
        AlignmentError: as :meth:`Alignment.from_seconds`, or if the cell has another form.
    """
    if not phones:
        return None
    wanted = ("start", "end", columns["phone"])
    try:
        starts, ends, labels = (
            list(phones[name]) if isinstance(phones, Mapping) else [phone[name] for phone in phones] for name in wanted
        )
        if not starts:
            return None
        return Alignment.from_seconds(utterance_id, starts, ends, labels, gaps=gaps, duration=samples)
    except KeyError as error:
        there = phones if isinstance(phones, Mapping) else phones[0]
        raise AlignmentError(
            f"{utterance_id}: a phone of its alignment has no {error.args[0]!r}; it has {', '.join(there)}"
        ) from error
    except TypeError as error:
        raise AlignmentError(
            f"{utterance_id}: phones must be a list of {{{', '.join(wanted)}}} with times in seconds, "
            f"found {str(phones)[:60]!r}"
        ) from error
