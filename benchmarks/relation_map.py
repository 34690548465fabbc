"""Cost that relation maps add to a pass with head metrics.

    python benchmarks/relation_map.py

Two models with random weights, one core: wav2vec2-base (12 x 12 heads, 20 ms frames) and Mockingjay LARGE (12 x 12
heads, three 12.5 ms frames stacked), with 39 phones of about 80 ms. Times are processor times of rounds in turn, and
the ratio is their median, so that other work on the machine affects both alike.
"""

from __future__ import annotations

import argparse
import os
import time
from statistics import median

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from transformers import Wav2Vec2Config

from sat_probe.measures.head_accumulator import HeadMetricsAccumulator
from sat_probe.measures.relations.accumulator import RelationMapAccumulator
from sat_probe.models.mockingjay import MockingjayConfig
from sat_probe.models.probed import ProbedModel
from sat_probe.models.probed_classes import ProbedMockingjayModel, ProbedWav2Vec2Model

PHONES = [f"phone {index}" for index in range(39)]


def wav2vec2_base() -> ProbedModel:
    return ProbedWav2Vec2Model(Wav2Vec2Config()).eval()


def mockingjay_large() -> ProbedModel:
    return ProbedMockingjayModel(MockingjayConfig(num_hidden_layers=12)).eval()


def phone_labels(frames: int, hop_seconds: float) -> np.ndarray:
    """Return frame labels of random phones of 30 to 130 ms."""
    rng = np.random.default_rng(1)
    lengths = np.maximum(rng.uniform(0.03, 0.13, frames) / hop_seconds, 1).astype(int)
    return np.repeat(rng.integers(0, len(PHONES), frames), lengths)[:frames]


def one_pass(model: ProbedModel, waveform: np.ndarray, labels: np.ndarray | None, own: bool = False) -> float:
    """Return the processor seconds of one utterance; without labels only the heads are measured."""
    shape = model.num_probed_layers, model.num_probed_heads
    heads = HeadMetricsAccumulator(*shape)
    relations = RelationMapAccumulator(
        *shape, PHONES, upsampling_factor=model.upsampling_factor, leave_out_own_segment=own
    )
    start = time.process_time()
    heads.begin(["utterance"])
    relations.begin(["utterance"], [labels])
    model.encode([waveform], observers=[heads] if labels is None else [heads, relations])
    heads.end()
    relations.end()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[4.0, 15.0])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | seconds | with relation maps / heads alone | own segment left out / heads alone |")
    print("|---|---|---|---|")
    for build in (wav2vec2_base, mockingjay_large):
        torch.manual_seed(0)
        model = build()
        grid = model.frame_grid.upsampled(model.upsampling_factor)
        for seconds in arguments.seconds:
            waveform = np.random.default_rng(0).standard_normal(int(16_000 * seconds)).astype(np.float32)
            frames = model.encode([waveform]).lengths[0] * model.upsampling_factor
            labels = phone_labels(frames, grid.hop_seconds)
            plain, full, own = [], [], []
            for _ in range(arguments.rounds):
                plain.append(one_pass(model, waveform, None))
                full.append(one_pass(model, waveform, labels))
                own.append(one_pass(model, waveform, labels, own=True))
            ratios = [median(np.divide(times, plain)) for times in (full, own)]
            print(f"| {build.__name__} | {seconds:g} | {ratios[0]:.2f} | {ratios[1]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
