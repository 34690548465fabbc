"""Is a refined model really faster and smaller than the intact one under SDPA?

    python benchmarks/refinement.py

Random weights in the size of wav2vec2-base, one core, CPU time. Half of the heads are removed and 30 s encoded;
attention is limited to 15 frames to each side and 120 s encoded. Times are medians of rounds that run intact and
refined model one after the other; peak memory is that of a process of its own. Only ratios mean anything.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from transformers import Wav2Vec2Config

from sat_probe import refine
from sat_probe.models.auto import ProbedWav2Vec2Model
from sat_probe.models.probed import ProbedModel
from sat_probe.studies.footprint import peak_memory

CASES = {"half the heads removed": ("half", 30.0), "span 15": ("span", 120.0)}


def build(variant: str) -> ProbedModel:
    """wav2vec2-base with random weights, intact or refined."""
    torch.manual_seed(0)
    model = ProbedWav2Vec2Model(Wav2Vec2Config()).eval()
    if variant == "half":
        every_other = [(layer, head) for layer in range(12) for head in range(0, 12, 2)]
        return refine(model, remove=every_other)
    return refine(model, span=15) if variant == "span" else model


def encode(model: ProbedModel, seconds: float) -> None:
    """One forward pass over noise, as anybody would run it."""
    (inputs,) = model.prepare([np.random.default_rng(0).standard_normal(int(16_000 * seconds)).astype("f4")])
    with torch.inference_mode():
        model(**inputs.tensors)


def memory_of(variant: str, seconds: float) -> float:
    """Bytes at the peak of a fresh process that builds the model and encodes once."""
    command = [sys.executable, __file__, "--measure-memory", variant, "--seconds", str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure-memory", choices=("intact", "half", "span"), help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.measure_memory:
        encode(build(arguments.measure_memory), arguments.seconds)
        print(peak_memory())
        return
    print("| refined | seconds | time: refined / SDPA | peak memory: refined / SDPA |")
    print("|---|---|---|---|")
    intact = build("intact")
    for caption, (variant, seconds) in CASES.items():
        refined = build(variant)
        times: dict[str, list[float]] = {"intact": [], "refined": []}
        for _ in range(arguments.rounds):
            for name, model in (("intact", intact), ("refined", refined)):
                start = time.process_time()
                encode(model, seconds)
                times[name].append(time.process_time() - start)
        ratio = median(times["refined"]) / median(times["intact"])
        memory = memory_of(variant, seconds) / memory_of("intact", seconds)
        print(f"| {caption} | {seconds:g} | {ratio:.2f} | {memory:.2f} |", flush=True)


if __name__ == "__main__":
    main()
