"""Stages of the study, in the order of the paper, and results that make a stage unnecessary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sat_probe.configs import parse_config
from sat_probe.errors import ConfigurationError
from sat_probe.paper.chain import Stage
from sat_probe.paper.plan import BoundarySetting, ProbedSpeech, ReproductionPlan, corpus_name
from sat_probe.paper.stage_work import StageWork, read_run
from sat_probe.studies.pretraining.recipe import PretrainingRecipe

WRITE = "study"  # the stage that writes README, tables and figures
CTC = "pretrain-ctc"


@dataclass(frozen=True)
class Places:
    """Folders of a study.

    Attributes:
        output: everything the stages write.
        models: folder of the models by name; missing ones are trained there.
        tried: models of earlier attempts, which are segmented too, for the table of what was tried.
        cache: folder of cached features; None for the default.
    """

    output: Path
    models: Path
    tried: tuple[Path, ...] = ()
    cache: Path | None = None


@dataclass(frozen=True)
class StageBuilder:
    """Builds the stages of one plan.

    Attributes:
        plan: what to measure.
        places: folders.
        work: does the work of the stages.
    """

    plan: ReproductionPlan
    places: Places
    work: StageWork

    def stages(self) -> list[Stage]:
        """Return every stage except the one that writes the study.

        Raises:
            ConfigurationError: if a model folder holds a finished training with another recipe.
        """
        plan, models = self.plan, list(self.plan.models())
        training, measuring = [], []
        for name in models:
            training += [self._pretraining(name), self._analysis(name)]
            settings = plan.settings() if name == models[0] else plan.segmentation
            measuring += [self._segmentation(name, self._model(name), setting) for setting in settings]
            measuring += [self._importance(name, speech) for speech in plan.probing]
        measuring.append(self._speed(models[0]))  # all models have the same size and cost
        for number, tried in enumerate(self.places.tried, start=1):
            measuring += [self._segmentation(f"tried-{number}", tried, one) for one in plan.segmentation]
        return [*training, *measuring, self._ctc(), self._control(models[0])]

    def _model(self, name: str) -> Path:
        return self.places.models / name

    def _pretraining(self, name: str) -> Stage:
        folder, c_num = self._model(name), self.plan.models()[name]
        settings = training_settings(self.plan, c_num)
        return Stage(
            f"pretrain-{name}", folder, partial(self.work.pretrain, c_num, folder),
            settings=settings | {"limit": self.plan.speech.limit},
            together=True,
            finished_before=partial(seconds_of_training, settings, folder),
        )  # fmt: skip

    def _analysis(self, name: str) -> Stage:
        folder = self.places.output / f"analysis-{name}"
        return Stage(
            folder.name, folder, partial(self.work.analyze, self._model(name), folder),
            needs=(f"pretrain-{name}",),
            settings={"speech": asdict(self.plan.phones), "seed": self.plan.seed},
            together=True,
        )  # fmt: skip

    def _segmentation(self, name: str, model: Path, setting: BoundarySetting) -> Stage:
        folder = self.places.output / f"segmentation-{name}-{setting.name}"
        settings = {"speech": asdict(self.plan.phones), **asdict(setting), "seed": self.plan.seed}
        trained_here = name in self.plan.models()
        return Stage(
            folder.name, folder, partial(self.work.segment, model, setting, folder),
            needs=(f"pretrain-{name}",) if trained_here else (),
            settings=settings if trained_here else settings | {"model": str(model)},
            together=True,
        )  # fmt: skip

    def _importance(self, name: str, speech: ProbedSpeech) -> Stage:
        folder = self.places.output / f"importance-{name}-{corpus_name(speech)}"
        return Stage(
            folder.name, folder, partial(self.work.ablate, self._model(name), speech, folder),
            needs=(f"pretrain-{name}",),
            settings={"speech": asdict(speech), **asdict(self.plan.importance), "seed": self.plan.seed},
            together=True,
        )  # fmt: skip

    def _speed(self, name: str) -> Stage:
        folder, analysis = (self.places.output / f"{kind}-{name}" for kind in ("speed", "analysis"))
        return Stage(
            folder.name, folder, partial(self.work.time, self._model(name), analysis, folder),
            needs=(f"pretrain-{name}", f"analysis-{name}"),
            settings=asdict(self.plan.speed),
        )  # fmt: skip

    def _ctc(self) -> Stage:
        shape, folder = asdict(self.plan.control.ctc) | {"seed": self.plan.seed}, self._model("ctc")
        return Stage(
            CTC, folder, partial(self.work.train_ctc, folder),
            settings={"speech": asdict(self.plan.speech), **shape},
            finished_before=partial(seconds_of_ctc, shape, folder),
        )  # fmt: skip

    def _control(self, name: str) -> Stage:
        folder, control = self.places.output / "control", self.plan.control
        models = {name: self._model(name), "ctc": self._model("ctc")}
        return Stage(
            "control", folder, partial(self.work.compare_with_untrained, models, folder),
            needs=(f"pretrain-{name}", CTC),
            settings={
                "speech": asdict(self.plan.phones), "seeds": control.seeds, "utterances": control.utterances,
                "seed": self.plan.seed,
            },
        )  # fmt: skip


def build_stages(plan: ReproductionPlan, places: Places, progress: bool = False) -> Sequence[Stage]:
    """Return every stage of a plan except the one that writes the study."""
    return StageBuilder(plan, places, StageWork(plan, places.cache, progress)).stages()


def training_settings(plan: ReproductionPlan, c_num: int) -> dict[str, Any]:
    """Return what decides the weights of a model, as its run.json says it."""
    recipe = {name: value for name, value in plan.pretraining.recipe().as_dict().items() if name != "data"}
    return {"c_num": c_num, "corpus": Path(str(plan.speech.dataset)).name, **recipe}


def seconds_of_training(settings: dict[str, Any], folder: Path) -> float | None:
    """Return the seconds that a finished training in a folder took; None if there is none.

    Raises:
        ConfigurationError: if it has other settings: it is never trained over.
    """
    run = read_run(folder)
    if "finished" not in run:
        return None
    recipe = parse_config(run["recipe"], PretrainingRecipe, source=f"{folder}/run.json").as_dict()
    found = {"c_num": run["c_num"], "corpus": run["data"]["corpus"], **recipe}
    changed = [name for name, value in settings.items() if found[name] != value]
    if changed:
        raise ConfigurationError(
            f"{folder} was trained with another {', '.join(changed)} than this study asks for; "
            "move it away, or choose another folder of models"
        )
    return float(run["seconds"])


def seconds_of_ctc(shape: dict[str, Any], folder: Path) -> float | None:
    """Return the seconds that the training of a recogniser of this shape took; None if there is none."""
    run = read_run(folder)
    same = run and all(run.get(name) == value for name, value in shape.items() if name != "utterances")
    return float(run["seconds"]) if same else None
