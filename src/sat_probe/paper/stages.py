"""The stages of the study, in the order of the paper, made of the studies that the other commands run."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from sat_probe.configs import parse_config
from sat_probe.errors import ConfigurationError
from sat_probe.paper.chain import Stage
from sat_probe.paper.files import save_tables
from sat_probe.paper.plan import BoundarySetting, ProbedSpeech, ReproductionPlan, Speech

WRITE = "study"  # the stage that writes README, tables and figures
CTC = "pretrain-ctc"


@dataclass(frozen=True)
class Places:
    """Where things are.

    Attributes:
        output: of the study.
        models: folder of the models by name; trained there if they are not there yet.
        tried: models of earlier attempts, which are segmented too, for the table of what was tried.
        cache: of the features; None for the usual place.
    """

    output: Path
    models: Path
    tried: tuple[Path, ...] = ()
    cache: Path | None = None


def build_stages(plan: ReproductionPlan, places: Places, progress: bool = False) -> list[Stage]:
    """Every stage of a plan but the one that writes.

    Raises:
        ConfigurationError: if a model folder holds a finished training by another recipe.
    """
    models = plan.models()
    folder = {name: places.models / name for name in models}
    shared, alone = [], []
    for name, c_num in models.items():
        shared.append(
            Stage(
                f"pretrain-{name}", folder[name],
                partial(_pretrain, plan, c_num, folder[name], places.cache, progress),
                settings=_training(plan, c_num),
                together=True,
                finished_before=partial(_trained_before, plan, c_num, folder[name]),
            )
        )  # fmt: skip
        analysis = places.output / f"analysis-{name}"
        shared.append(
            Stage(
                f"analysis-{name}", analysis,
                partial(_analyse, plan, folder[name], analysis, progress),
                needs=(f"pretrain-{name}",),
                settings={"speech": asdict(plan.phones), "seed": plan.seed},
                together=True,
            )
        )  # fmt: skip
        alone += [
            _segmentation(plan, name, folder[name], setting, places.output, progress, (f"pretrain-{name}",))
            for setting in (plan.segmentation if name in list(models)[1:] else plan.settings())
        ]
        alone += [
            _importance(plan, speech, name, folder[name], places.output, progress) for speech in plan.probing
        ]
    first = next(iter(models))  # the models are of one size and cost the same
    alone.append(_speed(plan, first, folder[first], places.output))
    for number, tried in enumerate(places.tried, start=1):
        alone += [
            _segmentation(plan, f"tried-{number}", tried, setting, places.output, progress, ())
            for setting in plan.segmentation
        ]
    return [*shared, *alone, *_control(plan, places, first, progress)]


def _segmentation(
    plan: ReproductionPlan,
    name: str,
    model: Path,
    setting: BoundarySetting,
    output: Path,
    progress: bool,
    needs: tuple[str, ...],
) -> Stage:
    folder = output / f"segmentation-{name}-{setting.name}"
    settings = {"speech": asdict(plan.phones), **asdict(setting), "seed": plan.seed}
    if not needs:
        settings |= {"model": str(model)}
    return Stage(
        folder.name, folder, partial(_segment, plan, model, setting, folder, progress), needs, settings
    )


def _importance(
    plan: ReproductionPlan, speech: ProbedSpeech, name: str, model: Path, output: Path, progress: bool
) -> Stage:
    folder = output / f"importance-{name}-{speech.name}"
    return Stage(
        folder.name, folder, partial(_ablate, plan, speech, model, folder, progress),
        needs=(f"pretrain-{name}",),
        settings={"speech": asdict(speech), **asdict(plan.importance), "seed": plan.seed},
    )  # fmt: skip


def _speed(plan: ReproductionPlan, name: str, model: Path, output: Path) -> Stage:
    folder = output / f"speed-{name}"
    return Stage(
        folder.name, folder, partial(_time, plan, model, output / f"analysis-{name}", folder),
        needs=(f"pretrain-{name}", f"analysis-{name}"),
        settings=asdict(plan.speed),
    )  # fmt: skip


def _control(plan: ReproductionPlan, places: Places, first: str, progress: bool) -> list[Stage]:
    from sat_probe.paper.control import measure_control

    ctc, folder = places.models / "ctc", places.output / "control"
    return [
        Stage(
            CTC, ctc, partial(_train_ctc, plan, ctc, progress),
            settings={"speech": asdict(plan.speech), **asdict(plan.control.ctc), "seed": plan.seed},
            finished_before=partial(_spelled_before, plan, ctc),
        ),
        Stage(
            "control", folder,
            partial(
                measure_control, plan, {first: places.models / first, "ctc": ctc}, folder, progress
            ),
            needs=(f"pretrain-{first}", CTC),
            settings={
                "speech": asdict(plan.phones), "seeds": plan.control.seeds,
                "utterances": plan.control.utterances, "seed": plan.seed,
            },
        ),
    ]  # fmt: skip


# Training ----------------------------------------------------------------------------------------------------------


def _training(plan: ReproductionPlan, c_num: int) -> dict[str, Any]:
    recipe = {name: value for name, value in plan.pretraining.recipe().as_dict().items() if name != "data"}
    return {"c_num": c_num, "corpus": _corpus_name(plan.speech), "limit": plan.speech.limit, **recipe}


def _corpus_name(speech: Speech) -> str:
    return Path(speech.dataset).name


def _trained_before(plan: ReproductionPlan, c_num: int, folder: Path) -> float | None:
    """Seconds that a finished training in a folder took; another recipe's is refused, not trained over."""
    from sat_probe.studies.pretraining.recipe import PretrainingRecipe

    run = _run_file(folder)
    if run is None or "finished" not in run:
        return None
    then = parse_config(run["recipe"], PretrainingRecipe, source=f"{folder}/run.json")
    wanted = _training(replace(plan, speech=replace(plan.speech, limit=None)), c_num)
    found = {"c_num": run["c_num"], "corpus": run["data"]["corpus"], "limit": None}
    found |= {name: value for name, value in then.as_dict().items() if name != "data"}
    changed = [name for name, value in wanted.items() if found[name] != value]
    if changed:
        raise ConfigurationError(
            f"{folder} was trained with another {', '.join(changed)} than this study asks for; "
            "move it away, or choose another folder of models"
        )
    return float(run["seconds"])


def _run_file(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _pretrain(plan: ReproductionPlan, c_num: int, folder: Path, cache: Path | None, progress: bool) -> None:
    from sat_probe.studies.pretraining.recipe import recipe_commit
    from sat_probe.studies.pretraining.run import pretrain

    pretrain(
        plan.speech.load(), plan.pretraining.recipe(), c_num, folder,
        resume=_run_file(folder) is not None,
        cache=cache,
        commit=recipe_commit(plan.pretraining.config),
        progress=progress,
    )  # fmt: skip


def _train_ctc(plan: ReproductionPlan, folder: Path, progress: bool) -> None:
    from sat_probe.paper.ctc import train_ctc

    train_ctc(plan.speech.load(), folder, plan.control.ctc, plan.seed, progress)


def _spelled_before(plan: ReproductionPlan, folder: Path) -> float | None:
    run, shape = _run_file(folder), asdict(plan.control.ctc) | {"seed": plan.seed}
    shape.pop("utterances")
    same = run is not None and all(run.get(name) == value for name, value in shape.items())
    return float(run["seconds"]) if run is not None and same else None


# Measuring ---------------------------------------------------------------------------------------------------------


def _analyse(plan: ReproductionPlan, model: Path, folder: Path, progress: bool) -> None:
    from sat_probe.studies.head_analysis import analyze_model

    analyze_model(model, plan.phones.load(), seed=plan.seed, output=folder, resume=True, progress=progress)


def _segment(
    plan: ReproductionPlan, model: Path, setting: BoundarySetting, folder: Path, progress: bool
) -> None:
    from sat_probe.studies.choices import shown_name
    from sat_probe.studies.segmentation.sources import Settings
    from sat_probe.studies.segmentation.study import segment_model

    settings = Settings(features=setting.features, shifts=setting.shifts)
    found = segment_model(
        str(model),
        plan.phones.load(),
        counting="rasanen",
        settings=settings,
        seed=plan.seed,
        progress=progress,
    )
    run = _run_file(model) or {}
    facts = found.provenance | {
        "model": model.name,
        "corpus": shown_name(found.provenance["corpus"]),
        "label_free": found.as_dict()["label_free"],
        "training": {name: run[name] for name in ("c_num", "recipe", "data", "held_out_loss") if name in run},
    }
    tables = {
        "segmentation": found.table, "segmentation_curve": found.curve, "segmentation_counts": found.counts,
    }  # fmt: skip
    save_tables(folder, facts, tables)


def _ablate(plan: ReproductionPlan, speech: ProbedSpeech, model: Path, folder: Path, progress: bool) -> None:
    from sat_probe.studies.importance.options import Options
    from sat_probe.studies.importance.study import head_importance

    chosen = asdict(plan.importance) | {"tasks": speech.tasks or plan.importance.tasks}
    options = Options(**chosen, span_modes=("zero",), seed=plan.seed, missing_phones="ignore")
    head_importance(model, speech.load(), options, output=folder, resume=True, progress=progress)


def _time(plan: ReproductionPlan, model: Path, analysis: Path, folder: Path) -> None:
    """What a model costs as it is, without its global or its vertical heads, without half, and with a limited span."""
    from sat_probe.reports.head_report import HeadReport
    from sat_probe.studies.footprint import footprint
    from sat_probe.studies.refinement import most_global, refine

    heads = HeadReport.load(analysis).heads
    of = {
        name: list(zip(*(part[axis].tolist() for axis in ("layer", "head")), strict=True))
        for name, part in heads.groupby("category")
    }
    changes: dict[str, dict[str, Any]] = {
        "without global heads": {"remove": of.get("global", [])},
        "without vertical heads": {"remove": of.get("vertical", [])},
        "without the most global half": {"remove": most_global(heads, 0.5)},
        f"span {plan.speed.span}": {"span": plan.speed.span},
    }
    rows = []
    with tempfile.TemporaryDirectory(prefix="sat-probe-") as scratch:
        saved = {"intact": model}
        for number, (name, change) in enumerate(changes.items()):
            saved[name] = Path(scratch) / str(number)
            refine(model, **change).save_pretrained(saved[name])
        for repeat in range(
            plan.speed.repeats
        ):  # in turn, so that a busy moment of the machine touches all alike
            for name, source in saved.items():
                cost = asdict(footprint(source, plan.speed.seconds))
                removed = len(changes.get(name, {}).get("remove", []))
                rows.append({"version": name, "repeat": repeat, "removed": removed, **cost})
    save_tables(folder, {"model": model.name, **asdict(plan.speed)}, {"speed": pd.DataFrame(rows)})
