"""What the operator of a demo allows: nothing else can be asked for by its visitors."""

from __future__ import annotations

from dataclasses import dataclass, field

from sat_probe.configs import available_configs
from sat_probe.errors import ConfigurationError
from sat_probe.studies.presets import load_preset

BUNDLED_LABEL = "Mockingjay, small (bundled)"


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that visitors may choose.

    Args:
        label: what they read.
        model: on the Hub or a folder; None is the bundled one.
        revision: on the Hub; a full commit means the same for ever.
        allow_pickle: its weights may be read from pytorch_model.bin.
    """

    label: str
    model: str | None = None
    revision: str | None = None
    allow_pickle: bool = False


def preset_models() -> tuple[ModelChoice, ...]:
    """The models of the presets that come with sat-probe, the bundled one first; each pinned to a commit."""
    choices = [ModelChoice(BUNDLED_LABEL)]
    for name in available_configs("analysis"):
        preset = load_preset(name)
        if preset.model != "bundled":
            choices.append(ModelChoice(preset.model, preset.model, preset.revision, preset.allow_pickle))
    return tuple(choices)


@dataclass(frozen=True)
class DemoSettings:
    """Limits of one demo.

    Args:
        models: what visitors may run; the first is chosen at the start.
        reports: what the Report and Compare tabs may open, as `sat-probe compare` takes them: folders, or datasets on
            the Hub as "owner/name", "owner/name:model" or "owner/name:model@revision". The bundled report is always
            there.
        max_seconds: longest recording that is analysed.
        max_upload_bytes: largest file that is taken.
        concurrency: how many requests compute at once.
        queue_size: how many may wait; more are turned away with a message.
        sessions: how many visitors are remembered; the one who was there longest ago is forgotten first.
        session_seconds: what a visitor's recording and results live for after their last use.

    Raises:
        ConfigurationError: no model, two of one label, or a limit that is not positive.
    """

    models: tuple[ModelChoice, ...] = field(default_factory=preset_models)
    reports: tuple[str, ...] = ()
    max_seconds: float = 20.0
    max_upload_bytes: int = 16 * 2**20
    concurrency: int = 2
    queue_size: int = 64
    sessions: int = 200
    session_seconds: int = 1800

    def __post_init__(self) -> None:
        labels = [choice.label for choice in self.models]
        if not labels or len(set(labels)) < len(labels):
            raise ConfigurationError(f"models must be one or more, each with its own label, found {labels}")
        limits = (
            "max_seconds",
            "max_upload_bytes",
            "concurrency",
            "queue_size",
            "sessions",
            "session_seconds",
        )
        for name in limits:
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"{name} must be positive, found {getattr(self, name)}")

    def model(self, label: str) -> ModelChoice:
        """The choice of this label.

        Raises:
            ConfigurationError: there is none.
        """
        for choice in self.models:
            if choice.label == label:
                return choice
        raise ConfigurationError("this model is not offered here; choose one of the list")
