"""Cost of an analysis, beside a plain SDPA forward pass and beside `output_attentions=True` with reductions.

    python benchmarks/attention.py --seconds 10 30 120

Random weights of the size of wav2vec2-base, one core. Times are processor times, medians over rounds that run the three
in turn, so that a busy machine affects all alike; peak memory is measured in a fresh process for each. Only the ratios
are meaningful.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from transformers import Wav2Vec2Config

from sat_probe.measures.head_accumulator import HeadMetricsAccumulator
from sat_probe.models.probed_classes import ProbedWav2Vec2Model
from sat_probe.studies.footprint import peak_memory

VARIANTS = ("sdpa", "analysis", "output_attentions")
LONGEST_KEPT = 60.0  # seconds of audio whose maps fit into memory: 144 maps of 120 s are 21 GB


def build() -> ProbedWav2Vec2Model:
    """wav2vec2-base with random weights, its queries and keys scaled up so that attention is peaked."""
    torch.manual_seed(0)
    model = ProbedWav2Vec2Model(Wav2Vec2Config()).eval()
    for module in model.attention_modules:
        module.q_proj.weight.data.mul_(5)
        module.k_proj.weight.data.mul_(5)
    return model


def plain(model: ProbedWav2Vec2Model, waveform: np.ndarray) -> None:
    """Run the plain forward pass."""
    (inputs,) = model.prepare([waveform])
    with torch.inference_mode():
        model(**inputs.tensors)


def analysis(model: ProbedWav2Vec2Model, waveform: np.ndarray) -> np.ndarray:
    """Return all head metrics, computed by sat-probe."""
    metrics = HeadMetricsAccumulator(model.num_probed_layers, model.num_probed_heads)
    metrics.begin(["utterance"])
    model.encode([waveform], observers=[metrics])
    metrics.end()
    return metrics.sums[:6]


def reductions(model: ProbedWav2Vec2Model, waveform: np.ndarray) -> np.ndarray:
    """Return the same metrics, computed from the maps of eager attention."""
    (inputs,) = model.prepare([waveform])
    model.set_attn_implementation("eager")
    with torch.inference_mode():
        outputs = super(type(model).__mro__[1], model).forward(**inputs.tensors, output_attentions=True)
        results = []
        for (maps,) in outputs.attentions:
            frames = maps.shape[-1]
            position = torch.arange(frames, dtype=maps.dtype)
            offset = position - position[:, None]
            mean_row = maps.mean(1)
            mean_offset = (maps * offset).sum((-1, -2)) / frames
            variance = (maps * (offset - mean_offset[:, None, None]) ** 2).sum((-1, -2)) / frames
            results.append(
                torch.stack(
                    [
                        torch.special.entr(maps).sum(-1).mean(-1),
                        -torch.special.entr(mean_row).sum(-1),
                        -(maps * offset.abs()).sum((-1, -2)) / frames**2,
                        maps.amax((-1, -2)),
                        mean_offset,
                        variance.sqrt(),
                    ]
                )
            )
    model.set_attn_implementation("sdpa")
    return torch.stack(results, dim=1).numpy()


RUN: dict[str, Callable[[ProbedWav2Vec2Model, np.ndarray], object]] = {
    "sdpa": plain,
    "analysis": analysis,
    "output_attentions": reductions,
}


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(int(16_000 * seconds)).astype(np.float32)


def memory_of(variant: str, seconds: float) -> float:
    """Return the peak memory (bytes) of a fresh process that loads the model and runs one variant."""
    command = [sys.executable, __file__, "--measure-memory", variant, "--seconds", str(seconds)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[30.0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure-memory", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = build()
    if arguments.measure_memory:
        RUN[arguments.measure_memory](model, noise(arguments.seconds[0]))
        print(peak_memory())
        return
    difference = np.abs(analysis(model, noise(5)) - reductions(model, noise(5))).max((1, 2))
    print(f"largest differences between both ways, 5 s: metrics {difference[:4].max():.1e}, "
          f"offsets {difference[4:].max():.1e} frames")  # fmt: skip
    print("| seconds | time: analysis / SDPA | analysis / maps | memory: analysis / SDPA | maps / SDPA |")
    print("|---|---|---|---|---|")
    for seconds in arguments.seconds:
        waveform = noise(seconds)
        times: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
        variants = VARIANTS if seconds <= LONGEST_KEPT else VARIANTS[:2]
        for _ in range(arguments.rounds):
            for variant in variants:
                start = time.process_time()
                RUN[variant](model, waveform)
                times[variant].append(time.process_time() - start)
        typical = {variant: median(times[variant]) for variant in variants}
        memory = {variant: memory_of(variant, seconds) for variant in variants}
        pairs = [
            (typical, "analysis", "sdpa"),
            (typical, "analysis", "output_attentions"),
            (memory, "analysis", "sdpa"),
            (memory, "output_attentions", "sdpa"),
        ]
        ratios = [
            f"{measured[one] / measured[other]:.2f}" if one in measured and other in measured else "-"
            for measured, one, other in pairs
        ]
        print(f"| {seconds:g} | {' | '.join(ratios)} |", flush=True)


if __name__ == "__main__":
    main()
