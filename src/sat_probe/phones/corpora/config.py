"""Configurations of named corpora, the files of `hub_configs/datasets/`, and where a corpus is found."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from sat_probe.configs import available_configs, load_config
from sat_probe.errors import CorpusError
from sat_probe.phones.alignment import Gaps
from sat_probe.phones.corpora.layouts import Layout
from sat_probe.phones.phone_set import phone_set


@dataclass(frozen=True, slots=True)
class HubTable:
    """A dataset on the Hugging Face Hub.

    Args:
        repository: "organisation/name", or a local folder of the same files.
        configuration: its subset; the only one by default.
        revision: commit, branch or tag.
        splits: our split -> the repository's; a split not listed has the same name in both.
        columns: our column ("id", "audio", "text", "speaker", "gender", "phones", "phone") -> the repository's.
        default_split: the split to load by default.
    """

    repository: str
    configuration: str | None = None
    revision: str | None = None
    splits: dict[str, str] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    default_split: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetConfig:
    """One named corpus.

    Args:
        description: one line.
        license: of the corpus.
        homepage: where to get it.
        phone_set: the set its labels fold into.
        layout: its layout on disk.
        packaged: its folder below the installed package, for a corpus that is part of it.
        splits: split -> folder below the corpus; a split not named is the folder of that name.
        gaps: what unlabelled time between two segments means; the default of the format for None.
        tier: TextGrid tier that holds the phones.
        hub: where to stream or download it from, if it may be.
        alignments: a table on the Hub that has its alignments.
    """

    description: str
    license: str
    homepage: str
    phone_set: str
    layout: Layout
    packaged: str | None = None
    splits: dict[str, str] = field(default_factory=dict)
    gaps: Gaps | None = None
    tier: str | None = None
    hub: HubTable | None = None
    alignments: HubTable | None = None

    def __post_init__(self) -> None:
        phone_set(self.phone_set)


def find_config(name: str) -> DatasetConfig | None:
    """The configuration of a named corpus, or in a YAML file of the user; None for any other name.

    Raises:
        ConfigurationError: if the file does not fit the schema.
    """
    if name in available_configs("datasets") or name.endswith((".yaml", ".yml")):
        return load_config("datasets", name, DatasetConfig)
    return None


def find_folder(name: str, data_dir: str | Path | None, config: DatasetConfig | None) -> Path | None:
    """The folder of a corpus on disk, None for the Hub.

    Args:
        name: of the corpus, a folder, or an id on the Hub.
        data_dir: where a named corpus is on disk.
        config: of a named corpus.

    Raises:
        CorpusError: if there is no such folder, or a named corpus must be on disk and ``data_dir`` is not given.
    """
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
        raise CorpusError(f"{folder}: is a file; name its folder to read all audio in there, or pass a list of files")
    if data_dir is None and re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return None
    known = ", ".join(available_configs("datasets"))
    raise CorpusError(f"{folder}: no such folder; named corpora: {known}, or owner/name for one on the Hub")


def is_saved_dataset(folder: Path) -> bool:
    """Whether `save_to_disk` of `datasets` wrote a folder."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def public_name(name: str, folder: Path | None, config: DatasetConfig | None) -> str:
    """The name of a corpus in reports, without its path on this machine."""
    if config is not None:
        return Path(name).stem if name.endswith((".yaml", ".yml")) else name
    return name if folder is None else folder.resolve().name
