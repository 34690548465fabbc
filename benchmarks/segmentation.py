"""Kernel-Gram segmentation beside a direct loop over its definition, and the time of a whole study, in one run.

    python benchmarks/segmentation.py [--frames 60] [--study-utterances 80]

The loop is tests/reference.py's: similarities, thresholds, runs and anti-diagonals frame by frame, once for each pair
of alpha and beta, as the definition reads. Both must find the same boundaries, or the script fails. Random maps stand
for attention: 36 heads of 100 frames, up-sampled by 3, are what a Mockingjay with R = 3 makes of 3 s of speech.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sat_probe.frames import FrameGrid
from sat_probe.measures.boundary_hits import count_boundaries
from sat_probe.measures.kernel_gram import distances, minima_by_row, score_curves
from sat_probe.studies.segmentation_sources import Settings, kernel_boundaries
from tests.reference import curve_minima_slow, kernel_gram_curve_slow

HEADS, MAP_FRAMES, FACTOR = 36, 100, 3
GRID = FrameGrid(hop=480, first_centre=160.0)


def maps(heads: int, frames: int, seed: int) -> np.ndarray:
    """Attention of content that changes now and then, (heads, frames, frames)."""
    rng = np.random.default_rng(seed)
    content = rng.normal(size=(heads, frames, 8))[:, np.cumsum(rng.random(frames) < 0.3)]
    content = content + 0.3 * rng.normal(size=content.shape)
    scores = np.exp(content @ np.swapaxes(content, 1, 2) / 3)
    return scores / scores.sum(axis=2, keepdims=True)


def compare_with_loop(frames: int) -> None:
    """One utterance, all settings, both ways."""
    features = maps(1, frames, seed=0)[0]
    settings = Settings()
    scale = distances(features).mean()
    start = time.perf_counter()
    curves = score_curves(distances(features) / scale, settings.alphas, settings.betas)
    found = minima_by_row(curves.reshape(-1, frames))
    fast = time.perf_counter() - start
    start = time.perf_counter()
    expected = [
        curve_minima_slow(kernel_gram_curve_slow(features / scale, *pair)) for pair in settings.pairs()
    ]
    slow = time.perf_counter() - start
    if not all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True)):
        raise SystemExit("the loop finds other boundaries")
    print(f"{frames} frames, {len(expected)} settings: loop {slow:.2f} s, sat-probe {1000 * fast:.1f} ms, "
          f"{slow / fast:.0f}x; the same {sum(map(len, found))} boundaries")  # fmt: skip


def time_study(utterances: int) -> None:
    """Distances, boundaries and counts of every head of every utterance, without the model's own time."""
    settings, reference = Settings(), np.cumsum(np.full(36, 0.08))
    start = time.process_time()
    for utterance in range(utterances):
        between = distances(maps(HEADS, MAP_FRAMES, utterance))
        for head in range(HEADS):
            predictions = kernel_boundaries(between[head], settings, GRID, FACTOR)
            count_boundaries([reference] * len(predictions), predictions, 0.02, "rasanen")
    seconds = time.process_time() - start
    print(f"{HEADS} heads, {utterances} utterances of {MAP_FRAMES} frames, {len(settings.pairs())} settings: "
          f"{seconds:.0f} s of one core")  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--study-utterances", type=int, default=80)
    arguments = parser.parse_args()
    compare_with_loop(arguments.frames)
    time_study(arguments.study_utterances)
