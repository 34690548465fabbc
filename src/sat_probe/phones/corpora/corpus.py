"""Corpora: utterances with their alignments, on `datasets`, map-style or streaming."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sat_probe.configs import available_configs
from sat_probe.errors import CorpusError
from sat_probe.phones.alignment import Gaps
from sat_probe.phones.corpora.config import DatasetConfig, HubTable, find_config
from sat_probe.phones.corpora.hub import load_hub_alignments, load_hub_rows
from sat_probe.phones.corpora.layouts import CorpusScan, detect_layout, holds_tables
from sat_probe.phones.corpora.rows import Utterance, load_folder_rows, utterance_from
from sat_probe.phones.phone_set import PhoneSet
from sat_probe.phones.phone_set import phone_set as find_phone_set
from sat_probe.phones.readers.lookup import AlignmentLookup, open_alignments
from sat_probe.phones.readers.table import AlignmentTable

logger = logging.getLogger(__name__)


class Corpus:
    """Utterances in a fixed order; iterating reads them one by one.

    Args:
        name: how reports call it.
        split: which part, None for all of it.
        dataset: a `datasets.Dataset` or `datasets.IterableDataset` with the columns of `corpus_rows.row_features`.
        phone_set: the set its labels fold into.
        folder: where it lies on disk, if it does.

    Attributes:
        missing_alignments: utterances without alignment: of the whole corpus, or, when streaming, of the last complete
            pass (None before one).
        first_missing: the id of the first of them.
    """

    def __init__(
        self, name: str, split: str | None, dataset: Any, phone_set: PhoneSet, folder: Path | None = None
    ) -> None:
        self.name = name
        self.split = split
        self.dataset = dataset
        self.phone_set = phone_set
        self.folder = folder
        self.missing_alignments: int | None = None
        self.first_missing: str | None = None
        if not self.is_streaming:
            aligned = dataset.with_format("numpy", columns=["aligned"])["aligned"][:] if len(dataset) else []
            positions = [i for i, there in enumerate(aligned) if not there]
            self.missing_alignments = len(positions)
            self.first_missing = dataset[positions[0]]["id"] if positions else None

    @property
    def is_streaming(self) -> bool:
        """Whether utterances are read as they come, without a length."""
        return not hasattr(self.dataset, "__len__")

    @property
    def warnings(self) -> list[str]:
        """What a report should say about this corpus: utterances without alignment, counted."""
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
            return self._with(self.dataset.take(count))
        return self._with(self.dataset.select(range(min(count, len(self)))))

    def shard(self, index: int, count: int) -> Corpus:
        """Every ``count``-th utterance, from the ``index``-th on: the shards 0 .. count-1 hold each utterance once."""
        if not 0 <= index < count:
            raise CorpusError(
                f"shard {index} of {count} does not exist; the first is 0, the last {count - 1}"
            )
        if self.is_streaming:
            return self._with(self.dataset.filter(lambda _, i: i % count == index, with_indices=True))
        return self._with(self.dataset.select(range(index, len(self), count)))

    def _with(self, dataset: Any) -> Corpus:
        return Corpus(self.name, self.split, dataset, self.phone_set, self.folder)


def load_corpus(
    name_or_folder: str | Path,
    *,
    data_dir: str | Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    alignments: str | Path | None = None,
    streaming: bool = False,
    phone_set: str | None = None,
    gaps: Gaps | None = None,
    drop_sa: bool = False,
    num_proc: int | None = None,
) -> Corpus:
    """Load a corpus: a named one, any folder of audio, or a dataset on the Hub.

    Args:
        name_or_folder: a name ("bundled", "timit", "librispeech", "speechocean762", ...: the files of
            `hub_configs/datasets/`), a YAML file like them, a folder of audio or of parquet tables that hold it, or the
            id of a dataset on the Hub ("owner/name").
        data_dir: where a named corpus lies on disk; the Hub by default, where its licence allows it.
        split: which part; all of a folder, the default split on the Hub.
        limit: at most this many utterances.
        alignments: a folder or .zip of TextGrids or .phn files, a .ctm file, a .parquet table, or "hub" for the table
            that the configuration names. By default the files beside the audio; for a corpus on the Hub, "hub".
        streaming: read utterances as they come and hold none, at the price of len() and indexing.
        phone_set: the set that labels fold into; the configuration's, else timit-39 for .phn files and arpabet-39.
        gaps: what unlabelled time between two segments means: "refuse", "unlabelled" or "silence". By default refused
            in files, and silence in tables, which leave silence out.
        drop_sa: leave out TIMIT's SA sentences, which every speaker reads.
        num_proc: processes that read alignments.

    Raises:
        CorpusError: if there is no such corpus, split or file, or it holds no audio.
        AlignmentError: if an alignment is malformed, does not fit its audio, or has labels the phone set does not know.
        ConfigurationError: if a configuration is malformed or the phone set unknown.
        HubError: if the Hub cannot be read.
    """
    if limit is not None and limit < 1:
        raise CorpusError(f"a limit of {limit} leaves no utterance")
    name = str(name_or_folder)
    config = find_config(name)
    folder = _folder(name, data_dir, config)
    tables = None
    if folder is not None and config is None and holds_tables(folder):
        folder, tables = None, str(folder)
    chosen = phone_set or (config.phone_set if config else None)
    between = gaps or (config.gaps if config else None)
    lookup = _lookup(name, config, alignments, split, on_hub=folder is None)
    if folder is None:
        if isinstance(lookup, AlignmentLookup):
            raise CorpusError(
                f"{name}: a corpus on the Hub is joined with a table of alignments, not with {alignments}"
            )
        table = config.hub if config and config.hub else HubTable(tables or name)
        chosen = chosen or "arpabet-39"
        dataset = load_hub_rows(table, split, lookup, chosen, between, streaming, limit, num_proc)
        return _reported(
            Corpus(name, split or table.default_split, dataset, find_phone_set(chosen)), lookup is not None
        )
    layout = config.layout if config else detect_layout(folder)
    scan = CorpusScan(layout, folder, config.folder_of(split) if config else split, drop_sa, limit, lookup)
    first = next(iter(scan), None)
    if first is None:
        raise CorpusError(f"{folder}: holds no audio (WAV, FLAC, OGG, OPUS, MP3 or SPHERE)")
    chosen = chosen or ("timit-39" if (first.alignment or "").lower().endswith(".phn") else "arpabet-39")
    dataset = load_folder_rows(scan, chosen, between, streaming, num_proc)
    promised = lookup is not None or (config is not None and layout == "timit")
    return _reported(Corpus(name, split, dataset, find_phone_set(chosen), folder), promised)


def _reported(corpus: Corpus, promised: bool) -> Corpus:
    """Log that some utterances lack an alignment, or all of a corpus that promised them."""
    if not corpus.is_streaming and 0 < (corpus.missing_alignments or 0) < len(corpus) + promised:
        logger.warning("%s", corpus.warnings[0])
    return corpus


def _folder(name: str, data_dir: str | Path | None, config: DatasetConfig | None) -> Path | None:
    """Where the corpus lies on disk, None for the Hub."""
    if config is not None and config.packaged is not None:
        return Path(__file__).resolve().parents[2] / config.packaged
    if data_dir is None and config is not None:
        if config.hub is None:
            raise CorpusError(
                f"{name}: cannot be downloaded ({config.license}); get it from {config.homepage} "
                "and name its folder with data_dir (--data-dir)"
            )
        return None
    named = Path(name).expanduser()
    if data_dir is not None and config is None and named.is_dir():
        raise CorpusError(
            f"{name} is a folder, and data_dir (--data-dir) names another, {data_dir}; it is for a corpus given by name"
        )
    folder = Path(data_dir or name).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise CorpusError(f"{folder}: is a file; name the folder it lies in, all audio in there is read")
    if data_dir is None and re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return None
    known = ", ".join(available_configs("datasets"))
    raise CorpusError(f"{folder}: no such folder; named corpora: {known}, or owner/name for one on the Hub")


def _lookup(
    name: str, config: DatasetConfig | None, place: str | Path | None, split: str | None, on_hub: bool
) -> AlignmentLookup | AlignmentTable | None:
    published = config.alignments if config else None
    if place is None and not (on_hub and published):
        return None
    if place is None or str(place) == "hub":
        if published is None:
            raise CorpusError(f"{name}: its configuration names no table of alignments on the Hub")
        return load_hub_alignments(published, split)
    return open_alignments(place)
