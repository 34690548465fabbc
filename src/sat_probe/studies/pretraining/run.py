"""Pre-train a Mockingjay on a folder of audio with transformers' Trainer.

Liu et al., "Mockingjay", ICASSP 2020: masked rows of stacked frames are reconstructed, L1. C_num consecutive frames are
masked together (Yang et al. 2020 call the models of C_num 3, 6, 9 M3, M6, M9).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sat_probe.errors import ConfigurationError
from sat_probe.studies.pretraining.batches import MaskedBatches
from sat_probe.studies.pretraining.features import FeatureStore, feature_store
from sat_probe.studies.pretraining.recipe import feature_extractor, model_config, new_model
from sat_probe.studies.pretraining.recipe import PretrainingRecipe, block_width

if TYPE_CHECKING:
    from transformers import Trainer

    from sat_probe.phones.corpora.corpus import Corpus

RUN_FILE, CURVE_FILE, CHECKPOINTS = "run.json", "loss.csv", "checkpoints"
PARTIAL_RUN_FILE = "run.partial"  # what a run killed at its very start leaves


@dataclass(frozen=True)
class PretrainingResult:
    """What a run left.

    Attributes:
        folder: model, feature extractor, model card, loss.csv, loss.png and run.json.
        steps: optimiser steps of the whole run, before and after resuming.
        loss: masked L1 at the last point of the curve.
        held_out_loss: the same on utterances never trained on; None if none were held out.
        frames_per_second: frames trained on in this session per second of it.
    """

    folder: Path
    steps: int
    loss: float
    held_out_loss: float | None
    frames_per_second: float


def pretrain(
    corpus: Corpus,
    recipe: PretrainingRecipe,
    c_num: int,
    output: Path,
    *,
    resume: bool = False,
    cache: Path | None = None,
    strict: bool = False,
    commit: str | None = None,
    on_features: Callable[[int], object] = lambda count: None,
    progress: bool = False,
) -> PretrainingResult:
    """Pre-train one model and save it as a folder that `AutoProbedModel` loads.

    A run killed at any moment continues with `resume=True` from its last checkpoint and ends with the loss curve and
    the weights of an unbroken one: each batch and its masks depend on the seed and the step alone.

    Args:
        corpus: utterances to train on; labels are not read.
        recipe: network, optimiser and schedule.
        c_num: frames masked together, a multiple of R.
        output: folder to write.
        resume: continue the run in that folder, which must be of the same recipe, C_num and data.
        cache: folder of the cached features.
        strict: raise at the first bad audio file instead of skipping it.
        commit: of the file the recipe was read from, for the model card.
        on_features: called with 1 after each utterance whose features are computed.
        progress: show a bar on standard error.

    Raises:
        ConfigurationError: the recipe does not fit, or the folder holds something else, another run, or one and
            `resume` is not set.
        AudioError, CorpusError: as `feature_store`.
    """
    import torch
    from accelerate import PartialState

    from sat_probe.studies.pretraining.card import names_speech, save_run
    from sat_probe.studies.pretraining.trainer import build_trainer, newest_checkpoint

    width = block_width(c_num, recipe.model.downsample_rate)
    config = model_config(recipe.model)
    extractor = feature_extractor(config)
    processes = PartialState(cpu=not torch.accelerator.is_available())
    # of several processes the first one writes features and run.json, the others then find them
    with processes.main_process_first():
        if processes.is_main_process:
            _check_folder(output, resume)
        store = feature_store(corpus, extractor, cache, strict, on_features)
        train, held_out = split_utterances(store, recipe.held_out_share, recipe.seed)
        run: dict[str, Any] = {
            "c_num": c_num,
            "recipe": recipe.as_dict(),
            "data": {
                "corpus": Path(corpus.name).name,
                "utterances": len(store),
                "held_out_utterances": len(held_out),
                "hours": round(store.seconds / 3600, 4),
                "frames": int(store.lengths.sum()),
                "skipped": list(store.skipped),
            },
            "configuration_commit": commit,
        }
        if processes.is_main_process:
            _open_run(output, run)
        checkpoint = newest_checkpoint(output / CHECKPOINTS) if resume else None

    def batches(utterances: NDArray[np.int64], seed: int, **settings: Any) -> MaskedBatches:
        return MaskedBatches(
            store,
            utterances,
            batch_frames=recipe.batch_frames,
            width=width,
            downsample_rate=recipe.model.downsample_rate,
            seed=seed,
            longest_frames=recipe.longest_frames,
            **settings,
        )

    trainer = build_trainer(
        new_model(config, recipe.seed),
        recipe,
        folder=output / CHECKPOINTS,
        curve=output / CURVE_FILE,
        train=lambda count: batches(train, recipe.seed, count=count, random_phase=recipe.random_phase),
        held_out=batches(held_out, recipe.seed + 1) if len(held_out) else None,
        progress=progress,
    )
    first_step, began = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0, time.perf_counter()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    run |= _outcome(trainer, first_step, time.perf_counter() - began)
    run["of_credited_speech"] = names_speech(recipe.data, corpus)
    if trainer.is_world_process_zero():
        save_run(output, trainer.model, extractor, run)
    return PretrainingResult(
        output, run["steps"], run["loss"], run["held_out_loss"], run["frames_per_second"]
    )


def split_utterances(
    store: FeatureStore, share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the utterances to train on and of those held out, both in the order of the corpus."""
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
        foreign = sorted(path.name for path in output.iterdir() if path.name != PARTIAL_RUN_FILE)
        if foreign:  # another model, perhaps, which this one would replace
            raise ConfigurationError(
                f"{output} holds {foreign[0]!r} and no pre-training run; choose a new or empty folder for --output"
            )


def _open_run(output: Path, run: Mapping[str, Any]) -> None:
    """Write down what the run is, or, if that is known already, check that it is the same."""
    path = output / RUN_FILE
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        if "finished" in before:
            raise ConfigurationError(
                f"the run in {output} is finished ({before['steps']} steps); nothing to resume"
            )
        changed = sorted(
            name for name, value in _settings(run).items() if _settings(before).get(name) != value
        )
        if changed:
            raise ConfigurationError(
                f"{output} holds a run that differs in {', '.join(changed)}; choose another --output"
            )
        return
    output.mkdir(parents=True, exist_ok=True)
    partial = output / PARTIAL_RUN_FILE
    partial.write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def _settings(run: Mapping[str, Any]) -> dict[str, Any]:
    """What must be equal for one run to continue another; how a recipe words its data may change at any time."""
    recipe = {f"recipe.{name}": value for name, value in run["recipe"].items() if name != "data"}
    data = {f"data.{name}": run["data"][name] for name in ("utterances", "held_out_utterances", "frames")}
    return {"c_num": run["c_num"], **recipe, **data}


def _outcome(trainer: Trainer, first_step: int, seconds: float) -> dict[str, Any]:
    """What a finished run reports: losses, and the speed of this session."""
    import datasets
    import torch
    import transformers

    history = trainer.state.log_history
    losses = [(entry["step"], entry["loss"]) for entry in history if "loss" in entry]
    held_out = [(entry["step"], entry["eval_loss"]) for entry in history if "eval_loss" in entry]
    data = trainer.train_dataset
    frames = sum(
        data.frames(number)
        for number in range(first_step * trainer.args.gradient_accumulation_steps, len(data))
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
        "versions": {module.__name__: module.__version__ for module in (torch, transformers, datasets, np)},
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
