"""How a study runs, whatever it measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sat_probe.studies.corpus_pass.checkpoint import Checkpoint, checkpoint_path
from sat_probe.studies.corpus_pass.processes import Process
from sat_probe.studies.provenance import command_line, versions


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a study runs.

    Attributes:
        output: folder for the report, and while running for checkpoints next to it; None saves nothing.
        resume: continue from the checkpoint that a killed run with the same arguments left.
        strict: stop at the first file that cannot be used, instead of counting it.
        progress: show a progress bar on standard error.
    """

    output: str | Path | None = None
    resume: bool = False
    strict: bool = False
    progress: bool = True

    def checkpoint(
        self, process: Process, identity: Mapping[str, Any], kind: str = "checkpoint"
    ) -> Checkpoint | None:
        """Return where a process keeps the state of a run with this identity; None without an output."""
        if self.output is None:
            return None
        return Checkpoint(checkpoint_path(self.output, process, kind), identity)


def run_facts() -> dict[str, Any]:
    """Return what a report says about the run itself: versions, date and command."""
    return {
        "versions": versions(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command_line(),
    }
