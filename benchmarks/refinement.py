"""Speed and memory of refined models beside the intact one under SDPA.

    python benchmarks/refinement.py

Random weights of the size of wav2vec2-base, one core. The intact model runs as in transformers. Models without half of
the heads encode 30 s, those with attention limited to 15 frames on each side 120 s. Times are processor times, the best
of several rounds that run all models in turn; peak memory is that of a fresh process that loads one model and encodes
once. Convolutions and feed-forward layers remain: a span of 0 shows the floor, and the intact model with convolutions
in pieces shows their share of the gain. Only the ratios are meaningful.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from transformers import Wav2Vec2Config

from sat_probe import AutoProbedModel, refine
from sat_probe.models.probed import ProbedModel
from sat_probe.models.probed_classes import ProbedWav2Vec2Model
from sat_probe.studies.footprint import peak_memory

PLAIN = "intact, transformers' SDPA"
PIECES = "intact, convolved in pieces"
HALF = "half the heads removed"
SPAN, FLOOR = "span 15", "span 0, the floor"
CASES = {30.0: (HALF, PIECES), 120.0: (SPAN, FLOOR, PIECES)}


def build(folder: Path) -> dict[str, Path]:
    """Save wav2vec2-base with random weights, intact and refined, and return the folder of each."""
    torch.manual_seed(0)
    intact = ProbedWav2Vec2Model(Wav2Vec2Config()).eval()
    every_other = [(layer, head) for layer in range(12) for head in range(0, 12, 2)]
    variants = {
        PLAIN: intact,
        HALF: refine(intact, remove=every_other),
        SPAN: refine(intact, span=15),
        FLOOR: refine(intact, span=0),
    }
    saved = {}
    for index, (caption, model) in enumerate(variants.items()):
        saved[caption] = folder / str(index)
        model.save_pretrained(saved[caption])
    return saved | {PIECES: saved[PLAIN]}


def encode(model: ProbedModel, caption: str, seconds: float) -> float:
    """Return the processor time of one pass over noise: `forward` of the intact model, `encode` of the others."""
    noise = np.random.default_rng(0).standard_normal(int(16_000 * seconds)).astype("f4")
    prepared = model.prepare([noise])
    start = time.process_time()
    if caption == PLAIN:
        with torch.inference_mode():
            model(**prepared[0].tensors)
    else:
        model.encode(prepared)
    return time.process_time() - start


def memory_of(folder: Path, caption: str, seconds: float) -> int:
    """Return the peak memory (bytes) of a fresh process that loads the model and encodes once."""
    command = [sys.executable, __file__, "--measure-memory", str(folder), caption, str(seconds)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure-memory", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.measure_memory:
        folder, caption, seconds = arguments.measure_memory
        encode(AutoProbedModel.from_pretrained(folder), caption, float(seconds))
        print(peak_memory())
        return
    print("| model | seconds | time / SDPA | peak memory / SDPA |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="sat-probe-") as temporary:
        saved = build(Path(temporary))
        for seconds, captions in CASES.items():
            best = dict.fromkeys((PLAIN, *captions), float("inf"))
            for _ in range(arguments.rounds):
                for caption in best:
                    model = AutoProbedModel.from_pretrained(saved[caption])
                    best[caption] = min(best[caption], encode(model, caption, seconds))
                    del model
            memory = {caption: memory_of(saved[caption], caption, seconds) for caption in best}
            for caption in captions:
                time_ratio, memory_ratio = (measured[caption] / measured[PLAIN] for measured in (best, memory))
                print(f"| {caption} | {seconds:g} | {time_ratio:.2f} | {memory_ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
