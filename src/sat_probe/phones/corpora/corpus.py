"""Corpora: utterances with their alignments, on `datasets`, map-style or streaming."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from sat_probe.errors import CorpusError
from sat_probe.phones.corpora.rows import ROW_COLUMNS, Utterance, row_parts, utterance_from
from sat_probe.phones.phone_set import PhoneSet

logger = logging.getLogger(__name__)


@dataclass(eq=False, repr=False)
class Corpus:
    """Utterances in a fixed order; iterating reads them one by one. `load_corpus` makes one.

    Args:
        name: name in reports: of the corpus, of its folder or on the Hub; never a path of one machine.
        split: which part, None for all of it.
        dataset: a `datasets.Dataset` or `datasets.IterableDataset` with the columns of `rows.row_features`.
        phone_set: the set its labels fold into.
        folder: where it is on disk, if it is.
        state: what identifies a streamed corpus without reading it.

    Attributes:
        missing_alignments: utterances without alignment: of the whole corpus, or, when streaming, of the last complete
            pass (None before one).
        first_missing: the id of the first of them.

    Raises:
        CorpusError: if the dataset has other columns.
    """

    name: str
    split: str | None
    dataset: Any
    phone_set: PhoneSet
    folder: Path | None = None
    state: Callable[[], Iterable[str]] = tuple
    missing_alignments: int | None = field(default=None, init=False)
    first_missing: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        there = self.dataset.column_names
        if there is not None and not set(ROW_COLUMNS) <= set(there):
            raise CorpusError(
                f"{self.name}: a Corpus has the columns {', '.join(ROW_COLUMNS)}; load_corpus(dataset) makes one of "
                f"any dataset with audio, this one has {', '.join(there)}"
            )
        if not self.is_streaming:
            rows = self.dataset
            aligned = rows.with_format("numpy", columns=["aligned"])["aligned"][:] if len(rows) else []
            positions = [i for i, there in enumerate(aligned) if not there]
            self.missing_alignments = len(positions)
            self.first_missing = rows[positions[0]]["id"] if positions else None

    @property
    def is_streaming(self) -> bool:
        """Whether utterances are read as they come, without a length."""
        return not hasattr(self.dataset, "__len__")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content, hexadecimal: ids, speakers, sizes of audio, alignments, phone set and split.

        The same on every machine. No audio is decoded. Of a streamed folder the listing counts, of a streamed dataset
        on the Hub its name, configuration and commit, of a streamed dataset in memory its description.
        """
        content = self.state() if self.is_streaming else row_parts(self.dataset)
        digest = hashlib.sha256()
        for part in (repr((self.split, self.phone_set.name, self.is_streaming)), *content):
            digest.update(part.encode() + b"\n")
        return digest.hexdigest()

    @property
    def warnings(self) -> list[str]:
        """Warnings for a report about this corpus: the number of utterances without alignment."""
        if not self.missing_alignments:
            return []
        total = f" of {len(self)}" if not self.is_streaming else ""
        have = "has" if self.missing_alignments == 1 else "have"
        utterances = "utterance" if self.missing_alignments == 1 and not total else "utterances"
        return [
            f"{self.missing_alignments}{total} {utterances} of {self.name} {have} no alignment "
            f"(the first: {self.first_missing}); relation maps and boundary scores leave them out"
        ]

    def __iter__(self) -> Iterator[Utterance]:
        seen, missing, first = 0, 0, None
        for row in self.dataset:
            seen += 1
            if not row["aligned"]:
                missing, first = missing + 1, first or row["id"]
            yield utterance_from(row)
        if self.is_streaming:
            self.missing_alignments, self.first_missing = missing, first
            if 0 < missing < seen:
                logger.warning("%s", self.warnings[0])

    def __len__(self) -> int:
        if self.is_streaming:
            raise TypeError(f"{self.name} is streamed, its length is not known before the end")
        return len(self.dataset)

    def __getitem__(self, index: int) -> Utterance:
        if self.is_streaming:
            raise TypeError(f"{self.name} is streamed, iterate over it instead of indexing")
        return utterance_from(self.dataset[index])

    def __repr__(self) -> str:
        size = (
            "streaming" if self.is_streaming else f"{len(self)} utterances, {self.missing_alignments} without alignment"
        )
        split = f", split={self.split!r}" if self.split else ""
        return f"Corpus({self.name!r}{split}, {size}, phone_set={self.phone_set.name!r})"

    def limit(self, count: int) -> Corpus:
        """The first ``count`` utterances."""
        if self.is_streaming:
            return self._with(self.dataset.take(count), f"limit {count}")
        return self._with(self.dataset.select(range(min(count, len(self)))))

    def shard(self, index: int, count: int) -> Corpus:
        """Every ``count``-th utterance, from the ``index``-th on: the shards 0 .. count-1 hold each utterance once."""
        if not 0 <= index < count:
            raise CorpusError(f"shard {index} of {count} does not exist; the first is 0, the last {count - 1}")
        if self.is_streaming:
            kept = self.dataset.filter(lambda _, i: i % count == index, with_indices=True)
            return self._with(kept, f"shard {index} of {count}")
        return self._with(self.dataset.select(range(index, len(self), count)))

    def _with(self, dataset: Any, step: str = "") -> Corpus:
        return Corpus(self.name, self.split, dataset, self.phone_set, self.folder, lambda: [*self.state(), step])
