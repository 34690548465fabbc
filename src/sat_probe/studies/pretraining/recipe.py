"""Pre-training recipes (hub_configs/pretraining/*.yaml), and the network and features that one describes."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub.errors import StrictDataclassError
from transformers import set_seed

from sat_probe.configs import config_folder, load_config
from sat_probe.errors import ConfigurationError
from sat_probe.models.mockingjay import MockingjayConfig, MockingjayFeatureExtractor, MockingjayForPreTraining


@dataclass(frozen=True)
class ModelShape:
    """The network; names and meanings are those of `MockingjayConfig`.

    `hop_length` (samples from one frame to the next) overrides the hop of the feature kind; None keeps it.
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
    """The speech a model is trained on: name, language code, licence, attribution and address."""

    name: str
    language: str
    licence: str
    attribution: str
    source: str


@dataclass(frozen=True)
class PretrainingRecipe:
    """All settings of a run except C_num, the data and the output folder.

    Attributes:
        model: the network.
        steps: number of optimiser steps.
        batch_frames: frames per step and process, counted with padding and before stacking.
        learning_rate: peak of the linear warm-up and decay.
        warmup_share: share of the steps spent on the warm-up.
        weight_decay: AdamW's, applied to everything except biases and layer norms.
        beta1, beta2, epsilon: AdamW's.
        clip_norm: largest norm of the gradient.
        accumulation: batches per optimiser step.
        longest_frames: longer utterances are cropped at a random place.
        random_phase: start stacked rows at any frame, not only at multiples of R.
        held_out_share: share of the utterances that is never trained on and whose loss is logged too.
        precision: float32, or mixed precision on a device that supports it.
        log_steps: steps between two points of the loss curve.
        checkpoint_steps: steps between two checkpoints; a multiple of log_steps.
        seed: random seed for weights, order, crops, masks and dropout.
        data: credits of the speech the recipe is meant for, repeated on the model card.
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
        counts = ("steps", "batch_frames", "accumulation", "longest_frames", "log_steps", "checkpoint_steps")
        checks: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
            (counts, lambda value: value >= 1, "be at least 1"),
            (("learning_rate", "clip_norm", "epsilon"), lambda value: value > 0, "be positive"),
            (("warmup_share", "held_out_share", "beta1", "beta2"), lambda value: 0 <= value < 1, "be in [0, 1)"),
            (("weight_decay", "seed"), lambda value: value >= 0, "not be negative"),
        )
        for names, fits, wanted in checks:
            for name in names:
                if not fits(getattr(self, name)):
                    raise ConfigurationError(f"{name} must {wanted}, got {getattr(self, name):g}")
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


def load_recipe(name_or_path: str | Path) -> PretrainingRecipe:
    """Return a recipe of the package ("small", "large") or of a YAML file.

    Raises:
        ConfigurationError: unknown name, unreadable file, unknown or missing key, wrong type or value.
    """
    return load_config("pretraining", name_or_path, PretrainingRecipe)


def recipe_commit(name_or_path: str | Path) -> str | None:
    """Return the git commit that last changed a recipe's file; None if the file has uncommitted changes."""
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        path = config_folder("pretraining") / f"{name_or_path}.yaml"

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(path.resolve().parent), *arguments, "--", path.name]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return None if git("status", "--porcelain") else git("log", "-1", "--format=%H") or None
    except (OSError, subprocess.CalledProcessError):
        return None


def block_width(c_num: int, downsample_rate: int) -> int:
    """Return the rows per masked block, C_num / R.

    Raises:
        ConfigurationError: C_num is not a positive multiple of R.
    """
    if c_num < 1 or c_num % downsample_rate:
        raise ConfigurationError(
            f"--c-num must be a positive multiple of {downsample_rate}, got {c_num}: {downsample_rate} frames "
            "are stacked into one row and rows are masked whole"
        )
    return c_num // downsample_rate


def model_config(shape: ModelShape) -> MockingjayConfig:
    """Return the transformers configuration of a network.

    Raises:
        ConfigurationError: its sizes do not fit together.
    """
    try:
        return MockingjayConfig(**asdict(shape))
    except (ValueError, StrictDataclassError) as error:
        raise ConfigurationError(f"model: {' '.join(str(error.__cause__ or error).split())}") from error


def feature_extractor(config: MockingjayConfig) -> MockingjayFeatureExtractor:
    """Return the feature extractor that fits a configuration.

    Raises:
        ConfigurationError: no known features have its sizes.
    """
    try:
        extractor = MockingjayFeatureExtractor.for_config(config)
        for recipe in (extractor.recipe, extractor.target_recipe):
            if recipe is not None:
                recipe["hop_length"] = config.hop_length
        return extractor
    except ValueError as error:
        raise ConfigurationError(f"model: {error}") from error


def new_model(config: MockingjayConfig, seed: int) -> MockingjayForPreTraining:
    """Return an untrained network whose weights depend on the seed alone."""
    set_seed(seed)
    return MockingjayForPreTraining(config)
