"""What a pre-training configuration (hub_configs/pretraining/*.yaml) may say."""

from __future__ import annotations

import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sat_probe.configs import config_folder, load_config
from sat_probe.errors import ConfigurationError


@dataclass(frozen=True)
class ModelShape:
    """The network; names and meanings are those of `MockingjayConfig`.

    hop_length (samples between two frames) may differ from the feature kind's own; None keeps that.
    """

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    downsample_rate: int = 3
    feature_kind: str = "online_log_mel"
    feature_size: int = 80
    hop_length: int | None = None
    target_kind: str | None = None
    target_size: int = 80
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    pre_layer_norm: bool = False
    share_layers: bool = False


@dataclass(frozen=True)
class DataCredits:
    """Whose speech a model is trained on: name, language (code), licence, attribution and where it comes from."""

    name: str
    language: str
    licence: str
    attribution: str
    source: str


@dataclass(frozen=True)
class PretrainingRecipe:
    """Everything about a run except C_num, the data and the folder.

    Attributes:
        model: the network.
        steps: optimiser steps.
        batch_frames: frames per step and process, padding included (before stacking).
        learning_rate: peak of the linear warm-up and decay.
        warmup_share: of the steps.
        weight_decay: of AdamW, on all but biases and layer norms.
        beta1, beta2, epsilon: of AdamW.
        clip_norm: largest norm of the gradient.
        accumulation: batches per optimiser step.
        longest_frames: longer utterances are cropped at random.
        random_phase: let a stacked row begin at any frame, not only at multiples of R.
        held_out_share: of the utterances, never trained on; their loss is followed beside the training loss.
        precision: float32, or mixed precision on a device that has it.
        log_steps: every so many steps a point of the curve.
        checkpoint_steps: every so many steps a checkpoint; a multiple of log_steps.
        seed: of weights, order, crops, masks and dropout.
        data: whose speech it is meant for; the model card repeats it.
    """

    model: ModelShape
    steps: int
    batch_frames: int
    learning_rate: float
    warmup_share: float = 0.07
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    clip_norm: float = 1.0
    accumulation: int = 1
    longest_frames: int = 1500
    random_phase: bool = False
    held_out_share: float = 0.02
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    log_steps: int = 50
    checkpoint_steps: int = 500
    seed: int = 1337
    data: DataCredits | None = None

    def __post_init__(self) -> None:
        for name in (
            "steps",
            "batch_frames",
            "accumulation",
            "longest_frames",
            "log_steps",
            "checkpoint_steps",
        ):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "clip_norm", "epsilon"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"{name} must be positive, got {getattr(self, name):g}")
        for name in ("warmup_share", "held_out_share", "beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be in [0, 1), got {getattr(self, name):g}")
        if self.weight_decay < 0 or self.seed < 0:
            raise ConfigurationError(
                f"weight_decay and seed must not be negative, got {self.weight_decay:g} and {self.seed}"
            )
        if self.checkpoint_steps % self.log_steps:
            raise ConfigurationError(
                f"checkpoint_steps ({self.checkpoint_steps}) must be a multiple of log_steps ({self.log_steps}), "
                "or a resumed run could not continue the loss curve"
            )
        if self.longest_frames < self.model.downsample_rate:
            raise ConfigurationError(
                f"longest_frames ({self.longest_frames}) is less than one stacked row "
                f"({self.model.downsample_rate} frames)"
            )

    def as_dict(self) -> dict[str, Any]:
        """Nested plain values, as in the YAML file."""
        return asdict(self)


def load_recipe(name_or_path: str | Path) -> PretrainingRecipe:
    """A configuration of the package ("small") or a user's own YAML file.

    Raises:
        ConfigurationError: unknown name, unreadable file, unknown or missing key, wrong type or value.
    """
    return load_config("pretraining", name_or_path, PretrainingRecipe)


def recipe_commit(name_or_path: str | Path) -> str | None:
    """The git commit that last changed a configuration file; None if git does not know the file as it is."""
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        path = config_folder("pretraining") / f"{name_or_path}.yaml"
    git = ["git", "-C", str(path.resolve().parent)]
    try:
        edited = subprocess.run(
            [*git, "status", "--porcelain", "--", path.name], capture_output=True, text=True, check=True
        )
        commit = subprocess.run(
            [*git, "log", "-1", "--format=%H", "--", path.name], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return None if edited.stdout else commit.stdout.strip() or None


def block_width(c_num: int, downsample_rate: int) -> int:
    """Rows per masked block, C_num / R.

    Raises:
        ConfigurationError: C_num is not a positive multiple of R.
    """
    if c_num < 1 or c_num % downsample_rate:
        raise ConfigurationError(
            f"--c-num must be a positive multiple of {downsample_rate}, got {c_num}: {downsample_rate} frames "
            "are stacked into one row and rows are masked whole"
        )
    return c_num // downsample_rate
