"""What a reproduction of the paper measures, and on which speech: the content of `hub_configs/reproduction/*.yaml`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from sat_probe.configs import load_config, parse_config
from sat_probe.errors import ConfigurationError, CorpusError
from sat_probe.phones.corpora.corpus import Corpus, load_corpus
from sat_probe.studies.pretraining.recipe import PretrainingRecipe, block_width, load_recipe

_PARTS = ("train", "dev", "test")  # folders of a corpus that do not say which corpus it is


@dataclass(frozen=True)
class Speech:
    """A corpus as `load_corpus` takes it: a name with the folder it lies in, or a folder alone."""

    dataset: str
    data_dir: str | None = None
    split: str | None = None
    limit: int | None = None
    alignments: str | None = None
    phone_set: str | None = None

    @property
    def shown(self) -> str:
        """The corpus without where it lies: "timit-sample", "speechocean762/test"."""
        path = Path(self.dataset)
        return f"{path.parent.name}/{path.name}" if path.name in _PARTS else path.name

    @property
    def name(self) -> str:
        """As stages and files are called."""
        return "-".join(part for part in (self.shown.replace("/", "-"), self.split) if part)

    def load(self, limit: int | None = None) -> Corpus:
        """The corpus, or its first utterances."""
        chosen = {name: getattr(self, name) for name in ("data_dir", "split", "alignments", "phone_set")}
        fewest = min((count for count in (self.limit, limit) if count is not None), default=None)
        try:
            return load_corpus(self.dataset, limit=fewest, **chosen)
        except CorpusError as error:
            if "no such folder" not in str(error):
                raise
            place = self.data_dir or self.dataset
            raise CorpusError(
                f"{place}: no such folder; say where the study's corpora lie on this machine: --speech for the one to "
                "train on, --timit for the one with phones"
            ) from error


@dataclass(frozen=True)
class ProbedSpeech(Speech):
    """A corpus that probes learn from.

    Attributes:
        tasks: in place of those of `importance`, where a corpus lacks labels for some.
    """

    tasks: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Pretraining:
    """How the models are made.

    Attributes:
        config: of `sat-probe pretrain`, a name or a file.
        c_nums: frames masked together, one model each; 3, 6, 9 are the paper's M3, M6, M9.
        steps: in place of the configuration's; None keeps those.
    """

    config: str
    c_nums: tuple[int, ...] = (3, 6, 9)
    steps: int | None = None

    def recipe(self) -> PretrainingRecipe:
        """The configuration with its steps changed, if they are to be."""
        recipe = load_recipe(self.config)
        return recipe if self.steps is None else replace(recipe, steps=self.steps)


@dataclass(frozen=True)
class BoundarySetting:
    """One way to read boundaries from a model; see `sat_probe.studies.segmentation.sources.Settings`."""

    features: Literal["rows", "rows_and_columns"] = "rows"
    shifts: int = 1

    @property
    def name(self) -> str:
        """As files are called."""
        return f"{self.features.replace('_', '-')}-{self.shifts}"


@dataclass(frozen=True)
class Ablations:
    """Importance curves; see `sat_probe.studies.importance.options.Options`."""

    tasks: tuple[str, ...]
    rankings: tuple[str, ...]
    spans: tuple[int, ...]
    steps: int = 6
    modes: tuple[Literal["retrain", "frozen"], ...] = ("retrain", "frozen")
    random_seeds: int = 1


@dataclass(frozen=True)
class Speed:
    """Cost before and after: seconds of audio in one pass, how often it is all repeated, frames of the limited span."""

    seconds: float = 30.0
    repeats: int = 6
    span: int = 15


@dataclass(frozen=True)
class SmallCTC:
    """A small Wav2Vec2-BERT trained to spell, as the trained model of another family."""

    hidden_size: int = 96
    layers: int = 4
    heads: int = 4
    steps: int = 1200
    batch: int = 8
    learning_rate: float = 2e-3
    utterances: int | None = 1500


@dataclass(frozen=True)
class Control:
    """Random against trained weights: how many random models, on how many utterances, and the other family."""

    seeds: int
    utterances: int
    ctc: SmallCTC


@dataclass(frozen=True)
class ReproductionPlan:
    """Everything that a reproduction does.

    Attributes:
        description: for whom it is.
        speech: what the models are pre-trained on; its transcripts train the control's other family.
        phones: with hand-made alignments: head analysis, relation maps, segmentation, control.
        probing: corpora that probes learn from, with speakers or alignments; each gives curves of its own.
        segmentation: how boundaries are read from every model, the paper's setting first.
        segmentation_trials: further settings, tried on the first model alone.
        seed: of divisions, probes and intervals.
    """

    description: str
    speech: Speech
    phones: Speech
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
        names = [speech.name for speech in self.probing]
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
        """All settings of segmentation, those of every model first."""
        return (*self.segmentation, *self.segmentation_trials)

    def models(self) -> dict[str, int]:
        """C_num by the name of the model, in the order of the plan."""
        rows = self.pretraining.recipe().model.downsample_rate
        return {f"M{c_num}": c_num for c_num in self.pretraining.c_nums if block_width(c_num, rows)}


def load_plan(name_or_path: str | Path, changes: Iterable[str] = ()) -> ReproductionPlan:
    """A preset of the package ("small", "paper") or a YAML file, with some values changed.

    Args:
        name_or_path: the preset.
        changes: "pretraining.steps=20": a key, dots between its levels, and a YAML value.

    Raises:
        ConfigurationError: unknown preset or key, a change that is none, a value that makes no sense.
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
            raise ConfigurationError(f"--set {change}: there is no {'.'.join(path)} in the preset")
        try:
            place[last] = yaml.safe_load(text)
        except yaml.YAMLError:
            place[last] = text
    return parse_config(content, ReproductionPlan, source=f"{name_or_path} with --set") if changes else plan


def moved(plan: ReproductionPlan, speech: Path | None, timit: Path | None) -> ReproductionPlan:
    """The plan with its corpora where they lie on this machine.

    Args:
        plan: of a preset.
        speech: folder to train on; speech to probe on moves with it where both are of the same corpus.
        timit: folder of the corpus with hand-made alignments; likewise.
    """
    places = [(plan.speech, speech), (plan.phones, timit)]
    probing = plan.probing
    for of, folder in places:
        probing = tuple(_placed(one, of, folder) for one in probing)
    return replace(
        plan,
        speech=_placed(plan.speech, plan.speech, speech),
        phones=_placed(plan.phones, plan.phones, timit),
        probing=probing,
    )


AnySpeech = TypeVar("AnySpeech", bound=Speech)


def _placed(one: AnySpeech, of: Speech, folder: Path | None) -> AnySpeech:
    """Where `one` lies if `of` lies in that folder; unchanged where they are not of the same corpus."""
    if folder is None:
        return one
    own, other = Path(one.dataset), Path(of.dataset)
    if one.dataset == of.dataset:
        named = of.data_dir is not None  # a corpus that goes by a name keeps it
        return replace(one, data_dir=str(folder)) if named else replace(one, dataset=str(folder))
    if own.parent == other.parent and {own.name, other.name} <= set(_PARTS):
        part = folder.parent / own.name
        return replace(one, dataset=str(part if part.is_dir() else folder))
    return one
