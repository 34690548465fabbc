"""The paper's study as a chain of stages; finished ones are not done again, killed ones go on where they were."""

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

from sat_probe.errors import ConfigurationError
from sat_probe.studies.corpus_pass.processes import Process, gather

RECORDS = "stages"  # folder of what is known about finished stages


@dataclass(frozen=True)
class Stage:
    """One step of the chain.

    Attributes:
        name: how it is called, also on the command line.
        folder: what it writes; a folder of a model or of tables.
        run: does the work, going on from what an interrupted run left.
        needs: names of the stages whose folders it reads.
        settings: what decides its result besides those; plain values.
        together: whether every process of a launcher takes part; the others are done by the first process alone.
        finished_before: seconds of computing that a result took which is already there without a record, made by this
            chain's settings elsewhere; None if there is none.
        seconds: estimate of what it takes.
        megabytes: estimate of what it leaves on disk.
    """

    name: str
    folder: Path
    run: Callable[[], None]
    needs: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    together: bool = False
    finished_before: Callable[[], float | None] = lambda: None
    seconds: float = 0.0
    megabytes: float = 0.0


class Chain:
    """Stages in order, and the records of those that are finished.

    Args:
        stages: each after those it needs.
        output: folder of the whole study.
    """

    def __init__(self, stages: Sequence[Stage], output: Path) -> None:
        self.stages = {stage.name: stage for stage in stages}
        self.records = output / RECORDS

    def record(self, name: str) -> dict[str, Any] | None:
        """What is known about a stage that was finished: settings, stamp, seconds, date."""
        try:
            return json.loads((self.records / f"{name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def why(self, name: str) -> str | None:
        """Why a stage has to run; None if its result is there and nothing it depends on has changed."""
        stage, known = self.stages[name], self.record(name)
        if known is None:
            return "not done yet" if stage.finished_before() is None else None
        wanted = json.loads(json.dumps(stage.settings))
        changed = sorted(
            key for key in {*wanted, *known["settings"]} if wanted.get(key) != known["settings"].get(key)
        )
        if changed:
            return f"{', '.join(changed)} changed"
        renewed = [need for need in stage.needs if known["needs"].get(need) != self.stamp(need)]
        if renewed:
            return f"{', '.join(renewed)} changed"
        return None if stage.folder.is_dir() else f"{stage.folder} is gone"

    def stamp(self, name: str) -> str | None:
        """Changes when the result of a stage does; None where there is none."""
        known = self.record(name)
        if known is None and self.stages[name].finished_before() is not None:
            known = self._keep(self.stages[name], None, None)
        return None if known is None else str(known["stamp"])

    def run(
        self, chosen: Sequence[str], process: Process, say: Callable[[str], None] = lambda line: None
    ) -> list[str]:
        """Run what has to run of the chosen stages, in order.

        Args:
            chosen: names.
            process: this one of several; those that are not the first take part in the shared stages alone.
            say: gets a line per stage.

        Returns:
            Names of the stages that ran.

        Raises:
            ConfigurationError: if a stage needs one that is neither finished nor chosen.
        """
        done: list[str] = []
        shared = [name for name in chosen if self.stages[name].together]
        for number, name in enumerate(chosen, start=1):
            stage = self.stages[name]
            if not process.is_main and name not in shared:
                continue
            reason = self.why(name) if process.is_main else None
            if stage.together:  # the first process decides: the others could look too late
                reason = gather(process, reason)[0]
            place = f"[{number}/{len(chosen)}] {name}"
            if reason is None:
                self.stamp(name)
                say(f"{place}: there already")
                continue
            for need in stage.needs:
                if process.is_main and self.why(need) is not None:
                    raise ConfigurationError(f"the stage {name} needs {need}: {self.why(need)}; run it first")
            left = sum(self.stages[later].seconds for later in chosen[number - 1 :])
            say(f"{place}: {reason}; about {shown_time(left)} left for it and what follows")
            began, computed = time.monotonic(), _computed()
            stage.run()
            if stage.together:
                gather(process, None)
            if process.is_main:
                self._keep(stage, _computed() - computed, time.monotonic() - began)
                say(f"{place}: done in {shown_time(time.monotonic() - began)}")
            done.append(name)
        return done

    def _keep(self, stage: Stage, computed: float | None, elapsed: float | None) -> dict[str, Any]:
        settings = json.loads(json.dumps(stage.settings))
        needs = {need: self.stamp(need) for need in stage.needs}
        if computed is None:
            computed = stage.finished_before()
        content = {
            "settings": settings,
            "needs": needs,
            "stamp": blake2b(
                json.dumps([settings, needs, _made(stage.folder)], sort_keys=True).encode(), digest_size=8
            ).hexdigest(),
            "computed_seconds": computed,
            "elapsed_seconds": elapsed,
            "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        self.records.mkdir(parents=True, exist_ok=True)
        partial = self.records / f".{stage.name}.partial"
        partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        partial.replace(self.records / f"{stage.name}.json")
        return content


def choose_stages(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The stages that any pattern names ("analysis-M3", "*-M3"), in their order; all without patterns.

    Raises:
        ConfigurationError: for a pattern that names none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigurationError(f"no stage is called {pattern!r}; there are {', '.join(names)}")
    return [name for name in names if not patterns or any(fnmatchcase(name, one) for one in patterns)]


def shown_time(seconds: float) -> str:
    """Seconds as one reads them: 40 s, 12 min, 3 h 20 min, 15 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 172_800:
        return f"{seconds // 3600:.0f} h {seconds % 3600 / 60:.0f} min"
    return f"{seconds / 86_400:.0f} days"


def _computed() -> float:
    """Seconds of processor time of this process and those it started."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _made(folder: Path) -> str | None:
    """A digest of the weights in a folder: a model trained anew by the same settings is another one."""
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return None
    digest = blake2b(digest_size=16)
    with weights.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
