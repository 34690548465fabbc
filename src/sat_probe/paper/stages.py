"""Stages of the study, in the order of the paper: their settings, their work, and results that make one unnecessary."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from sat_probe.configs import parse_config
from sat_probe.errors import ConfigurationError
from sat_probe.paper.chain import Stage
from sat_probe.paper.control import measure_control
from sat_probe.paper.ctc import train_ctc
from sat_probe.paper.files import read_run, save_tables
from sat_probe.paper.plan import BoundarySetting, ProbedSpeech, ReproductionPlan, corpus_name, open_speech
from sat_probe.reports.head_report import HeadReport
from sat_probe.studies.choices import CorpusChoice, ModelChoice
from sat_probe.studies.corpus_pass.processes import gather
from sat_probe.studies.footprint import footprints
from sat_probe.studies.head_analysis import analyze_model
from sat_probe.studies.importance.options import Options
from sat_probe.studies.importance.study import head_importance
from sat_probe.studies.inputs import open_inputs
from sat_probe.studies.pretraining.recipe import PretrainingRecipe, recipe_commit
from sat_probe.studies.pretraining.run import pretrain
from sat_probe.studies.refinement import most_global, refine
from sat_probe.studies.run_options import RunOptions
from sat_probe.studies.segmentation.sources import Settings
from sat_probe.studies.segmentation.study import SegmentationOptions, segment

WRITE = "study"  # the stage that writes README, tables and figures


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


def build_stages(plan: ReproductionPlan, places: Places, progress: bool = False) -> Sequence[Stage]:
    """Return every stage of a plan except the one that writes the study."""
    work, models = _Work(plan, places, progress), list(plan.models())
    training, measuring = [], []
    for name in models:
        training += [work.pretraining(name), work.analysis(name)]
        settings = plan.settings() if name == models[0] else plan.segmentation
        measuring += [work.segmentation(name, places.models / name, setting) for setting in settings]
        measuring += [work.importance(name, speech) for speech in plan.probing]
    measuring.append(work.speed(models[0]))  # all models have the same size and cost
    for number, tried in enumerate(places.tried, start=1):
        measuring += [work.segmentation(f"tried-{number}", tried, one) for one in plan.segmentation]
    return [*training, *measuring, work.ctc(), work.control(models[0])]


@dataclass(frozen=True)
class _Work:
    """Stages of one plan; an interrupted stage continues where it stopped, as far as its study can."""

    plan: ReproductionPlan
    places: Places
    progress: bool

    def pretraining(self, name: str) -> Stage:
        plan, folder, c_num = self.plan, self.places.models / name, self.plan.models()[name]
        settings = training_settings(plan, c_num)

        def work() -> None:
            pretrain(
                open_speech(plan.speech), plan.pretraining.recipe(), c_num, folder, resume=bool(read_run(folder)),
                cache=self.places.cache, commit=recipe_commit(plan.pretraining.config), progress=self.progress,
            )  # fmt: skip

        return Stage(
            f"pretrain-{name}", folder, work, settings=settings | {"limit": plan.speech.limit}, together=True,
            finished_before=partial(seconds_of_training, settings, folder),
        )  # fmt: skip

    def analysis(self, name: str) -> Stage:
        def work(folder: Path) -> None:
            analyze_model(
                self.places.models / name, open_speech(self.plan.phones), seed=self.plan.seed, **self._saving(folder)
            )

        settings = {"speech": asdict(self.plan.phones), "seed": self.plan.seed}
        return self._measuring(f"analysis-{name}", work, [name], settings)

    def segmentation(self, name: str, model: Path, setting: BoundarySetting) -> Stage:
        settings = {"speech": asdict(self.plan.phones), **asdict(setting), "seed": self.plan.seed}
        trained_here = name in self.plan.models()
        return self._measuring(
            f"segmentation-{name}-{setting.name}", partial(self._segment, model, setting),
            [name] if trained_here else [], settings if trained_here else settings | {"model": str(model)},
        )  # fmt: skip

    def _segment(self, model: Path, setting: BoundarySetting, folder: Path) -> None:
        settings = Settings(features=setting.features, shifts=setting.shifts)
        options = SegmentationOptions("rasanen", settings=settings, seed=self.plan.seed)
        inputs = open_inputs(ModelChoice(str(model)), CorpusChoice(open_speech(self.plan.phones)))
        run = RunOptions(folder, overwrite=True, resume=True, progress=self.progress)
        found = segment(inputs, options, run)
        training, wanted = read_run(model), ("c_num", "recipe", "data", "held_out_loss")
        facts = {
            **found.provenance,
            "label_free": found.as_dict()["label_free"],
            "training": {name: training[name] for name in wanted if name in training},
        }
        tables = {
            "segmentation": found.table, "segmentation_curve": found.curve, "segmentation_counts": found.counts,
        }  # fmt: skip
        if inputs.process.is_main:
            save_tables(folder, facts, tables)
        gather(inputs.process, None)  # no process forgets its part before the tables are saved
        if checkpoint := run.checkpoint("segmentation", inputs, asdict(options)):
            checkpoint.delete()

    def importance(self, name: str, speech: ProbedSpeech) -> Stage:
        curves, seed = asdict(self.plan.importance), self.plan.seed

        def work(folder: Path) -> None:
            chosen = curves | {"tasks": speech.tasks or curves["tasks"]}
            options = Options(**chosen, span_modes=("zero",), seed=seed, missing_phones="ignore")
            head_importance(self.places.models / name, open_speech(speech), options, **self._saving(folder))

        settings = {"speech": asdict(speech), **curves, "seed": seed}
        return self._measuring(f"importance-{name}-{corpus_name(speech)}", work, [name], settings)

    def speed(self, name: str) -> Stage:
        return self._measuring(
            f"speed-{name}", partial(self._time, name), [name], asdict(self.plan.speed), (f"analysis-{name}",), False
        )

    def _time(self, name: str, folder: Path) -> None:
        """Measure the cost of a model, and without its global or vertical heads, half of all, or distant frames."""
        speed, model = self.plan.speed, self.places.models / name
        heads = HeadReport.load(self.places.output / f"analysis-{name}").heads
        of = {
            category: list(zip(part["layer"].tolist(), part["head"].tolist(), strict=True))
            for category, part in heads.groupby("category")
        }
        changes: dict[str, dict[str, Any]] = {
            "without global heads": {"remove": of.get("global", [])},
            "without vertical heads": {"remove": of.get("vertical", [])},
            "without the most global half": {"remove": most_global(heads, 0.5)},
            f"span {speed.span}": {"span": speed.span},
        }
        rows = []
        with tempfile.TemporaryDirectory(prefix="sat-probe-") as scratch:
            versions = {"intact": model}
            for number, (version, change) in enumerate(changes.items()):
                versions[version] = Path(scratch) / str(number)
                refine(model, **change).save_pretrained(versions[version])
            # in turn, so that a busy moment of the machine hits all alike
            for repeat in range(speed.repeats):
                for version, source in versions.items():
                    removed = len(changes.get(version, {}).get("remove", []))
                    cost = asdict(footprints([ModelChoice(source)], speed.seconds)[0])
                    del cost["passes"]
                    rows.append({"version": version, "repeat": repeat, "removed": removed, **cost})
        save_tables(folder, {"model": name, **asdict(speed)}, {"speed": pd.DataFrame(rows)})

    def ctc(self) -> Stage:
        plan, folder = self.plan, self.places.models / "ctc"
        shape = asdict(plan.control.ctc) | {"seed": plan.seed}
        return Stage(
            "pretrain-ctc", folder,
            lambda: train_ctc(open_speech(plan.speech), folder, plan.control.ctc, plan.seed, self.progress),
            settings={"speech": asdict(plan.speech), **shape},
            finished_before=partial(seconds_of_ctc, shape, folder),
        )  # fmt: skip

    def control(self, name: str) -> Stage:
        control, models = self.plan.control, {one: self.places.models / one for one in (name, "ctc")}
        settings = {
            "speech": asdict(self.plan.phones), "seeds": control.seeds, "utterances": control.utterances,
            "seed": self.plan.seed,
        }  # fmt: skip
        work = partial(measure_control, self.plan, models, progress=self.progress)
        return self._measuring("control", work, list(models), settings, together=False)

    def _measuring(
        self,
        name: str,
        work: Callable[[Path], None],
        models: Sequence[str],
        settings: Mapping[str, Any],
        needs: tuple[str, ...] = (),
        together: bool = True,
    ) -> Stage:
        """Return a stage that measures models of this study and writes a folder of its own name."""
        folder = self.places.output / name
        needs = (*(f"pretrain-{model}" for model in models), *needs)
        return Stage(name, folder, partial(work, folder), needs, settings, together)

    def _saving(self, folder: Path) -> dict[str, Any]:
        return {"output": folder, "overwrite": True, "resume": True, "progress": self.progress}


def training_settings(plan: ReproductionPlan, c_num: int) -> dict[str, Any]:
    """Return what decides the weights of a model, as its run.json says it."""
    recipe = {name: value for name, value in asdict(plan.pretraining.recipe()).items() if name != "data"}
    return {"c_num": c_num, "corpus": Path(str(plan.speech.dataset)).name, **recipe}


def seconds_of_training(settings: dict[str, Any], folder: Path) -> float | None:
    """Return the seconds that a finished training in a folder took; None if there is none.

    Raises:
        ConfigurationError: if it has other settings: it is never trained over.
    """
    run = read_run(folder)
    if "finished" not in run:
        return None
    recipe = asdict(parse_config(run["recipe"], PretrainingRecipe, source=f"{folder}/run.json"))
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
