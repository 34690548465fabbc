"""Files and folders that are written as a whole or not at all."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sat_probe.errors import ReportError

try:
    import fcntl
except ImportError:  # Windows: nothing tells a folder in use from one that a killed process left behind
    fcntl = None  # type: ignore[assignment]

WRITING, REPLACED = "writing", "replaced"


def write_atomically(path: str | Path, content: bytes) -> None:
    """Write a file next to its destination, then rename it: readers see the old content or the new one."""
    path = Path(path)
    fresh = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.{WRITING}")
    try:
        fresh.write_bytes(content)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def replace_folder(folder: str | Path, write: Callable[[Path], None]) -> Path:
    """Let `write` fill a new folder next to the destination, then rename it to the destination.

    If anything fails, the earlier folder stays and nothing half-written remains. Also removes what a killed process
    left behind.

    Raises:
        ReportError: if the disk is full or read-only.
    """
    target = Path(folder).expanduser().resolve()
    token = uuid.uuid4().hex[:8]
    fresh, replaced = (target.with_name(f".{target.name}.{token}.{role}") for role in (WRITING, REPLACED))
    try:
        remove_abandoned(target)
        fresh.mkdir()
        with locked(fresh):
            write(fresh)
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
        for unneeded in (fresh, replaced):
            shutil.rmtree(unneeded, ignore_errors=True)
    return target


def remove_abandoned(target: Path) -> None:
    """Remove hidden folders of killed processes next to `target`; put an earlier folder back if none replaced it.

    A process locks its new folder while it works. The lock ends with the process, however that ends.
    """
    pattern = re.compile(rf"(\.{re.escape(target.name)}\.[0-9a-f]+)\.({WRITING}|{REPLACED})")
    for path in list(target.parent.iterdir()):
        found = pattern.fullmatch(path.name)
        if fcntl is None or found is None:
            continue
        with locked(path.with_name(f"{found[1]}.{WRITING}")) as free:
            if not free:
                continue
            if found[2] == REPLACED and not target.exists():
                path.rename(target)
            else:
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Lock a folder inside the block; the value is False if another process holds it. A missing folder is free."""
    handle = None
    try:
        if fcntl is not None and folder.exists():
            handle = os.open(folder, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = True
    except OSError:
        free = False
    try:
        yield free
    finally:
        if handle is not None:
            os.close(handle)
