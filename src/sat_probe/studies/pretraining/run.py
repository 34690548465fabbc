"""Pre-training of a Mockingjay on a folder of audio, with transformers' Trainer.

Liu et al., "Mockingjay", ICASSP 2020: masked rows of stacked frames are reconstructed with an L1 loss. C_num
consecutive frames are masked together (Yang et al. 2020 call the models with C_num 3, 6 and 9 M3, M6 and M9).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from transformers import Trainer

from sat_probe.errors import ConfigurationError
from sat_probe.files import write_atomically
from sat_probe.studies.choices import CorpusChoice
from sat_probe.studies.inputs import open_corpus
from sat_probe.studies.pretraining.batches import MaskedBatches
from sat_probe.studies.pretraining.card import names_speech, save_run
from sat_probe.studies.pretraining.features import FeatureStore, feature_store
from sat_probe.studies.pretraining.recipe import (
    PretrainingRecipe,
    block_width,
    feature_extractor,
    load_recipe,
    model_config,
    new_model,
    recipe_commit,
)
from sat_probe.studies.pretraining.trainer import build_trainer, newest_checkpoint
from sat_probe.studies.run_options import versions

RUN_FILE, CURVE_FILE, CHECKPOINTS = "run.json", "loss.csv", "checkpoints"


@dataclass(frozen=True)
class PretrainingResult:
    """The outcome of a finished run.

    Attributes:
        folder: holds the model, feature extractor, model card, loss.csv, loss.png and run.json.
        steps: optimiser steps of the whole run, before and after resuming.
        loss: masked L1 at the last point of the loss curve.
        held_out_loss: the same on held-out utterances; None if there are none.
        frames_per_second: training speed in this session.
    """

    folder: Path
    steps: int
    loss: float
    held_out_loss: float | None
    frames_per_second: float


def pretrain(
    dataset: Any,
    recipe: PretrainingRecipe | str | Path,
    c_num: int,
    output: str | Path,
    *,
    data_dir: str | Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    resume: bool = False,
    cache: str | Path | None = None,
    strict: bool = False,
    commit: str | None = None,
    on_features: Callable[[int], object] = lambda count: None,
    progress: bool = False,
) -> PretrainingResult:
    """Pre-train a Mockingjay (Liu et al. 2020) and save it as a folder that `AutoProbedModel` loads.

    A run killed at any moment and continued with ``resume=True`` gives the same loss curve and weights as an
    uninterrupted one: each batch and its masks depend on the seed and the step alone.

    Args:
        dataset: speech to train on: whatever :func:`~sat_probe.load_corpus` takes; labels are not read.
        recipe: network, optimiser and schedule: "small", "large", a YAML file like them, or a recipe object.
        c_num: frames masked together, a multiple of the recipe's R (3): 3, 6 and 9 give the paper's M3, M6 and M9.
        output: new or empty folder for the model.
        data_dir: directory of a named corpus.
        split: part of the corpus.
        limit: use only the first so many utterances.
        resume: continue the run in ``output``, which must have the same recipe, C_num and data.
        cache: folder of cached features; $SAT_PROBE_CACHE or ~/.cache/sat_probe by default.
        strict: raise at the first bad audio file instead of skipping it.
        commit: git commit of the file that a recipe object was read from, for the model card.
        on_features: called with 1 after the features of each utterance are computed.
        progress: show a progress bar on standard error.

    Raises:
        ConfigurationError: the recipe does not fit, ``output`` holds something else or another run, or it holds this
            run and ``resume`` is not set.
        CorpusError: the corpus cannot be found, or none of its audio can be used.
        AudioError: at the first bad file, if strict.
        ModelError: the loss is no longer finite.

    Example:
        >>> import tempfile
        >>> from dataclasses import replace
        >>> from sat_probe.studies.pretraining.recipe import load_recipe
        >>> short = replace(load_recipe("small"), steps=2, log_steps=1, checkpoint_steps=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = pretrain("bundled", short, c_num=3, output=folder, limit=4, cache=folder + "-cache")
        >>> result.steps
        2
    """
    if not isinstance(recipe, PretrainingRecipe):
        commit = commit or recipe_commit(recipe)
        recipe = load_recipe(recipe)
    output, cache = Path(output), None if cache is None else Path(cache)
    corpus = open_corpus(CorpusChoice(dataset, data_dir=data_dir, split=split, limit=limit))
    width = block_width(c_num, recipe.model.downsample_rate)
    config = model_config(recipe.model)
    extractor = feature_extractor(config)
    processes = PartialState(cpu=not torch.accelerator.is_available())
    # the first of several processes writes features and run.json; the others wait and find them
    with processes.main_process_first():
        if processes.is_main_process:
            _check_folder(output, resume)
        store = feature_store(corpus, extractor, cache, strict, on_features)
        train, held_out = split_utterances(store, recipe.held_out_share, recipe.seed)
        run: dict[str, Any] = {
            "c_num": c_num,
            "recipe": asdict(recipe),
            "data": {
                "corpus": Path(corpus.name).name,
                "digest": corpus.digest,
                "utterances": len(store),
                "held_out_utterances": len(held_out),
                "hours": round(store.seconds / 3600, 4),
                "frames": int(store.lengths.sum()),
                "skipped": store.skipped,
            },
            "configuration_commit": commit,
        }
        if processes.is_main_process:
            _open_run(output, run)
        checkpoint = newest_checkpoint(output / CHECKPOINTS) if resume else None

    batches = partial(
        MaskedBatches, store, batch_frames=recipe.batch_frames, width=width,
        downsample_rate=recipe.model.downsample_rate, longest_frames=recipe.longest_frames,
    )  # fmt: skip
    trainer = build_trainer(
        new_model(config, recipe.seed),
        recipe,
        folder=output / CHECKPOINTS,
        curve=output / CURVE_FILE,
        train=partial(batches, train, seed=recipe.seed, random_phase=recipe.random_phase),
        held_out=batches(held_out, seed=recipe.seed + 1) if len(held_out) else None,
        progress=progress,
    )
    first_step, began = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0, time.perf_counter()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    run |= _outcome(trainer, first_step, time.perf_counter() - began)
    run["of_credited_speech"] = names_speech(recipe.data, corpus)
    if trainer.is_world_process_zero():
        save_run(output, trainer.model, extractor, run)
    return PretrainingResult(output, run["steps"], run["loss"], run["held_out_loss"], run["frames_per_second"])


def split_utterances(store: FeatureStore, share: float, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of training and held-out utterances, both in the order of the corpus."""
    count = round(share * len(store))
    order = np.random.default_rng(seed).permutation(len(store))
    return np.sort(order[count:]), np.sort(order[:count])


def _check_folder(output: Path, resume: bool) -> None:
    started = (output / RUN_FILE).is_file()
    if started and not resume:
        raise ConfigurationError(
            f"{output} already holds a pre-training run; continue it with --resume or choose another --output"
        )
    if resume and not started:
        raise ConfigurationError(f"{output} holds no pre-training run to resume; start it without --resume")
    if output.exists() and not started:
        if not output.is_dir():
            raise ConfigurationError(f"{output} is a file, not a folder; choose another --output")
        unfinished = f".{RUN_FILE}."  # a run killed at its very start leaves such a file
        foreign = sorted(path.name for path in output.iterdir() if not path.name.startswith(unfinished))
        if foreign:  # perhaps another model, which this one would replace
            raise ConfigurationError(
                f"{output} holds {foreign[0]!r} and no pre-training run; choose a new or empty folder for --output"
            )


def _open_run(output: Path, run: Mapping[str, Any]) -> None:
    """Write run.json for a new run; for a resumed one check that it is the same run."""
    path = output / RUN_FILE
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        if "finished" in before:
            raise ConfigurationError(f"the run in {output} is finished ({before['steps']} steps); nothing to resume")
        changed = sorted(name for name, value in _settings(run).items() if _settings(before).get(name) != value)
        if changed:
            raise ConfigurationError(
                f"{output} holds a run that differs in {', '.join(changed)}; choose another --output"
            )
        return
    output.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(run, indent=2).encode() + b"\n")


def _settings(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that a resumed run must share; the wording of the recipe's credits is not one of them."""
    recipe = {f"recipe.{name}": value for name, value in run["recipe"].items() if name != "data"}
    data = {f"data.{name}": run["data"].get(name) for name in ("digest", "held_out_utterances", "frames")}
    return {"c_num": run["c_num"], **recipe, **data}


def _outcome(trainer: Trainer, first_step: int, seconds: float) -> dict[str, Any]:
    """Return what run.json says about a finished run: losses, and the speed of this session."""
    history = trainer.state.log_history
    losses = [(entry["step"], entry["loss"]) for entry in history if "loss" in entry]
    held_out = [(entry["step"], entry["eval_loss"]) for entry in history if "eval_loss" in entry]
    data = trainer.train_dataset
    frames = sum(
        data.frames(number) for number in range(first_step * trainer.args.gradient_accumulation_steps, len(data))
    )
    return {
        "steps": trainer.state.global_step,
        "first_loss": losses[0][1],
        "loss": losses[-1][1],
        "first_held_out_loss": held_out[0][1] if held_out else None,
        "held_out_loss": held_out[-1][1] if held_out else None,
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "seconds": round(seconds, 1),
        "frames_per_second": round(frames / max(seconds, 1e-9), 1),
        "device": str(trainer.args.device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
