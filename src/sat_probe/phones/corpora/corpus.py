"""Corpora: utterances with their alignments, on `datasets`, map-style or streaming."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from sat_probe.errors import CorpusError
from sat_probe.phones.alignment import Gaps
from sat_probe.phones.corpora.opening import CorpusOptions, open_corpus
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
            "streaming"
            if self.is_streaming
            else f"{len(self)} utterances, {self.missing_alignments} without alignment"
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
            raise CorpusError(
                f"shard {index} of {count} does not exist; the first is 0, the last {count - 1}"
            )
        if self.is_streaming:
            kept = self.dataset.filter(lambda _, i: i % count == index, with_indices=True)
            return self._with(kept, f"shard {index} of {count}")
        return self._with(self.dataset.select(range(index, len(self), count)))

    def _with(self, dataset: Any, step: str = "") -> Corpus:
        return Corpus(
            self.name, self.split, dataset, self.phone_set, self.folder, lambda: [*self.state(), step]
        )


def load_corpus(
    source: Any,
    *,
    configuration: str | None = None,
    data_dir: str | Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    alignments: str | Path | None = None,
    streaming: bool = False,
    phone_set: str | None = None,
    tier: str | None = None,
    gaps: Gaps | None = None,
    sampling_rate: int | None = None,
    drop_sa: bool = False,
    num_proc: int | None = None,
) -> Corpus:
    """Load a corpus: a named one, a folder of audio, a dataset on the Hub, or what is in memory.

    Args:
        source: one of

            - a name ("bundled", "timit", "librispeech", "speechocean762", ...: the files of `hub_configs/datasets/`),
              or a YAML file like them;
            - a folder of audio, of parquet tables that hold it, or one written by `Dataset.save_to_disk`;
            - the id of a dataset on the Hub ("owner/name");
            - a `datasets.Dataset`, `IterableDataset` or `DatasetDict` with an audio column, and optionally columns
              for id, speaker, gender, text and phones (``{"phoneme", "start", "end"}`` in seconds);
            - a list of recordings: paths, arrays with ``sampling_rate=``, ``(array, rate)``,
              ``{"array": ..., "sampling_rate": ...}``, or pairs ``(audio, alignment)`` with an `Alignment`, the path
              of a TextGrid, .phn or .ctm file, or a list of ``(start, end, label)`` in seconds. Arrays hold floats in
              -1 .. 1 or int16; channels are averaged;
            - a `Corpus`.
        configuration: of a dataset on the Hub that has several.
        data_dir: where a named corpus is on disk; by default it comes from the Hub, if its licence allows it.
        split: which part; all of a folder, the default split on the Hub.
        limit: at most this many utterances.
        alignments: a folder or .zip of TextGrids or .phn files, a .ctm file, a .parquet table, or "hub" for the table
            that the configuration names. By default the files next to the audio; for a corpus on the Hub, "hub".
        streaming: read utterances as they come and hold none in memory, without len() and indexing; no effect on
            recordings in memory.
        phone_set: the set that labels fold into; the configuration's, else timit-39 for .phn files and arpabet-39.
        tier: TextGrid tier that holds the phones; "phones" by default.
        gaps: what unlabelled time between two segments means: "refuse", "unlabelled" or "silence". By default refused
            in files and lists of segments, and silence in tables, which leave silence out.
        sampling_rate: of arrays that come without one (Hz).
        drop_sa: leave out TIMIT's SA sentences, which every speaker reads.
        num_proc: processes that read alignments.

    Raises:
        CorpusError: if there is no such corpus, split or file, or it holds no audio.
        AudioError: if an array in memory cannot be used as audio.
        AlignmentError: if an alignment is malformed, does not fit its audio, or has labels the phone set does not know.
        ConfigurationError: if a configuration is malformed or the phone set unknown.
        HubError: if the Hub cannot be read.
        TypeError: if the source is none of these.

    Examples:
        >>> import numpy as np
        >>> from sat_probe import load_corpus
        >>> tone = np.sin(0.1 * np.arange(8000)).astype("float32")
        >>> corpus = load_corpus([(tone, [(0.0, 0.5, "AA1")])], sampling_rate=16_000)
        >>> corpus[0].alignment.labels
        ('AA1',)
    """
    options = CorpusOptions(
        configuration, data_dir, split, limit, alignments, streaming, phone_set, tier, gaps, sampling_rate, drop_sa,
        num_proc,
    )  # fmt: skip
    if isinstance(source, Corpus):
        options.refuse("a Corpus", *({one.name for one in fields(options)} - {"limit"}))
        return source if limit is None else source.limit(limit)
    opened = open_corpus(source, options)
    corpus = Corpus(opened.name, opened.split, opened.dataset, opened.phone_set, opened.folder, opened.state)
    without = corpus.missing_alignments or 0
    if without > 0 and (opened.promised or without < len(corpus)):
        logger.warning("%s", corpus.warnings[0])
    return corpus
