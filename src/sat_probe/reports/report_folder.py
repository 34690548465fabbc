"""The files of a report, and which folders a report may be written to.

report.json       format, its version, provenance, the names of the tables
heads.parquet     one row per head, and one parquet file for each further table
example.*         optional: one utterance with its attention maps
figures/ report.html README.md     to look at; not read back
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sat_probe.errors import ReportError
from sat_probe.reports.provenance import Provenance

FORMAT = "sat-probe head report"
VERSION = 1
DESCRIPTION = "report.json"
KEYS = ("model", "revision")  # columns that tables have only in a repository of many reports
_IDENTITY = ("model", "revision", "weights", "limited_span", "corpus", "corpus_digest", "split")
_OWN_FILES = frozenset({DESCRIPTION, "README.md", "report.html", "figures", "example.npz", "example.flac", ".DS_Store"})


def check_destination(folder: str | Path, new: Provenance | None = None, overwrite: bool = False) -> str | None:
    """Check that a report may be written to a folder: new, empty, or a report of the same model and corpus.

    Args:
        folder: the destination.
        new: provenance of the new report, as far as it is known; None checks only what kind of folder it is.
        overwrite: allow a report of another model or corpus there.

    Returns:
        What is replaced, as a line to show; None if nothing is.

    Raises:
        ReportError: if something else is there, which is never overwritten, or nothing can be written there.
    """
    target = Path(folder).expanduser().resolve()
    if not target.exists():
        _make_parent(target)
        return None
    if not target.is_dir():
        raise ReportError(f"{folder}: is a file, not a folder; choose another folder for the report")
    names = {path.name for path in target.iterdir()}
    if names and DESCRIPTION not in names:
        raise ReportError(f"{folder}: is not empty and no head report; choose another folder for the report")
    foreign = sorted(name for name in names - _OWN_FILES if not name.endswith(".parquet"))
    if foreign:
        raise ReportError(
            f"{folder}: holds {foreign[0]!r} beside the report, which would be lost; move it or choose another folder"
        )
    if not names:
        return None
    known = read_description(target)["provenance"]
    old = Provenance(**{name: known.get(name) for name in _IDENTITY})
    if new is None or overwrite or (_same_model(old, new) and _same_corpus(old, new)):
        return f"replaced the report of {_measured(old)} in {folder}"
    content = ", whose content differs" if _measured(old) == _measured(new) else ""
    raise ReportError(
        f"{folder} holds the report of {_measured(old)}{content}; choose another folder or pass --overwrite "
        "(overwrite=True)"
    )


def _same_model(old: Provenance, new: Provenance) -> bool:
    if old.weights and new.weights:
        return (old.weights, old.limited_span) == (new.weights, new.limited_span)
    return old.model == new.model and (not (old.revision and new.revision) or old.revision == new.revision)


def _same_corpus(old: Provenance, new: Provenance) -> bool:
    if old.split != new.split:
        return False
    if old.corpus_digest and new.corpus_digest:
        return old.corpus_digest == new.corpus_digest
    return old.corpus == new.corpus


def _measured(known: Provenance) -> str:
    """ "MODEL on CORPUS", as messages name a report."""
    corpus = " ".join(part for part in (known.corpus or "an unnamed corpus", known.split) if part)
    return f"{known.model or 'an unnamed model'} on {corpus}"


def write_description(folder: Path, provenance: Mapping[str, Any], tables: list[str]) -> None:
    """Write `report.json`."""
    content = {"format": FORMAT, "version": VERSION, "provenance": plain(provenance), "tables": tables}
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    (folder / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def read_description(folder: Path) -> dict[str, Any]:
    """Read `report.json`: a dict with "provenance" and "tables".

    Raises:
        ReportError: if it is missing, damaged, of something else, or of a newer version of sat-probe.
    """
    path = folder / DESCRIPTION
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except NotADirectoryError as error:
        raise ReportError(f"{folder}: is a file; name the folder of the report") from error
    except FileNotFoundError as error:
        what = "holds no report.json: it is no head report" if folder.is_dir() else "no such folder"
        raise ReportError(f"{folder}: {what}") from error
    except (OSError, ValueError) as error:
        raise ReportError(f"{path}: cannot be read ({error}); make the report anew") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ReportError(f"{path}: is no head report of sat-probe")
    version = content.get("version")
    if isinstance(version, int) and version > VERSION:
        raise ReportError(
            f"{path}: was written by a newer sat-probe (report version {version}, this one reads {VERSION}); "
            "upgrade it: pip install --upgrade sat-probe"
        )
    named, provenance = content.get("tables"), content.get("provenance")
    complete = isinstance(provenance, dict) and isinstance(named, list) and "heads" in named
    if version != VERSION or not complete:
        raise ReportError(f"{path}: is damaged; make the report anew")
    return content


def write_table(folder: Path, name: str, table: pd.DataFrame) -> None:
    """Write one table as parquet. It is made in memory first, so that a full disk is a plain OSError."""
    (folder / f"{name}.parquet").write_bytes(table.to_parquet(index=False, compression="zstd"))


def read_files(folder: Path) -> dict[str, bytes]:
    """The content of every file of a report, by its path in the folder; hidden files are left out."""
    visible = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(visible)}


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """Read one table, without the columns that name the model in a repository of many reports.

    Raises:
        ReportError: if it is missing or damaged.
    """
    path = folder / f"{name}.parquet"
    try:
        table = pd.read_parquet(io.BytesIO(path.read_bytes()))
        return table.drop(columns=[name for name in KEYS if name in table])
    except FileNotFoundError as error:
        raise ReportError(f"{path}: is missing though {DESCRIPTION} names it; make the report anew") from error
    except (OSError, ValueError) as error:  # pyarrow's own errors are children of ValueError
        reason = " ".join(str(error).split())[:120]
        raise ReportError(f"{path}: is no readable parquet file ({reason}); make the report anew") from error


def plain(value: Any) -> Any:
    """The value as JSON can hold it: arrays as lists, paths and dates as text, numbers that are not finite as None."""
    match value:
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case np.ndarray() | list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case np.generic():
            return plain(value.item())
        case float():
            return value if math.isfinite(value) else None
        case None | bool() | int() | str():
            return value
        case _:
            return str(value)


def _make_parent(target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"{target}: cannot be made ({error.strerror}); choose another folder") from error
    if not os.access(target.parent, os.W_OK):
        raise ReportError(f"{target}: cannot be made (no permission to write); choose another folder")
