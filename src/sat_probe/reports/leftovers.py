"""What a killed process leaves beside the folder it was replacing, told apart from what a living one still needs.

A process that replaces a folder holds a lock on the new one and on the old one, which it moves aside. Locks end with
their process, however it ends: what nobody holds is a leftover.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: nothing tells the two apart, so nothing is swept
    fcntl = None  # type: ignore[assignment]

WRITING, REPLACED = "writing", "replaced"


def hidden_name(target: Path, token: str, role: str) -> Path:
    """Where a folder lies that is to take the place of ``target`` (``writing``), or gave it up (``replaced``)."""
    return target.with_name(f".{target.name}.{token}.{role}")


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Tell other processes that this one needs a folder, whatever its name, until the block is left."""
    handle = _lock(folder)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def sweep(target: Path) -> None:
    """Remove what killed processes left beside ``target``; an older folder that was moved aside comes back if none took
    its place.
    """
    pattern = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]+\.({WRITING}|{REPLACED})")
    for path in list(target.parent.iterdir()):
        found = pattern.fullmatch(path.name)
        if found is None or (handle := _lock(path)) is None:
            continue
        try:
            if found[1] == REPLACED and not target.exists():
                path.rename(target)
            else:
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(handle)


def _lock(folder: Path) -> int | None:
    """A handle that locks a folder until it is closed; None if another process has it, or none can."""
    if fcntl is None:
        return None
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle
