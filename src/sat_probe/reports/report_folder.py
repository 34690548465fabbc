"""A report on disk: a folder that is there as a whole or not at all, in a format that says its version.

report.json       format, its version, provenance, the names of the tables
heads.parquet     one row per head, and one parquet file for each further table
example.*         optional: one utterance with its attention maps
figures/ report.html README.md     to look at; not read back
"""

from __future__ import annotations

import json
import math
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sat_probe.errors import ReportError
from sat_probe.reports.leftovers import REPLACED, WRITING, held, hidden_name, sweep

FORMAT = "sat-probe head report"
VERSION = 1
DESCRIPTION = "report.json"
_OWN_FILES = frozenset(
    {DESCRIPTION, "README.md", "report.html", "figures", "example.npz", "example.flac", ".DS_Store"}
)


def check_destination(folder: str | Path) -> Path:
    """The absolute path of a folder that a report may be written to: new, empty, or a report and nothing else.

    Raises:
        ReportError: if something else is there, which is never overwritten, or nothing can be written there.
    """
    target = Path(folder).expanduser().resolve()
    if not target.exists():
        _make_parent(target)
        return target
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
    if names:
        read_description(target)
    return target


def replace_report(folder: str | Path, write: Callable[[Path], None]) -> Path:
    """:func:`replace_folder` for a report, which never takes the place of anything but a report.

    Raises:
        ReportError: if the destination is refused, or the disk is full or read-only.
    """
    check_destination(folder)
    return replace_folder(folder, write)


def replace_folder(folder: str | Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a new folder beside the wanted one, then rename it: whatever fails, nothing half-written stays.

    What a process that was killed in here left behind is swept away.

    Raises:
        ReportError: if the disk is full or read-only.
    """
    target = Path(folder).expanduser().resolve()
    token = uuid.uuid4().hex[:8]
    fresh, replaced = (hidden_name(target, token, role) for role in (WRITING, REPLACED))
    try:
        sweep(target)
        fresh.mkdir()
        with held(fresh):
            write(fresh)
            with held(target):
                if target.exists():
                    target.rename(replaced)
                fresh.rename(target)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ReportError(
            f"{folder}: the report could not be written ({reason}), and nothing of it was left; "
            "make room or choose another folder"
        ) from error
    finally:
        if replaced.exists() and not target.exists():
            replaced.rename(target)
        for leftover in (fresh, replaced):
            shutil.rmtree(leftover, ignore_errors=True)
    return target


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
    if (
        version != VERSION
        or not isinstance(provenance, dict)
        or not isinstance(named, list)
        or "heads" not in named
    ):
        raise ReportError(f"{path}: is damaged; make the report anew")
    return content


def write_table(folder: Path, name: str, table: pd.DataFrame) -> None:
    """Write one table as parquet; made in memory first, so that a full disk is one plain error."""
    (folder / f"{name}.parquet").write_bytes(table.to_parquet(index=False, compression="zstd"))


def read_table(folder: Path, name: str) -> pd.DataFrame:
    """Read one table.

    Raises:
        ReportError: if it is missing or damaged.
    """
    path = folder / f"{name}.parquet"
    try:
        return pd.read_parquet(path)
    except FileNotFoundError as error:
        raise ReportError(
            f"{path}: is missing though {DESCRIPTION} names it; make the report anew"
        ) from error
    except (OSError, ValueError) as error:  # pyarrow's own errors are children of ValueError
        reason = " ".join(str(error).split())[:120]
        raise ReportError(f"{path}: is no readable parquet file ({reason}); make the report anew") from error


def plain(value: Any) -> Any:
    """What JSON can hold: arrays as lists, paths and dates as text, numbers that are not finite as None."""
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
