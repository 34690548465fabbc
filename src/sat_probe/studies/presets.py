"""Presets of an analysis: a model pinned to a revision, with the corpus, phone set and tolerance to measure it on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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


def load_preset(name_or_path: str | Path) -> AnalysisPreset:
    """A preset that comes with the package, by name, or a YAML file with the same keys.

    Raises:
        ConfigurationError: unknown name, unknown or missing key, or a value that makes no sense.
    """
    return load_config("analysis", name_or_path, AnalysisPreset)


def fill_from_preset(name_or_path: str | Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a study with what was left out (None) filled from a preset; what was given wins.

    Revision and pickle belong to the preset's model, split and phone set to its corpus: they are taken only with it.

    Raises:
        ConfigurationError: as `load_preset`.
    """
    preset = load_preset(name_or_path)
    filled = dict(options)
    taken = {"limit", "tolerance", "counting"}
    if filled.get("model") is None:
        filled["model"] = None if preset.model == "bundled" else preset.model
        filled["allow_pickle"] = filled.get("allow_pickle") or preset.allow_pickle
        taken |= {"revision"}
    if filled.get("dataset") is None:
        taken |= {"dataset", "split", "phone_set"}
    for name in taken & filled.keys():
        filled[name] = getattr(preset, name) if filled[name] is None else filled[name]
    return filled
