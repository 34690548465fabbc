"""Opening a corpus: from a folder, the Hub, a dataset in memory or a list of recordings."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from sat_probe.errors import CorpusError
from sat_probe.phones.alignment import Gaps
from sat_probe.phones.corpora.config import (
    DatasetConfig,
    HubTable,
    find_config,
    find_folder,
    is_saved_dataset,
    public_name,
)
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.phones.corpora.hub import load_hub_alignments, open_table, streamed_state
from sat_probe.phones.corpora.layouts import CorpusScan, detect_layout, holds_tables, listing_parts
from sat_probe.phones.corpora.recordings import recording_rows, recordings
from sat_probe.phones.corpora.rows import load_folder_rows
from sat_probe.phones.corpora.table_rows import table_rows
from sat_probe.phones.phone_set import phone_set
from sat_probe.phones.readers.lookup import Lookup, open_alignments
from sat_probe.phones.record import ReadingOptions

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CorpusOptions:
    """The keywords of `load_corpus`."""

    configuration: str | None = None
    data_dir: str | Path | None = None
    split: str | None = None
    limit: int | None = None
    alignments: str | Path | None = None
    streaming: bool = False
    phone_set: str | None = None
    tier: str | None = None
    gaps: Gaps | None = None
    sampling_rate: int | None = None
    drop_sa: bool = False
    num_proc: int | None = None

    def reading(self, config: DatasetConfig | None = None, default: str = "arpabet-39") -> ReadingOptions:
        """How labels are read: as asked for, else as the configuration says, else by default."""
        other = config or self
        chosen = self.phone_set or other.phone_set or default
        return ReadingOptions(chosen, self.gaps or other.gaps, self.tier or other.tier or "phones")

    def refuse(self, what: str, *names: str) -> None:
        """Raise a CorpusError if one of these keywords is given: it does not apply to ``what``."""
        for one in fields(self):
            if one.name in names and getattr(self, one.name) != one.default:
                raise CorpusError(f"{one.name} does not apply to {what}; leave it out")


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
    corpus, promised = _opened(source, options)
    without = corpus.missing_alignments or 0
    if without > 0 and (promised or without < len(corpus)):
        logger.warning("%s", corpus.warnings[0])
    return corpus


def _opened(source: Any, options: CorpusOptions) -> tuple[Corpus, bool]:
    """What `load_corpus` takes, except a `Corpus`, and whether its alignments were asked for; errors as there."""
    if options.limit is not None and options.limit < 1:
        raise CorpusError(f"a limit of {options.limit} leaves no utterance")
    if not isinstance(source, str | Path):
        options.refuse("a corpus in memory", "configuration", "data_dir", "drop_sa")
        return _of_dataset(source, options) if _is_dataset(source) else _of_recordings(source, options)
    options.refuse("a corpus given by name or folder", "sampling_rate")
    name = str(source)
    config = find_config(name)
    folder = find_folder(name, options.data_dir, config)
    shown = public_name(name, folder, config)
    if folder is not None and config is None:
        if is_saved_dataset(folder):
            from datasets import load_from_disk

            corpus, promised = _of_dataset(load_from_disk(str(folder)), options)
            return replace(corpus, name=shown), promised
        if holds_tables(folder):
            return _of_hub(shown, HubTable(str(folder)), None, options)
    if folder is None:
        table = config.hub if config is not None and config.hub is not None else HubTable(name)
        return _of_hub(shown, table, config, options)
    options.refuse("a corpus on disk", "configuration")
    return _of_folder(shown, folder, config, options)


def _of_folder(name: str, folder: Path, config: DatasetConfig | None, options: CorpusOptions) -> tuple[Corpus, bool]:
    lookup = _lookup(name, None if config is None else config.alignments, options)
    layout = detect_layout(folder) if config is None else config.layout
    part = options.split if config is None else config.splits.get(options.split or "", options.split)
    scan = CorpusScan(layout, folder, part, options.drop_sa, options.limit, lookup)
    first = next(iter(scan), None)
    if first is None:
        raise CorpusError(f"{folder}: holds no audio (WAV, FLAC, OGG, OPUS, MP3 or SPHERE)")
    reading = options.reading(config, _usual_set(first.alignment))
    rows = load_folder_rows(scan, reading, options.streaming, options.num_proc)
    phones, state = phone_set(reading.phone_set), partial(listing_parts, scan)
    promised = lookup is not None or (config is not None and layout == "timit")
    return Corpus(name, options.split, rows, phones, folder, state), promised


def _of_hub(name: str, table: HubTable, config: DatasetConfig | None, options: CorpusOptions) -> tuple[Corpus, bool]:
    table = replace(table, configuration=options.configuration or table.configuration)
    dataset = open_table(table, options.split, options.streaming)
    state = partial(streamed_state, table, options.split)
    split = options.split or table.default_split
    return _of_table(name, split, dataset, table, state, options, config)


def _of_table(
    name: str,
    split: str | None,
    dataset: Any,
    table: HubTable,
    state: Callable[[], Iterable[str]],
    options: CorpusOptions,
    config: DatasetConfig | None = None,
) -> tuple[Corpus, bool]:
    lookup = _lookup(name, None if config is None else config.alignments, options, on_hub=True)
    reading = options.reading(config)
    rows = table_rows(
        dataset,
        table.repository,
        reading,
        table.columns,
        lookup,
        sampling_rate=options.sampling_rate,
        limit=options.limit,
        num_proc=options.num_proc,
    )
    phones, limited = phone_set(reading.phone_set), lambda: [*state(), f"limit {options.limit}"]
    return Corpus(name, split, rows, phones, state=limited), lookup is not None


def _of_dataset(source: Any, options: CorpusOptions) -> tuple[Corpus, bool]:
    split = options.split
    if isinstance(source, dict):
        if split is None and len(source) == 1:
            (split,) = source
        if split not in source:
            there = ", ".join(map(str, source)) or "none"
            raise CorpusError(f"a DatasetDict with the splits {there}; name one with split (--split)")
        source = source[split]
    elif split is not None:
        raise CorpusError(f"split {split!r} does not apply to a Dataset, which is one split; pass a DatasetDict")
    if options.streaming and hasattr(source, "to_iterable_dataset"):
        source = source.to_iterable_dataset()
    elif hasattr(source, "__len__") and not len(source):
        raise CorpusError("the dataset has no rows; give at least one")
    name = source.info.dataset_name or "dataset"
    found = str(source.split) if split is None and source.split is not None else split
    about = (name, source.info.config_name, source.info.version, source.split, source.column_names)
    return _of_table(name, found, source, HubTable(name), lambda: [repr(tuple(map(str, about)))], options)


def _of_recordings(source: Any, options: CorpusOptions) -> tuple[Corpus, bool]:
    options.refuse("a list of recordings", "split")
    found = recordings(source, options.sampling_rate, options.limit)
    lookup = _lookup("recordings", None, options)
    reading = options.reading(default=_usual_set(found[0].record.alignment))
    dataset = recording_rows(found, reading, lookup)
    return Corpus("recordings", None, dataset, phone_set(reading.phone_set)), lookup is not None


def _is_dataset(source: Any) -> bool:
    """Whether a value is of `datasets`, which whoever has one has imported."""
    datasets: Any = sys.modules.get("datasets")
    kinds = ("Dataset", "IterableDataset", "DatasetDict", "IterableDatasetDict")
    return datasets is not None and isinstance(source, tuple(getattr(datasets, kind) for kind in kinds))


def _usual_set(alignment: str | None) -> str:
    return "timit-39" if (alignment or "").lower().endswith(".phn") else "arpabet-39"


def _lookup(name: str, published: HubTable | None, options: CorpusOptions, on_hub: bool = False) -> Lookup | None:
    """The alignments that were asked for; for a corpus on the Hub, by default those its configuration names."""
    place = options.alignments
    if place is None and not (on_hub and published):
        return None
    if place is None or str(place) == "hub":
        if published is None:
            raise CorpusError(f"{name}: its configuration names no table of alignments on the Hub")
        return load_hub_alignments(published, options.split)
    return open_alignments(place)
