"""Work of the stages: trainings and the studies that the other commands run."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sat_probe.paper.control import measure_control
from sat_probe.paper.ctc import train_ctc
from sat_probe.paper.files import save_tables
from sat_probe.paper.plan import BoundarySetting, ProbedSpeech, ReproductionPlan, open_speech
from sat_probe.reports.head_report import HeadReport
from sat_probe.studies.choices import CorpusChoice, ModelChoice
from sat_probe.studies.corpus_pass.processes import gather
from sat_probe.studies.footprint import footprint
from sat_probe.studies.head_analysis import analyze_model
from sat_probe.studies.importance.options import Options
from sat_probe.studies.importance.study import head_importance
from sat_probe.studies.inputs import open_inputs
from sat_probe.studies.pretraining.recipe import recipe_commit
from sat_probe.studies.pretraining.run import pretrain
from sat_probe.studies.refinement import most_global, refine
from sat_probe.studies.run_options import RunOptions
from sat_probe.studies.segmentation.sources import Settings
from sat_probe.studies.segmentation.study import SegmentationOptions, segment


@dataclass(frozen=True)
class StageWork:
    """The work of each stage; an interrupted stage continues where it stopped, as far as its study can.

    Attributes:
        plan: what to measure.
        cache: folder of cached features; None for the default.
        progress: show progress bars on standard error.
    """

    plan: ReproductionPlan
    cache: Path | None = None
    progress: bool = False

    def pretrain(self, c_num: int, folder: Path) -> None:
        """Train one model."""
        training = self.plan.pretraining
        pretrain(
            open_speech(self.plan.speech), training.recipe(), c_num, folder,
            resume=bool(read_run(folder)), cache=self.cache, commit=recipe_commit(training.config),
            progress=self.progress,
        )  # fmt: skip

    def train_ctc(self, folder: Path) -> None:
        """Train the control's other family."""
        train_ctc(open_speech(self.plan.speech), folder, self.plan.control.ctc, self.plan.seed, self.progress)

    def analyze(self, model: Path, folder: Path) -> None:
        """Measure the heads and relation maps of a model."""
        corpus = open_speech(self.plan.phones)
        analyze_model(
            model,
            corpus,
            seed=self.plan.seed,
            output=folder,
            overwrite=True,
            resume=True,
            progress=self.progress,
        )

    def segment(self, model: Path, setting: BoundarySetting, folder: Path) -> None:
        """Find phone boundaries with every head of a model."""
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
            "segmentation": found.table,
            "segmentation_curve": found.curve,
            "segmentation_counts": found.counts,
        }
        if inputs.process.is_main:
            save_tables(folder, facts, tables)
        gather(inputs.process, None)  # no process forgets its part before the tables are saved
        if checkpoint := run.checkpoint("segmentation", inputs, asdict(options)):
            checkpoint.delete()

    def ablate(self, model: Path, speech: ProbedSpeech, folder: Path) -> None:
        """Probe a model while its heads are removed and its span is limited."""
        chosen = asdict(self.plan.importance) | {"tasks": speech.tasks or self.plan.importance.tasks}
        options = Options(**chosen, span_modes=("zero",), seed=self.plan.seed, missing_phones="ignore")
        corpus = open_speech(speech)
        head_importance(
            model, corpus, options, output=folder, overwrite=True, resume=True, progress=self.progress
        )

    def time(self, model: Path, analysis: Path, folder: Path) -> None:
        """Measure the cost of a model, and without its global or vertical heads, half of all, or distant frames."""
        speed, heads = self.plan.speed, HeadReport.load(analysis).heads
        of = {
            name: list(zip(part["layer"].tolist(), part["head"].tolist(), strict=True))
            for name, part in heads.groupby("category")
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
            for number, (name, change) in enumerate(changes.items()):
                versions[name] = Path(scratch) / str(number)
                refine(model, **change).save_pretrained(versions[name])
            for repeat in range(
                speed.repeats
            ):  # in turn, so that a busy moment of the machine hits all alike
                for name, source in versions.items():
                    removed = len(changes.get(name, {}).get("remove", []))
                    cost = asdict(footprint(source, speed.seconds))
                    del cost["passes"]
                    rows.append({"version": name, "repeat": repeat, "removed": removed, **cost})
        save_tables(folder, {"model": model.name, **asdict(speed)}, {"speed": pd.DataFrame(rows)})

    def compare_with_untrained(self, models: Mapping[str, Path], folder: Path) -> None:
        """Measure trained models beside untrained ones of the same shape."""
        measure_control(self.plan, models, folder, self.progress)


def read_run(folder: Path) -> dict[str, Any]:
    """Return the run.json of a model; {} if there is none."""
    try:
        return dict(json.loads((folder / "run.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}
