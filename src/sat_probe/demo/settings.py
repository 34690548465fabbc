"""Settings of a demo: which models and reports its visitors may use, and its limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sat_probe.configs import available_configs
from sat_probe.errors import ConfigurationError
from sat_probe.studies.choices import ModelChoice
from sat_probe.studies.presets import load_preset

BUNDLED_LABEL = "Mockingjay, small (bundled)"
_LIMITS = ("max_seconds", "max_upload_bytes", "concurrency", "queue_size", "sessions", "session_seconds")


def preset_models() -> dict[str, ModelChoice]:
    """Return the bundled model, then the models of the presets, each pinned to a commit; by the label shown."""
    choices = {BUNDLED_LABEL: ModelChoice()}
    for name in available_configs("analysis"):
        choice = load_preset(name).fill(ModelChoice())
        if not choice.is_bundled:
            choices[choice.name] = choice
    return choices


def named_models(names: Iterable[str]) -> dict[str, ModelChoice]:
    """Return models by the label shown: folders by their own name, models on the Hub by the name that was given.

    Args:
        names: folders, or models on the Hub as "owner/name" or "owner/name@revision".

    Raises:
        ConfigurationError: if two folders have the same name.
    """
    choices: dict[str, ModelChoice] = {}
    for name in dict.fromkeys(names):
        model, _, revision = (name, "", "") if Path(name).is_dir() else name.partition("@")
        choice = ModelChoice(model, revision or None)
        label = f"{choice.name}@{revision}" if revision else choice.name
        if label in choices:
            raise ConfigurationError(f"two models are named {label!r}; rename one of the folders")
        choices[label] = choice
    return choices


@dataclass(frozen=True)
class DemoSettings:
    """Settings of one demo.

    Args:
        models: models that visitors may run, by the label they read; the first one is selected at the start.
        reports: reports that the Report and Compare tabs offer: folders, or datasets on the Hub as "owner/name",
            "owner/name:model" or "owner/name:model@revision". The bundled reports are always offered.
        max_seconds: longest recording.
        max_upload_bytes: largest file.
        concurrency: number of requests that compute at the same time.
        queue_size: number of requests that may wait; further ones are refused with a message.
        sessions: number of visitors whose state is kept; the oldest session is dropped first.
        session_seconds: how long a visitor's recording and results are kept after their last use.

    Raises:
        ConfigurationError: if there is no model, or a limit is not positive.
    """

    models: Mapping[str, ModelChoice] = field(default_factory=preset_models)
    reports: tuple[str, ...] = ()
    max_seconds: float = 20.0
    max_upload_bytes: int = 16 * 2**20
    concurrency: int = 2
    queue_size: int = 64
    sessions: int = 200
    session_seconds: int = 1800

    def __post_init__(self) -> None:
        if not self.models:
            raise ConfigurationError("a demo needs at least one model")
        for name in _LIMITS:
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"{name} must be positive, found {getattr(self, name)}")

    def model(self, label: str) -> ModelChoice:
        """Return the model with this label.

        Raises:
            ConfigurationError: if there is none.
        """
        if label not in self.models:
            raise ConfigurationError("this model is not offered here; choose one from the list")
        return self.models[label]
