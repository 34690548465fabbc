"""Where a corpus given by name, folder or Hub id is found."""

from __future__ import annotations

import re
from pathlib import Path

from sat_probe.configs import available_configs
from sat_probe.errors import CorpusError
from sat_probe.phones.corpora.config import DatasetConfig


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
        raise CorpusError(
            f"{folder}: is a file; name its folder to read all audio in there, or pass a list of files"
        )
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
