"""Cost of a model: parameters, multiply-adds, time and memory, measured in processes that do nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sat_probe.errors import ModelError
from sat_probe.models.probed import ProbedModel
from sat_probe.studies.choices import ModelChoice
from sat_probe.studies.inputs import open_model

ROUNDS = 6  # timed passes of each model, after one that is not timed


@dataclass(frozen=True, slots=True)
class Footprint:
    """Cost of running a model.

    Attributes:
        parameters: number of weights.
        multiply_adds: of matrix products and convolutions, per second of audio.
        real_time_factor: seconds of computing per second of audio on one core, median of the passes.
        peak_memory: largest memory of the whole process, PyTorch included (bytes).
        passes: real-time factor of each pass; pass i of all models that are measured together ran in the same round.
    """

    parameters: int
    multiply_adds: float
    real_time_factor: float
    peak_memory: int
    passes: tuple[float, ...] = ()


def footprint(source: str | Path, seconds: float = 30.0) -> Footprint:
    """Measure one model, as `footprints` does.

    Raises:
        ModelError: if it cannot be loaded or run.
    """
    return footprints([ModelChoice(source)], seconds)[0]


def footprints(models: Sequence[ModelChoice], seconds: float = 30.0, rounds: int = ROUNDS) -> list[Footprint]:
    """Measure models that encode noise, each in a fresh process, in turn.

    Every model runs once before the first round. In each round every model runs once, so that a busy moment of the
    machine touches all of them.

    Args:
        models: names and folders, not models in memory.
        seconds: of audio in one pass.
        rounds: timed passes of each model.

    Raises:
        ModelError: if one cannot be loaded or run.
    """
    with ExitStack() as stack:
        workers = [stack.enter_context(_Worker(choice, seconds)) for choice in models]
        for worker in workers:
            worker.answer("pass")
        times = [[worker.answer("pass") / seconds for worker in workers] for _ in range(rounds)]
        return [
            Footprint(**worker.answer("cost"), real_time_factor=median(passes), passes=passes)
            for worker, passes in zip(workers, zip(*times, strict=True), strict=True)
        ]


class _Worker:
    """A fresh process that holds one model and does what it is told, a line at a time."""

    def __init__(self, choice: ModelChoice, seconds: float) -> None:
        self.name = choice.name
        given = [None if choice.model is None else str(choice.model), choice.revision, choice.allow_pickle]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed in __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sat_probe.studies.footprint", json.dumps(given), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def __enter__(self) -> _Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def answer(self, order: str) -> Any:
        """The answer to "pass" (seconds that one pass took) or "cost" (everything but time)."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(order, file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            return json.loads(line)
        self._process.wait()
        self._errors.seek(0)
        reason = (self._errors.read().strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"{self.name}: its cost could not be measured: {reason}")


def multiply_adds(model: ProbedModel, seconds: float = 10.0) -> float:
    """Return the multiply-adds of matrix products and convolutions for that many seconds of audio.

    They are counted on the operations that run, so a limited span and removed heads show.
    """
    (inputs,) = model.prepare([_noise(model, seconds)])
    counter = FlopCounterMode(display=False)
    # the fused kernel of some devices is unknown to the counter; as plain products it counts the same
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        model(**inputs.tensors)
    return counter.get_total_flops() / 2


def _work(choice: ModelChoice, seconds: float) -> None:
    """Do what standard input says, and answer on standard output, until there is no more."""
    answers, sys.stdout = sys.stdout, sys.stderr  # libraries print too
    torch.set_num_threads(1)
    model = open_model(choice)
    waveform = _noise(model, seconds)
    for line in sys.stdin:
        if line.strip() == "pass":
            start = time.perf_counter()
            model.encode([waveform])
            answer: Any = time.perf_counter() - start
        else:
            memory = peak_memory()  # before the counting pass, which is not fused
            counted = min(seconds, 30.0)
            answer = {
                "parameters": sum(parameter.numel() for parameter in model.parameters()),
                "multiply_adds": multiply_adds(model, counted) / counted,
                "peak_memory": memory,
            }
        print(json.dumps(answer), file=answers, flush=True)


def peak_memory() -> int:
    """Bytes of resident memory at this process's peak."""
    status = Path("/proc/self/status")
    if status.exists():  # unlike getrusage's, not inherited from the parent
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def _noise(model: ProbedModel, seconds: float) -> np.ndarray:
    samples = int(seconds * model.sampling_rate)
    return np.random.default_rng(0).standard_normal(samples).astype(np.float32)


if __name__ == "__main__":
    _name, _revision, _allow_pickle = json.loads(sys.argv[1])
    _work(ModelChoice(_name, _revision, _allow_pickle, device="cpu"), float(sys.argv[2]))
