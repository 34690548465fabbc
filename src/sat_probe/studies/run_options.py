"""Keywords that all studies share, and how they run."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timezone
from importlib.metadata import version
from inspect import Parameter, cleandoc, signature
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.report_folder import check_destination
from sat_probe.studies.choices import CorpusChoice, ModelChoice, StudyKeywords
from sat_probe.studies.corpus_pass.accumulation import Checkpoint
from sat_probe.studies.corpus_pass.processes import Process, gather
from sat_probe.studies.inputs import Inputs, open_inputs

Kind = Literal["heads", "segmentation", "importance"]
Choice = TypeVar("Choice")
Study = TypeVar("Study", bound=Callable[..., Any])
_REFERENCE = "**keywords: of the corpus, the model and the run, see `StudyKeywords`."


PACKAGES = ("sat-probe", "transformers", "torch", "datasets", "numpy", "soundfile")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def command_line() -> str | None:
    """The command that is running, absolute paths cut to their last part; None in other programs."""
    program = Path(sys.argv[0])
    if program.name.removesuffix(".exe") != "sat-probe" and program.parent.name != "sat_probe":
        return None
    return " ".join(["sat-probe", *(_without_place(argument) for argument in sys.argv[1:])])


def _without_place(argument: str) -> str:
    """``--output=/home/me/out`` as ``--output=out``."""
    *option, value = argument.rsplit("=", 1)
    return "=".join([*option, Path(value).name if Path(value).is_absolute() else value])


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a study runs, whatever it measures; without output nothing is saved. See `StudyKeywords`."""

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
        for kind in get_args(Kind):
            Checkpoint(_checkpoint_path(self.output, kind, process), {}).delete()
        return report


def lists_keywords(study: Study) -> Study:
    """Make `help` list the keywords of `StudyKeywords` one by one, in the signature and the docstring of a study."""
    own = signature(study)
    shared = [
        Parameter(one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=one.type)
        for choice in (CorpusChoice, ModelChoice, RunOptions)
        for one in fields(choice)
        if one.name in StudyKeywords.__annotations__
    ]
    kept = [one for one in own.parameters.values() if one.kind is not Parameter.VAR_KEYWORD]
    study.__signature__ = own.replace(parameters=kept + shared)  # type: ignore[attr-defined]
    listed = cleandoc(StudyKeywords.__doc__ or "").partition("Attributes:\n")[2]
    study.__doc__ = cleandoc(study.__doc__ or "").replace(_REFERENCE, listed.strip())
    return study


def open_study(model: Any, dataset: Any, keywords: StudyKeywords) -> tuple[Inputs, RunOptions]:
    """Open the model and the corpus of a study, and check that its report can be written.

    Raises:
        TypeError: for an unknown keyword.
        ModelError, CorpusError: as `open_inputs`.
        ReportError: if the output folder holds something else.
    """
    given: dict[str, Any] = {"model": model, "dataset": dataset, **keywords}
    model_choice, corpus_choice = _taken(ModelChoice, given), _taken(CorpusChoice, given)
    run = _taken(RunOptions, given)
    if given:
        known = ", ".join(StudyKeywords.__annotations__)
        raise TypeError(f"unexpected keyword argument {next(iter(given))!r}; there are {known}")
    inputs = open_inputs(model_choice, corpus_choice)
    run.check(inputs)
    return inputs, run


def run_facts() -> dict[str, Any]:
    """Return what a report says about the run itself: versions, date and command."""
    return {
        "versions": versions(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command_line(),
    }


def _taken(choice: type[Choice], given: dict[str, Any]) -> Choice:
    """Make a choice of the values that have its names, and remove them."""
    return choice(**{name: given.pop(name) for name in choice.__annotations__ if name in given})


def _checkpoint_path(output: str | Path, kind: Kind, process: Process) -> Path:
    folder = Path(output)
    part = "" if process.count == 1 else f".{process.index}-of-{process.count}"
    return folder.parent / f".{folder.name}{part}.{kind}.checkpoint.npz"
