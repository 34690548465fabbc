"""Speed of pre-training beside a plain implementation, in frames per second.

The plain one is what a first script would do: it reads audio and computes features whenever an utterance is drawn, pads
random batches to their longest utterance, and uses eager attention and unfused AdamW. Network, data, masking and frames
per step are the same. Times are processor times, so that other work on the machine matters less. On one core:

    OMP_NUM_THREADS=1 python benchmarks/pretraining.py FOLDER_OF_AUDIO [--limit 300] [--steps 30]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging as transformers_logging

from sat_probe.audio import read_audio
from sat_probe.models.mockingjay import MockingjayForPreTraining
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.studies.pretraining.batches import MaskedBatches, mask_rows
from sat_probe.studies.pretraining.features import FeatureStore, feature_store
from sat_probe.studies.pretraining.recipe import (
    PretrainingRecipe,
    feature_extractor,
    load_recipe,
    model_config,
    new_model,
)
from sat_probe.studies.pretraining.trainer import build_trainer


def ours(store: FeatureStore, recipe: PretrainingRecipe, folder: Path) -> tuple[float, int]:
    """Return the processor seconds and frames (without padding) of the Trainer, with cached features."""
    data = MaskedBatches(
        store,
        np.arange(len(store)),
        batch_frames=recipe.batch_frames,
        width=1,
        downsample_rate=recipe.model.downsample_rate,
        seed=recipe.seed,
        count=recipe.steps,
    )
    trainer = build_trainer(
        new_model(model_config(recipe.model), recipe.seed),
        recipe,
        folder=folder,
        curve=folder / "loss.csv",
        train=lambda count: data,
        held_out=None,
        progress=False,
    )
    began = time.process_time()
    trainer.train()
    return time.process_time() - began, sum(data.frames(number) for number in range(recipe.steps))


def plain(corpus: Corpus, recipe: PretrainingRecipe) -> tuple[float, int]:
    """Return the processor seconds and frames of as many steps of a plain training loop."""
    config = model_config(recipe.model)
    model = MockingjayForPreTraining(config)
    model.set_attn_implementation("eager")
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate, foreach=False)
    batches = plain_batches(corpus, recipe)
    frames, began = 0, time.process_time()
    for _ in range(recipe.steps):
        batch = next(batches)
        frames += int(batch["attention_mask"].sum())
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
    return time.process_time() - began, frames


def plain_batches(corpus: Corpus, recipe: PretrainingRecipe) -> Iterator[dict[str, torch.Tensor]]:
    """Yield batches of random utterances with about as many frames as a step of the recipe."""
    extractor = feature_extractor(model_config(recipe.model))
    generator = np.random.default_rng(recipe.seed)
    utterances = list(corpus)
    rate = recipe.model.downsample_rate
    mean_frames = np.mean([len(extractor.extract(read_audio(one.audio))) for one in utterances[:50]])
    size = max(1, round(recipe.batch_frames / mean_frames))
    while True:
        chosen = generator.choice(len(utterances), size, replace=False)
        waveforms = [read_audio(utterances[index].audio) for index in chosen]
        batch = extractor(waveforms, return_attention_mask=True, return_tensors="np")
        inputs = batch["input_features"]
        labels, mask = inputs.copy(), batch["attention_mask"]
        selected = np.zeros((size, inputs.shape[1] // rate), np.bool_)
        for place, length in enumerate(mask.sum(1)):
            stacked = inputs[place, :length].reshape(length // rate, -1)
            selected[place, : length // rate] = mask_rows(stacked, 1, generator)
        arrays = {"input_features": inputs, "labels": labels, "attention_mask": mask, "mask_positions": selected}
        yield {name: torch.from_numpy(array) for name, array in arrays.items()}


def main() -> None:
    """Measure both and print frames per second and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="any folder of audio")
    parser.add_argument("--limit", type=int, default=300, help="utterances to use (default: 300)")
    parser.add_argument("--steps", type=int, default=30, help="steps per measurement (default: 30)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each; the median counts (default: 3)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers_logging.disable_progress_bar()
    recipe = replace(
        load_recipe("small"), steps=arguments.steps, log_steps=arguments.steps, checkpoint_steps=10**6 * arguments.steps
    )
    corpus = load_corpus(arguments.folder, limit=arguments.limit)
    speeds: dict[str, list[float]] = {"sat-probe": [], "plain": []}
    with tempfile.TemporaryDirectory() as folder:
        extractor = feature_extractor(model_config(recipe.model))
        began = time.process_time()
        store = feature_store(corpus, extractor, Path(folder))
        print(f"features of {store.seconds:.0f} s of audio: {time.process_time() - began:.1f} s, once")
        for number in range(arguments.rounds):  # alternating, so that a busy machine slows both
            for name, (seconds, frames) in {
                "sat-probe": ours(store, recipe, Path(folder, str(number))),
                "plain": plain(corpus, recipe),
            }.items():
                speeds[name].append(frames / seconds)
    for name, measured in speeds.items():
        print(f"{name:10s} {np.median(measured):9.0f} frames/s")
    ratio = float(np.median(np.divide(speeds["sat-probe"], speeds["plain"])))
    print(f"ratio      {ratio:9.2f}")


if __name__ == "__main__":
    main()
