"""Content identity of a corpus: the same on every machine, and without decoding audio."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sat_probe.phones.record import Record

_VALUES = ("id", "speaker", "gender", "samples", "aligned")
_LISTS = ("starts", "ends", "labels")
_BATCH = 1000


def digest_of(parts: Iterable[str]) -> str:
    """SHA-256 of pieces of text, hexadecimal."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() + b"\n")
    return digest.hexdigest()


def row_parts(dataset: Any) -> Iterator[str]:
    """The content of a map-style dataset of `rows.row_features`: ids, speakers, sizes and alignments, in order."""
    from pyarrow import compute

    for batch in dataset.select_columns([*_VALUES, *_LISTS]).with_format("arrow").iter(_BATCH):
        for name in _VALUES:
            yield repr(batch[name].to_pylist())
        for name in _LISTS:
            yield repr(compute.list_value_length(batch[name]).to_pylist())
            yield repr(compute.list_flatten(batch[name]).to_pylist())


def listing_parts(records: Iterable[Record]) -> Iterator[str]:
    """What a listing of files tells of a corpus: ids, speakers, and sizes of audio and alignments, in order."""
    for record in records:
        sizes = [_size(record.audio), _size(record.alignment)]
        yield repr((record.id, record.speaker, record.gender, *sizes, record.table_row))


def _size(source: str | None) -> int | None:
    """Bytes of a file; of a member of an archive, those of the archive."""
    return None if source is None else Path(source.partition("::")[0]).stat().st_size
