"""A toy corpus: noise that grows louder, so that position and neighbours tell what is masked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.studies.pretraining.recipe import ModelShape, PretrainingRecipe

TINY = PretrainingRecipe(
    model=ModelShape(
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        feature_size=20,
        target_size=20,
        hidden_dropout_prob=0.1,
    ),
    steps=24,
    batch_frames=600,
    learning_rate=3e-3,
    held_out_share=0.1,
    random_phase=True,
    log_steps=2,
    checkpoint_steps=4,
    seed=7,
)


def tiny(**changes: object) -> PretrainingRecipe:
    """The tiny recipe with some values changed."""
    return replace(TINY, **changes)


def write_toy_corpus(folder: Path, count: int = 20) -> Corpus:
    """Write `count` files of 0.5 to 1.5 s."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for number in range(count):
        samples = int(generator.integers(8_000, 24_000))
        level = 10.0 ** np.linspace(-4, -1, samples)
        noise = level * generator.normal(size=samples).clip(-3, 3)
        soundfile.write(folder / f"{number:02d}.wav", noise.astype(np.float32), 16_000)
    return load_corpus(folder)
