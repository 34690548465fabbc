"""Checkpoints of unfinished runs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sat_probe.errors import ReportError


class Stateful(Protocol):
    """Anything whose state can be saved and loaded."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Checkpoint:
    """The state of an unfinished run in one file, which is replaced atomically.

    Args:
        path: the file.
        identity: what makes two runs the same run (model, corpus, options); the file of another run is refused.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self._temporary = path.with_suffix(".writing")
        self.identity = json.dumps(identity, sort_keys=True, default=str)

    def save(self, parts: Mapping[str, Stateful], progress: Mapping[str, Any]) -> None:
        """Write a new file, then rename it: a reader sees the old state or the new one, never a mixture."""
        arrays = {
            f"{name}/{key}": value for name, one in parts.items() for key, value in one.state_dict().items()
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._temporary.open("wb") as file:
                np.savez(
                    file,
                    _identity=np.array(self.identity),
                    _progress=np.array(json.dumps(progress)),
                    **arrays,
                )
                file.flush()
                os.fsync(file.fileno())
            self._temporary.replace(self.path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def load(self, parts: Mapping[str, Stateful]) -> dict[str, Any] | None:
        """Load the state of each part; return the progress that was saved with it, or None without a checkpoint.

        Raises:
            ReportError: if the file is damaged or belongs to another run.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as file:
                stored = {name: file[name] for name in file.files}
            theirs = json.loads(str(stored["_identity"]))
            progress = json.loads(str(stored["_progress"]))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise ReportError(
                f"{self.path}: is no checkpoint of sat-probe ({error}); delete it to start anew"
            ) from error
        ours = json.loads(self.identity)
        changed = [name for name in {**ours, **theirs} if theirs.get(name) != ours.get(name)]
        if changed:
            raise ReportError(
                f"{self.path}: belongs to another run, which differs in {', '.join(changed)}; "
                "delete it or choose another --output"
            )
        for name, one in parts.items():
            prefix = f"{name}/"
            one.load_state_dict(
                {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}
            )
        return progress

    def delete(self) -> None:
        """Remove the file when the run is finished, with what a killed run may have left of a new one."""
        self.path.unlink(missing_ok=True)
        self._temporary.unlink(missing_ok=True)
