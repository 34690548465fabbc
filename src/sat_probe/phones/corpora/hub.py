"""Corpora and tables of alignments on the Hugging Face Hub, or in a folder of the same files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sat_probe.errors import CorpusError, HubError
from sat_probe.phones.corpora.config import HubTable
from sat_probe.phones.readers.table import AlignmentTable


def open_table(table: HubTable, split: str | None, streaming: bool) -> Any:
    """Open a dataset on the Hub: a `datasets.Dataset`, or an `IterableDataset` if streaming.

    Args:
        table: the dataset.
        split: one of our splits; by default the table's default split, or its only one.
        streaming: read rows as they come.

    Raises:
        CorpusError: if the split or the configuration has to be named.
        HubError: if the dataset cannot be read.
    """
    from datasets import get_dataset_config_names, get_dataset_split_names, load_dataset

    wanted = split or table.default_split
    try:
        if wanted is None:
            there = get_dataset_split_names(table.repository, table.configuration, revision=table.revision)
            if len(there) != 1:
                raise CorpusError(
                    f"{table.repository}: has the splits {', '.join(there)}; name one with split (--split)"
                )
            wanted = there[0]
        return load_dataset(
            table.repository,
            table.configuration,
            split=table.splits.get(wanted, wanted),
            revision=table.revision,
            streaming=streaming,
        )
    except (ValueError, FileNotFoundError, ConnectionError, OSError) as error:
        if isinstance(error, CorpusError):
            raise
        reason = " ".join(str(error).split())
        if "Config name is missing" in reason:
            there = get_dataset_config_names(table.repository, revision=table.revision)
            raise CorpusError(
                f"{table.repository}: has the configurations {', '.join(there)}; name one with configuration "
                "(--configuration)"
            ) from error
        part = "" if wanted is None else f" (split {wanted!r})"
        where = "" if Path(table.repository).is_dir() else " from the Hub"
        raise HubError(f"{table.repository}: cannot be loaded{where}{part}: {reason}") from error


def load_hub_alignments(table: HubTable, split: str | None) -> AlignmentTable:
    """Load a table of alignments on the Hub; only its id and phone columns are read.

    Raises:
        CorpusError: if the split is missing.
        HubError: if it cannot be read.
        AlignmentError: if it lacks a column.
    """
    from datasets import Dataset

    streamed = open_table(table, split, streaming=True)
    named = (table.columns.get("id", "id"), table.columns.get("phones", "phonemes"))
    streamed = streamed.select_columns([name for name in named if name in streamed.column_names])
    dataset = Dataset.from_generator(
        _forward, features=streamed.features, gen_kwargs={"dataset": streamed, "key": f"{table} {split}"}
    )
    return AlignmentTable(dataset, table.columns, table.repository)


def _forward(dataset: Any, key: str) -> Iterator[Any]:
    yield from dataset


def streamed_state(table: HubTable, split: str | None) -> Iterator[str]:
    """What identifies a streamed dataset without reading it: its commit, or the files of a folder with their sizes."""
    yield f"{Path(table.repository).name} {table.configuration} {split or table.default_split}"
    folder = Path(table.repository)
    if folder.is_dir():
        for file in sorted(folder.rglob("*.parquet")):
            yield f"{file.relative_to(folder).as_posix()} {file.stat().st_size}"
        return
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    yield table.repository
    try:
        yield str(HfApi().dataset_info(table.repository, revision=table.revision).sha)
    except (HfHubHTTPError, OSError):  # the revision that was asked for, where the Hub does not answer
        yield str(table.revision)
