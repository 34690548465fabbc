"""Sums of an unfinished pass on disk, so that a killed run goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sat_probe.errors import ReportError


class Accumulator(Protocol):
    """Anything whose sums can be saved and loaded."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Checkpoint:
    """The sums of some accumulators and how far the pass got, in one file that is replaced atomically.

    Args:
        path: the file.
        identity: what makes two runs the same run (model, corpus, options); another run's file is refused.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self._temporary = path.with_suffix(".writing")
        self.identity = json.dumps(identity, sort_keys=True, default=str)

    def save(self, accumulators: Mapping[str, Accumulator], progress: Mapping[str, Any]) -> None:
        """Write everything under another name, then rename: a reader sees the old file or the new one, never a part."""
        arrays = {
            f"{name}/{key}": value
            for name, one in accumulators.items()
            for key, value in one.state_dict().items()
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

    def load(self, accumulators: Mapping[str, Accumulator]) -> dict[str, Any] | None:
        """Fill the accumulators; how far the pass had got, or None if there is no checkpoint.

        Raises:
            ReportError: if the file is damaged or belongs to another run.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as file:
                stored = {name: file[name] for name in file.files}
            same = str(stored["_identity"]) == self.identity
            progress = json.loads(str(stored["_progress"]))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise ReportError(
                f"{self.path}: is no checkpoint of sat-probe ({error}); delete it to start anew"
            ) from error
        if not same:
            raise ReportError(
                f"{self.path}: belongs to another model, corpus or options; delete it or choose another --output"
            )
        for name, one in accumulators.items():
            prefix = f"{name}/"
            one.load_state_dict(
                {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}
            )
        return progress

    def delete(self) -> None:
        """Remove the file, and what a killed run may have left of a new one: the run is finished."""
        self.path.unlink(missing_ok=True)
        self._temporary.unlink(missing_ok=True)
