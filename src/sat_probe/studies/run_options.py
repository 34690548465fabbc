"""Options of a run that all studies share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.report_folder import check_destination
from sat_probe.studies.corpus_pass.checkpoint import Checkpoint
from sat_probe.studies.corpus_pass.processes import Process, gather
from sat_probe.studies.inputs import Inputs
from sat_probe.studies.provenance import command_line, versions

Kind = Literal["heads", "segmentation", "importance"]
KINDS: tuple[Kind, ...] = ("heads", "segmentation", "importance")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a study runs, whatever it measures.

    Attributes:
        output: folder for the report, and while running for checkpoints next to it; None saves nothing.
        overwrite: replace a report of another model or corpus there.
        resume: continue from the checkpoints that a killed run with the same arguments left.
        strict: stop at the first file that cannot be used, instead of counting it.
        progress: show a progress bar on standard error.
    """

    output: str | Path | None = None
    overwrite: bool = False
    resume: bool = False
    strict: bool = False
    progress: bool = True

    def check(self, inputs: Inputs) -> None:
        """Raise a ReportError if the report could not be written to the output folder."""
        if self.output is not None:
            check_destination(self.output, inputs.provenance, self.overwrite)

    def checkpoint(self, kind: Kind, inputs: Inputs, options: Mapping[str, Any]) -> Checkpoint | None:
        """Return where this process keeps the state of a part of a study with these options; None without output."""
        if self.output is None:
            return None
        return Checkpoint(_checkpoint_path(self.output, kind, inputs.process), {**inputs.identity, **options})

    def finish(self, report: HeadReport, process: Process) -> HeadReport:
        """Save a report, if there is an output, remove the checkpoints of the run, and return the report."""
        if self.output is None:
            return report
        if process.is_main:
            report.save(self.output, overwrite=self.overwrite)
        gather(process, None)  # no process forgets its part before the report is saved
        for kind in KINDS:
            Checkpoint(_checkpoint_path(self.output, kind, process), {}).delete()
        return report


def run_facts() -> dict[str, Any]:
    """Return what a report says about the run itself: versions, date and command."""
    return {
        "versions": versions(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command_line(),
    }


def _checkpoint_path(output: str | Path, kind: Kind, process: Process) -> Path:
    folder = Path(output)
    part = "" if process.count == 1 else f".{process.index}-of-{process.count}"
    return folder.parent / f".{folder.name}{part}.{kind}.checkpoint.npz"
