"""Cost of a model: parameters, multiply-adds, time and memory, measured in processes that do nothing else."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers.utils.logging import disable_progress_bar

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
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        workers = [
            # each ends at Ctrl-C without a traceback
            stack.enter_context(ProcessPoolExecutor(1, context, signal.signal, (signal.SIGINT, signal.SIG_DFL)))
            for _ in models
        ]
        try:
            for worker, choice in zip(workers, models, strict=True):
                worker.submit(_prepare, replace(choice, device="cpu", dtype=None), seconds).result()
            times = [[worker.submit(_pass).result() for worker in workers] for _ in range(rounds + 1)]
            costs = [worker.submit(_cost).result() for worker in workers]
        except BrokenProcessPool as error:
            raise ModelError("a process that measures costs died, perhaps for lack of memory") from error
    return [
        Footprint(**cost, real_time_factor=median(passes), passes=passes)
        for cost, passes in zip(costs, zip(*times[1:], strict=True), strict=True)
    ]


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


_measured: list[tuple[ProbedModel, float]] = []
"""The model of a process that does nothing but measure it, and the seconds of audio in a pass."""


def _prepare(choice: ModelChoice, seconds: float) -> None:
    sys.stdout = sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - libraries print, until the process ends
    disable_progress_bar()  # whose lock would be reported as leaked after Ctrl-C
    torch.set_num_threads(1)
    _measured.append((open_model(choice), seconds))


def _pass() -> float:
    """Return the real-time factor of one pass."""
    model, seconds = _measured[0]
    waveform = _noise(model, seconds)
    start = time.perf_counter()
    model.encode([waveform])
    return (time.perf_counter() - start) / seconds


def _cost() -> dict[str, Any]:
    """Return everything but time."""
    model, seconds = _measured[0]
    memory = peak_memory()  # before the counting pass, which is not fused
    counted = min(seconds, 30.0)
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "multiply_adds": multiply_adds(model, counted) / counted,
        "peak_memory": memory,
    }


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
