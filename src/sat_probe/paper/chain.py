"""Chain of stages: finished stages are not run again, interrupted ones continue where they stopped."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from sat_probe.errors import ConfigurationError
from sat_probe.files import write_atomically
from sat_probe.studies.corpus_pass.processes import Process, gather

RECORDS = "stages"  # folder of the records of finished stages


@dataclass(frozen=True)
class Stage:
    """One step of the chain.

    Attributes:
        name: its name, also on the command line.
        folder: the folder it writes, of a model or of tables.
        run: does the work, continuing an interrupted run.
        needs: names of the stages whose folders it reads.
        settings: plain values that decide its result besides those.
        together: whether every process of a launcher takes part; other stages run in the first process only.
        finished_before: returns the seconds of computing behind a result that exists without a record, made elsewhere
            with the same settings; None if there is none.
    """

    name: str
    folder: Path
    run: Callable[[], None]
    needs: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    together: bool = False
    finished_before: Callable[[], float | None] = lambda: None


class Chain:
    """Stages in order, with the records of the finished ones.

    Args:
        stages: each after the stages it needs.
        output: folder of the whole study.
    """

    def __init__(self, stages: Sequence[Stage], output: Path) -> None:
        self.stages = {stage.name: stage for stage in stages}
        self.records = output / RECORDS

    def record(self, name: str) -> dict[str, Any] | None:
        """Return the record of a finished stage: settings, stamp, seconds, date."""
        try:
            return json.loads((self.records / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def reason_to_run(self, name: str) -> str | None:
        """Return why a stage has to run; None if its result exists and nothing it depends on has changed."""
        stage, known = self.stages[name], self.record(name)
        if known is None:
            return "not done yet" if stage.finished_before() is None else None
        wanted, before = json.loads(json.dumps(stage.settings)), known["settings"]
        changed = sorted(key for key in {*wanted, *before} if wanted.get(key) != before.get(key))
        changed = changed or [need for need in stage.needs if known["needs"].get(need) != self.stamp(need)]
        if changed:
            return f"{', '.join(changed)} changed"
        return None if stage.folder.is_dir() else f"{stage.folder} is gone"

    def stamp(self, name: str) -> str | None:
        """Return a digest that changes when the result of a stage does; None if there is no result."""
        known = self.record(name)
        if known is None and self.stages[name].finished_before() is not None:
            known = self._write_record(self.stages[name], None, None)
        return None if known is None else str(known["stamp"])

    def run(self, chosen: Sequence[str], process: Process, say: Callable[[str], None] = lambda line: None) -> list[str]:
        """Run those of the chosen stages that have to run, in order.

        Args:
            chosen: names.
            process: this process; all but the first take part in the shared stages only.
            say: called with a line per stage.

        Returns:
            Names of the stages that ran.

        Raises:
            ConfigurationError: if a stage needs one that is neither finished nor chosen.
        """
        done: list[str] = []
        for number, name in enumerate(chosen, start=1):
            stage = self.stages[name]
            if not (process.is_main or stage.together):
                continue
            reason = self.reason_to_run(name) if process.is_main else None
            # the first process decides: the others might look too late
            reason = gather(process, reason)[0] if stage.together else reason
            place = f"[{number}/{len(chosen)}] {name}"
            if reason is None:
                self.stamp(name)
                say(f"{place}: already there")
                continue
            for need in stage.needs if process.is_main else ():
                if lack := self.reason_to_run(need):
                    raise ConfigurationError(f"the stage {name} needs {need}: {lack}; run it first")
            say(f"{place}: {reason}")
            began, computed = time.monotonic(), _processor_seconds()
            stage.run()
            if stage.together:
                gather(process, None)
            if process.is_main:
                elapsed = time.monotonic() - began
                self._write_record(stage, _processor_seconds() - computed, elapsed)
                say(f"{place}: done in {duration_text(elapsed)}")
            done.append(name)
        return done

    def _write_record(self, stage: Stage, computed: float | None, elapsed: float | None) -> dict[str, Any]:
        settings = json.loads(json.dumps(stage.settings))
        needs = {need: self.stamp(need) for need in stage.needs}
        described = json.dumps([settings, needs, _weights_digest(stage.folder)], sort_keys=True)
        content = {
            "settings": settings,
            "needs": needs,
            "stamp": blake2b(described.encode(), digest_size=8).hexdigest(),
            "computed_seconds": stage.finished_before() if computed is None else computed,
            "elapsed_seconds": elapsed,
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        self.records.mkdir(parents=True, exist_ok=True)
        write_atomically(self.records / f"{stage.name}.json", json.dumps(content, indent=2).encode() + b"\n")
        return content


def choose_stages(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Return the stages that match any pattern ("analysis-M3", "*-M3"), in order; all of them without patterns.

    Raises:
        ConfigurationError: for a pattern that matches none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigurationError(f"no stage is called {pattern!r}; there are {', '.join(names)}")
    return [name for name in names if not patterns or any(fnmatchcase(name, one) for one in patterns)]


def duration_text(seconds: float) -> str:
    """Return seconds in readable units: 40 s, 12 min, 3 h 20 min, 15 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds // 3600:.0f} h {seconds % 3600 / 60:.0f} min"
    return f"{seconds / 86_400:.0f} days"


def _processor_seconds() -> float:
    """Return the processor time of this process and its children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _weights_digest(folder: Path) -> str | None:
    """Return a digest of the weights in a folder: the same settings trained again give another model."""
    weights = folder / "model.safetensors"
    return blake2b(np.memmap(weights).data, digest_size=16).hexdigest() if weights.is_file() else None
