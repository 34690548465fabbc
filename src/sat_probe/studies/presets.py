"""Presets of an analysis: a model pinned to a revision, with the corpus, phone set and tolerance to measure it on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sat_probe.configs import load_config
from sat_probe.errors import ConfigurationError, SatProbeError
from sat_probe.phones.phone_set import phone_set


@dataclass(frozen=True, slots=True)
class AnalysisPreset:
    """The content of `hub_configs/analysis/*.yaml`.

    Attributes:
        model: on the Hub, or "bundled".
        revision: full commit of the model; every model on the Hub has one, so that the preset means the same for ever.
        dataset: name of a corpus, or a folder of audio.
        split: part of the corpus.
        limit: only the first so many utterances.
        phone_set: phones are folded into this set.
        tolerance: of a phone boundary (s).
        counting: rule by which boundaries are matched.
        allow_pickle: the revision may have no safetensors; its weights are unpickled, which runs no code of theirs.
    """

    description: str
    model: str
    dataset: str
    phone_set: str
    tolerance: float
    counting: Literal["rasanen", "strict", "lenient"]
    revision: str | None = None
    split: str | None = None
    limit: int | None = None
    allow_pickle: bool = False

    def __post_init__(self) -> None:
        if (self.revision is None) is not (self.model == "bundled"):
            raise ConfigurationError("revision is needed for a model on the Hub, and for no other")
        if self.revision is not None and not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ConfigurationError(
                f"revision must be a full commit (40 hexadecimal digits), found {self.revision!r}"
            )
        if not 0 < self.tolerance < 1:
            raise ConfigurationError(
                f"tolerance must be in seconds, between 0 and 1, found {self.tolerance:g}"
            )
        if self.limit is not None and self.limit < 1:
            raise ConfigurationError(f"limit must be at least 1, found {self.limit}")
        try:
            phone_set(self.phone_set)
        except SatProbeError as error:
            raise ConfigurationError(f"phone_set: {error}") from error

    @property
    def pinned_model(self) -> str | None:
        """What `analyze_model` takes: the name of the model, None for the bundled one."""
        return None if self.model == "bundled" else self.model


def load_preset(name_or_path: str | Path) -> AnalysisPreset:
    """A preset that comes with the package, by name, or a YAML file with the same keys.

    Raises:
        ConfigurationError: unknown name, unknown or missing key, or a value that makes no sense.
    """
    return load_config("analysis", name_or_path, AnalysisPreset)
