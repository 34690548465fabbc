"""Trainer for numbered batches: transformers' own, with checkpoints, a loss curve and a progress bar."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import ProgressCallback, TrainerControl, TrainerState

from sat_probe.errors import ModelError
from sat_probe.files import write_atomically
from sat_probe.studies.pretraining.batches import MaskedBatches, join_batches
from sat_probe.studies.pretraining.recipe import PretrainingRecipe

CURVE_COLUMNS = ("step", "loss", "held_out_loss", "learning_rate", "gradient_norm")
_LOGGED_AS = {"held_out_loss": "eval_loss", "gradient_norm": "grad_norm"}


def build_trainer(
    model: Any,
    recipe: PretrainingRecipe,
    *,
    folder: Path,
    curve: Path,
    train: Callable[[int], MaskedBatches],
    held_out: MaskedBatches | None,
    progress: bool,
) -> Trainer:
    """Return the Trainer of one run.

    Args:
        model: `MockingjayForPreTraining`.
        recipe: optimiser and schedule.
        folder: folder of the checkpoints.
        curve: CSV file of the loss curve.
        train: returns a given number of training batches.
        held_out: batches for the held-out loss, or None.
        progress: show a progress bar on standard error.
    """
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=recipe.steps,
        per_device_train_batch_size=1,  # one numbered batch
        per_device_eval_batch_size=1,
        gradient_accumulation_steps=recipe.accumulation,
        train_sampling_strategy="sequential",
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=round(recipe.warmup_share * recipe.steps),
        optim="adamw_torch_fused",
        weight_decay=recipe.weight_decay,
        adam_beta1=recipe.beta1,
        adam_beta2=recipe.beta2,
        adam_epsilon=recipe.epsilon,
        max_grad_norm=recipe.clip_norm,
        seed=recipe.seed,
        use_cpu=not torch.accelerator.is_available(),  # without it, several processes would not find each other
        bf16=recipe.precision == "bfloat16",
        fp16=recipe.precision == "float16",
        logging_steps=recipe.log_steps,
        logging_nan_inf_filter=False,
        save_steps=recipe.checkpoint_steps,
        save_total_limit=2,
        eval_strategy="no" if held_out is None else "steps",
        eval_steps=recipe.checkpoint_steps,
        eval_on_start=held_out is not None,
        prediction_loss_only=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        report_to="none",
    )
    batches = recipe.steps * recipe.accumulation * max(arguments.world_size, arguments.n_gpu, 1)
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=train(batches),
        eval_dataset=held_out,
        data_collator=join_batches,
        callbacks=[LossCurve(curve), *([ProgressBar()] if progress else [])],
    )
    for printer in (PrinterCallback, ProgressCallback):  # both write to standard output
        trainer.remove_callback(printer)
    return trainer


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint and remove the half-written ones of a killed run.

    The Trainer writes the state file last, so a checkpoint with a readable one is complete.
    """
    found = sorted(
        folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True
    )
    for path in found:
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            shutil.rmtree(path)
        else:
            return path
    return None


class LossCurve(TrainerCallback):
    """Callback that writes the loss curve as a CSV file; a resumed run starts with the points of its checkpoint.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Write the points so far.

        Raises:
            ModelError: the loss is no longer finite.
        """
        last = state.log_history[-1]
        if not math.isfinite(last.get("loss", 0.0)):
            raise ModelError(
                f"the loss is {last['loss']} after {state.global_step} steps: the training has diverged; "
                "lower learning_rate or clip_norm"
            )
        if not state.is_world_process_zero:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, CURVE_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(curve_points(state.log_history))
        write_atomically(self.path, text.getvalue().encode())


def curve_points(log_history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the loss curve, one row per logged step; values that were not measured are left out."""
    points: dict[int, dict[str, Any]] = {}
    for entry in log_history:
        values = {
            name: entry[_LOGGED_AS.get(name, name)]
            for name in CURVE_COLUMNS
            if _LOGGED_AS.get(name, name) in entry
        }
        if len(values) > 1:
            points.setdefault(entry["step"], {}).update(values)
    return [points[step] for step in sorted(points)]


class ProgressBar(TrainerCallback):
    """Callback that shows steps, time left and the latest losses on standard error."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.losses: dict[str, str] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            self.bar = tqdm(
                total=state.max_steps,
                initial=state.global_step,
                unit="step",
                desc="pre-training",
                mininterval=1.0,
            )

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.bar is not None:
            self.bar.update(state.global_step - self.bar.n)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        last = state.log_history[-1]
        self.losses |= {
            shown: f"{last[key]:.4f}"
            for key, shown in (("loss", "loss"), ("eval_loss", "held_out"))
            if key in last
        }
        if self.bar is not None:
            self.bar.set_postfix(self.losses)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.bar is not None:
            self.bar.close()
