"""Plan of a reproduction: what is measured, and on which speech (hub_configs/reproduction/*.yaml)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from sat_probe.configs import load_config, parse_config
from sat_probe.errors import ConfigurationError, CorpusError
from sat_probe.measures.boundaries.attention_features import AttentionFeatures
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.studies.choices import CorpusChoice
from sat_probe.studies.importance.ablation_lab import MODES, Mode
from sat_probe.studies.inputs import open_corpus
from sat_probe.studies.pretraining.recipe import PretrainingRecipe, block_width, load_recipe

Role = Literal["speech", "phones"]
_PARTS = ("train", "dev", "test")  # folder names that do not say which corpus it is


@dataclass(frozen=True, slots=True)
class ProbedSpeech(CorpusChoice):
    """A corpus that probes are trained on.

    Attributes:
        same_as: use the folder of the plan's `speech` or `phones`.
        part: use the folder of this name next to that one instead, if there is one ("test" next to "train").
        tasks: tasks for this corpus, where it lacks labels for some of those of `importance`.
    """

    same_as: Role | None = None
    part: str | None = None
    tasks: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Pretraining:
    """How the models are trained.

    Attributes:
        config: recipe of `sat-probe pretrain`, a name or a file.
        c_nums: frames masked together, one model for each; 3, 6 and 9 are the paper's M3, M6 and M9.
        steps: training steps; None keeps those of the recipe.
    """

    config: str
    c_nums: tuple[int, ...] = (3, 6, 9)
    steps: int | None = None

    def recipe(self) -> PretrainingRecipe:
        """Return the recipe, with `steps` if they are given."""
        recipe = load_recipe(self.config)
        return recipe if self.steps is None else replace(recipe, steps=self.steps)


@dataclass(frozen=True)
class BoundarySetting:
    """One way to read boundaries from a model; see `sat_probe.studies.segmentation.sources.Settings`."""

    features: AttentionFeatures = "rows"
    shifts: int = 1

    @property
    def name(self) -> str:
        """The setting in names of stages and files."""
        return f"{self.features.replace('_', '-')}-{self.shifts}"


@dataclass(frozen=True)
class Ablations:
    """Importance curves; see `sat_probe.studies.importance.options.Options`."""

    tasks: tuple[str, ...]
    rankings: tuple[str, ...]
    spans: tuple[int, ...]
    steps: int = 6
    modes: tuple[Mode, ...] = MODES
    random_seeds: int = 1


@dataclass(frozen=True)
class Speed:
    """Cost before and after pruning: seconds of audio per pass, number of repeats, frames of the limited span."""

    seconds: float = 30.0
    repeats: int = 6
    span: int = 15


@dataclass(frozen=True)
class SmallCTC:
    """A small Wav2Vec2-BERT trained to spell: the trained model of another family."""

    hidden_size: int = 96
    layers: int = 4
    heads: int = 4
    steps: int = 1200
    batch: int = 8
    learning_rate: float = 2e-3
    utterances: int | None = 1500


@dataclass(frozen=True)
class Control:
    """Random against trained weights: the number of random models and of utterances, and the other family."""

    seeds: int
    utterances: int
    ctc: SmallCTC


@dataclass(frozen=True)
class ReproductionPlan:
    """A whole reproduction.

    Attributes:
        description: whom the plan is for.
        speech: pre-training data; its transcripts train the other family of the control.
        phones: speech with hand-made alignments, for head analysis, relation maps, segmentation and control.
        probing: corpora that probes are trained on, with speakers or alignments; each gives its own curves.
        segmentation: how boundaries are read from every model, the paper's setting first.
        segmentation_trials: further settings, tried on the first model only.
        seed: random seed for splits, probes and intervals.
    """

    description: str
    speech: CorpusChoice
    phones: CorpusChoice
    probing: tuple[ProbedSpeech, ...]
    pretraining: Pretraining
    segmentation: tuple[BoundarySetting, ...]
    importance: Ablations
    speed: Speed
    control: Control
    segmentation_trials: tuple[BoundarySetting, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.segmentation:
            raise ConfigurationError("segmentation must name at least one setting")
        names = [corpus_name(speech) for speech in self.probing]
        if not names:
            raise ConfigurationError("probing must name at least one corpus")
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ConfigurationError(
                f"probing names the corpus {twice[0]!r} twice; with --speech and --timit, name two corpora"
            )
        if len(set(self.pretraining.c_nums)) < len(self.pretraining.c_nums) or not self.pretraining.c_nums:
            raise ConfigurationError("pretraining.c_nums must name at least one number, and none twice")
        for name, value, least in (
            ("control.seeds", self.control.seeds, 2),
            ("control.utterances", self.control.utterances, 1),
            ("control.ctc.steps", self.control.ctc.steps, 1),
            ("speed.repeats", self.speed.repeats, 1),
        ):
            if value < least:
                raise ConfigurationError(f"{name} must be at least {least}, found {value}")

    def settings(self) -> tuple[BoundarySetting, ...]:
        """Return all settings of segmentation, those used for every model first."""
        return (*self.segmentation, *self.segmentation_trials)

    def models(self) -> dict[str, int]:
        """Return the C_num of each model by its name, in the order of the plan."""
        rows = self.pretraining.recipe().model.downsample_rate
        return {f"M{c_num}": c_num for c_num in self.pretraining.c_nums if block_width(c_num, rows)}


def load_plan(name_or_path: str | Path, changes: Iterable[str] = ()) -> ReproductionPlan:
    """Return a plan of the package ("small", "paper") or of a YAML file, with some values changed.

    Args:
        name_or_path: name or file of the plan.
        changes: "pretraining.steps=20": a key, with dots between its levels, and a YAML value.

    Raises:
        ConfigurationError: unknown plan or key, malformed change, or impossible value.
    """
    plan = load_config("reproduction", name_or_path, ReproductionPlan)
    content: dict[str, Any] = json.loads(json.dumps(asdict(plan)))
    for change in changes:
        key, equals, text = change.partition("=")
        if not equals:
            raise ConfigurationError(f"--set {change}: must be KEY=VALUE, for example pretraining.steps=20")
        *path, last = key.strip().split(".")
        place = content
        for part in path:
            place = place.get(part) if isinstance(place, dict) else None  # type: ignore[assignment]
        if not isinstance(place, dict):
            raise ConfigurationError(f"--set {change}: there is no {'.'.join(path)} in the plan")
        try:
            place[last] = yaml.safe_load(text)
        except yaml.YAMLError:
            place[last] = text
    return parse_config(content, ReproductionPlan, source=f"{name_or_path} with --set") if changes else plan


def place_corpora(plan: ReproductionPlan, speech: Path | None, timit: Path | None) -> ReproductionPlan:
    """Return the plan with the folders of its corpora on this machine.

    Args:
        plan: the plan.
        speech: folder of the speech to train on.
        timit: folder of the corpus with hand-made alignments.

    Raises:
        ConfigurationError: if the plan names no corpus for one of them and no folder is given.
    """
    placed: dict[str, Any] = {"speech": _in_folder(plan.speech, speech), "phones": _in_folder(plan.phones, timit)}
    wanted = {
        "speech": "--speech FOLDER (speech to train on)",
        "phones": "--timit FOLDER (TIMIT, or other speech with phone labels)",
    }
    absent = [option for role, option in wanted.items() if placed[role].dataset is None]
    if absent:
        raise ConfigurationError(f"the plan leaves its corpora open; add {' and '.join(absent)}")
    return replace(plan, **placed, probing=tuple(_with_folder(one, placed) for one in plan.probing))


def open_speech(choice: CorpusChoice) -> Corpus:
    """Open a corpus of a plan.

    Raises:
        CorpusError: if it cannot be found or read; the message names the options that say where it is.
    """
    try:
        return open_corpus(choice)
    except CorpusError as error:
        raise CorpusError(f"{error} (--speech and --timit name the folders of a study's corpora)") from error


def corpus_label(choice: CorpusChoice) -> str:
    """Return a corpus without its path on this machine: "timit-sample", "speechocean762/test"."""
    path = Path(str(choice.dataset))
    return f"{path.parent.name}/{path.name}" if path.name in _PARTS else path.name


def corpus_name(choice: CorpusChoice) -> str:
    """Return a corpus in names of stages and files: "speechocean762-test", "librispeech-train-clean-100"."""
    if choice.dataset is None and isinstance(choice, ProbedSpeech):  # not placed yet
        return f"{choice.same_as}-{choice.part or choice.split}"
    return "-".join(part for part in (corpus_label(choice).replace("/", "-"), choice.split) if part)


def _in_folder(choice: CorpusChoice, folder: Path | None) -> CorpusChoice:
    """Return a corpus in a folder: a named corpus keeps its name, any other one is the folder."""
    if folder is None:
        return choice
    if choice.data_dir is None:
        return replace(choice, dataset=str(folder))
    return replace(choice, data_dir=str(folder))


def _with_folder(choice: ProbedSpeech, placed: Mapping[str, CorpusChoice]) -> ProbedSpeech:
    if choice.same_as is None:
        return choice
    known = placed[choice.same_as]
    part = Path(str(known.dataset)).parent / (choice.part or "")
    dataset = str(part) if choice.part and part.is_dir() else known.dataset
    return replace(choice, dataset=dataset, data_dir=known.data_dir)
