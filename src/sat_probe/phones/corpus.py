"""Corpora: utterances with their alignments, on `datasets`, map-style or streaming."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from sat_probe.errors import CorpusError, SatProbeError

from .alignment import Gaps
from .corpus_layouts import Record, detect_layout, scan
from .corpus_rows import Utterance, folder_rows, row_features, utterance_from
from .phone_set import PhoneSet, phone_set


class Corpus:
    """Utterances in a fixed order; iterating reads them one by one.

    Args:
        name: how reports call it.
        split: which part, None for all of it.
        dataset: a `datasets.Dataset` or `datasets.IterableDataset` with the columns of `corpus_rows.row_features`.
        phone_set: the set its labels fold into.

    Attributes:
        missing_alignments: utterances without alignment: of the whole corpus, or, when streaming, of the last complete pass
            (None before one).
    """

    def __init__(self, name: str, split: str | None, dataset: Any, phone_set: PhoneSet) -> None:
        self.name = name
        self.split = split
        self.dataset = dataset
        self.phone_set = phone_set
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
        return [
            f"{self.missing_alignments}{total} utterances of {self.name} have no alignment (the first: {self.first_missing}); "
            "relation maps and boundary scores leave them out"
        ]

    def __iter__(self) -> Iterator[Utterance]:
        missing, first = 0, None
        for row in self.dataset:
            if not row["aligned"]:
                missing, first = missing + 1, first or row["id"]
            yield utterance_from(row)
        self.missing_alignments, self.first_missing = missing, first

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
        return Corpus(self.name, self.split, dataset, self.phone_set)


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
    """Load a corpus by name, or any folder of audio.

    Args:
        name_or_folder: a folder of audio, or the name of a dataset configuration ("timit", "bundled", ...).
        data_dir: where a named corpus lies.
        split: which part; the configuration's own default, or everything.
        limit: at most this many utterances.
        alignments: where alignments are; beside the audio by default.
        streaming: read utterances as they come, holding nothing.
        phone_set: name of the set that labels fold into.
        gaps: what unlabelled time between two segments means: "refuse", "unlabelled" or "silence".
        drop_sa: leave out TIMIT's SA sentences, which every speaker reads.
        num_proc: processes that read alignments.

    Raises:
        CorpusError: if there is no such corpus, split or file, or it holds no audio.
        AlignmentError: if an alignment is malformed, does not fit its audio, or has labels the phone set does not know.
    """
    folder = Path(data_dir or name_or_folder)
    if str(name_or_folder) == "bundled":
        folder = Path(__file__).resolve().parents[1] / "data" / "speech"
    if not folder.is_dir():
        raise CorpusError(f"{name_or_folder}: no such folder, and no dataset is called so")
    layout = detect_layout(folder)
    records = list(islice(scan(layout, folder, split, drop_sa), limit))
    if not records:
        raise CorpusError(f"{folder}: holds no audio (WAV, FLAC, OGG, OPUS, MP3 or SPHERE)")
    chosen = _phone_set(phone_set, layout, records)
    dataset = build_dataset(records, chosen, gaps or "refuse", streaming, num_proc)
    return Corpus(str(name_or_folder), split, dataset, chosen)


def _phone_set(name: str | None, layout: str, records: list[Record]) -> PhoneSet:
    hand_labelled = layout == "timit" or any(
        (record.alignment or "").lower().endswith(".phn") for record in records
    )
    return phone_set(name or ("timit-39" if hand_labelled else "arpabet-39"))


def build_dataset(
    records: list[Record], chosen: PhoneSet, gaps: Gaps, streaming: bool, num_proc: int | None
) -> Any:
    """A `datasets` dataset of records; map-style ones are cached by it, under a key that changes with the files."""
    from datasets import Audio, Dataset, IterableDataset
    from datasets.exceptions import DatasetGenerationError

    arguments: dict[str, Any] = {
        "records": records,
        "source": None,
        "phone_set_name": chosen.name,
        "gaps": gaps,
    }
    if streaming:
        return IterableDataset.from_generator(folder_rows, features=row_features(), gen_kwargs=arguments)
    arguments["stamp"] = _stamp(records)
    try:
        dataset = Dataset.from_generator(
            folder_rows, features=row_features(), gen_kwargs=arguments, num_proc=num_proc
        )
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, SatProbeError):
            raise error.__cause__ from None
        raise
    return dataset.cast_column("audio", Audio(decode=False))


def _stamp(records: list[Record]) -> str:
    """Changes when a file of the corpus is written anew."""
    digest = hashlib.sha256()
    for record in records:
        for path in filter(None, (record.audio, record.alignment)):
            state = Path(path).stat()
            digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()
