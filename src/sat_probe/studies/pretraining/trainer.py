"""Trainer for numbered batches: transformers' own, with checkpoints, a loss curve and a progress bar."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import ProgressCallback, TrainerControl, TrainerState

from sat_probe.errors import ModelError
from sat_probe.files import write_atomically
from sat_probe.studies.pretraining.batches import MaskedBatches, join_batches
from sat_probe.studies.pretraining.recipe import PretrainingRecipe

_COLUMNS = {
    "loss": "loss", "eval_loss": "held_out_loss", "learning_rate": "learning_rate", "grad_norm": "gradient_norm",
}  # fmt: skip


def build_trainer(
    model: Any,
    recipe: PretrainingRecipe,
    *,
    folder: Path,
    curve: Path,
    train: Callable[..., MaskedBatches],
    held_out: MaskedBatches | None,
    progress: bool,
) -> Trainer:
    """Return the Trainer of one run.

    Args:
        model: `MockingjayForPreTraining`.
        recipe: optimiser and schedule.
        folder: folder of the checkpoints.
        curve: CSV file of the loss curve.
        train: returns the training batches; `count` is their number.
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
        train_dataset=train(count=batches),
        eval_dataset=held_out,
        data_collator=join_batches,
        callbacks=[LossCurve(curve), *([ProgressBar()] if progress else [])],
    )
    trainer.remove_callback(PrinterCallback)  # it writes to standard output
    return trainer


def newest_checkpoint(folder: Path) -> Path | None:
    """Return the newest complete checkpoint and remove the half-written ones of a killed run.

    The Trainer writes the state file last, so a checkpoint with a readable one is complete.
    """
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
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

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
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
        write_atomically(self.path, curve_table(state.log_history).to_csv(lineterminator="\n").encode())


def curve_table(log_history: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the loss curve, one row per logged step; values that were not measured are NaN."""
    table = (
        pd.DataFrame(log_history).rename(columns=_COLUMNS).set_index("step").reindex(columns=list(_COLUMNS.values()))
    )
    return table.groupby("step").last().dropna(how="all")


class ProgressBar(ProgressCallback):
    """Callback that shows steps, time left and the latest losses on standard error."""

    def __init__(self) -> None:
        super().__init__()
        self.losses: dict[str, str] = {}

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Show the losses, which transformers' own callback would write to standard output."""
        last = state.log_history[-1]
        self.losses |= {_COLUMNS[key]: f"{last[key]:.4f}" for key in ("loss", "eval_loss") if key in last}
        if self.training_bar is not None:
            self.training_bar.set_postfix(self.losses)
