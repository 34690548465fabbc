"""What a model costs: parameters, multiply-adds, time, memory; measured in a process that does nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sat_probe.errors import ModelError
from sat_probe.models.auto import AutoProbedModel
from sat_probe.models.probed import ProbedModel

ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Footprint:
    """What it costs to run a model.

    Attributes:
        parameters: how many numbers it holds.
        multiply_adds: of matrix products and convolutions, per second of audio.
        real_time_factor: seconds of computing per second of audio, median of three passes on one core.
        peak_memory: bytes that the whole process occupied at most, PyTorch included.
    """

    parameters: int
    multiply_adds: float
    real_time_factor: float
    peak_memory: int


def footprint(source: str | Path, seconds: float = 30.0) -> Footprint:
    """Load a model in a fresh process and let it encode noise.

    Args:
        source: folder or name of a model.
        seconds: of audio in one pass.

    Raises:
        ModelError: if it cannot be loaded or run.
    """
    command = [sys.executable, "-m", "sat_probe.studies.footprint", str(source), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"{source}: its cost could not be measured: {reason}")
    return Footprint(**json.loads(done.stdout.strip().splitlines()[-1]))


def multiply_adds(model: ProbedModel, seconds: float = 10.0) -> float:
    """Multiply-adds of matrix products and convolutions for so many seconds of audio.

    Counted on the operations that run, so that a limited span and removed heads show.
    """
    (inputs,) = model.prepare([_noise(model, seconds)])
    counter = FlopCounterMode(display=False)
    # the fused kernel of some devices is unknown to the counter; as plain products it counts the same
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        model(**inputs.tensors)
    return counter.get_total_flops() / 2


def _measure(source: str, seconds: float) -> Footprint:
    torch.set_num_threads(1)
    model = AutoProbedModel.from_pretrained(source)
    waveform = _noise(model, seconds)
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        model.encode([waveform])
        times.append(time.perf_counter() - start)
    memory = peak_memory()  # before the counting pass, which is not fused
    return Footprint(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        multiply_adds=multiply_adds(model, min(seconds, 30.0)) / min(seconds, 30.0),
        real_time_factor=median(times) / seconds,
        peak_memory=memory,
    )


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
    print(json.dumps(asdict(_measure(sys.argv[1], float(sys.argv[2])))))
