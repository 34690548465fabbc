"""Presets: a model pinned to a revision, with the corpus, phone set and scoring to measure it by."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sat_probe.configs import load_config
from sat_probe.errors import ConfigurationError, SatProbeError
from sat_probe.phones.phone_set import phone_set
from sat_probe.studies.choices import BUNDLED, CorpusChoice, Counting, ModelChoice, Scoring

_Choice = TypeVar("_Choice", ModelChoice, CorpusChoice, Scoring)


@dataclass(frozen=True, slots=True)
class Preset:
    """The content of `hub_configs/analysis/*.yaml`: a pinned model, and the corpus to measure it on.

    Attributes:
        description: one line for people.
        model: on the Hub, or "bundled".
        dataset: name of a corpus, or a folder of audio.
        phone_set: phones are folded into this set.
        tolerance: of a phone boundary (s).
        counting: rule by which boundaries are matched.
        revision: full commit of the model; every model on the Hub has one, so that a preset keeps its meaning.
        split: part of the corpus.
        limit: only the first so many utterances.
        allow_pickle: the revision may have no safetensors; its weights are unpickled, which runs none of its code.
    """

    description: str
    model: str
    dataset: str
    phone_set: str
    tolerance: float
    counting: Counting
    revision: str | None = None
    split: str | None = None
    limit: int | None = None
    allow_pickle: bool = False

    def __post_init__(self) -> None:
        if (self.revision is None) is not (self.model == BUNDLED):
            raise ConfigurationError("revision is needed for a model on the Hub, and for no other")
        if self.revision is not None and not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ConfigurationError(f"revision must be a full commit (40 hexadecimal digits), found {self.revision!r}")
        if not 0 < self.tolerance < 1:
            raise ConfigurationError(f"tolerance must be in seconds, between 0 and 1, found {self.tolerance:g}")
        if self.limit is not None and self.limit < 1:
            raise ConfigurationError(f"limit must be at least 1, found {self.limit}")
        try:
            phone_set(self.phone_set)
        except SatProbeError as error:
            raise ConfigurationError(f"phone_set: {error}") from error

    def fill(self, choice: _Choice) -> _Choice:
        """The choice with what was left out taken from the preset; what was given wins.

        Revision and pickle belong to the preset's model, split and phone set to its corpus: they are taken only with
        it.
        """
        match choice:
            case ModelChoice():
                own = ("model", "revision", "allow_pickle") if choice.model is None else ()
            case CorpusChoice():
                own = ("dataset", "split", "phone_set", "limit") if choice.dataset is None else ("limit",)
            case Scoring():
                own = ("counting", "tolerance")
        left_out = [name for name in own if getattr(choice, name) is None or getattr(choice, name) is False]
        return dataclasses.replace(choice, **{name: getattr(self, name) for name in left_out})


def load_preset(name_or_path: str | Path) -> Preset:
    """A preset that comes with the package, by name, or a YAML file with the same keys.

    Raises:
        ConfigurationError: unknown name, unknown or missing key, or a value that makes no sense.
    """
    return load_config("analysis", name_or_path, Preset)
