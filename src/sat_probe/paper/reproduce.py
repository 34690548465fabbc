"""The paper reproduced: pre-training, head analysis, segmentation, ablation, speed, a control, and the telling of it.

Yang, Liu, Lee, "Understanding Self-Attention of Self-Supervised Audio Transformers", Interspeech 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from filecmp import cmp
from importlib.resources import files
from pathlib import Path
from typing import Any

from sat_probe.paper.chain import Chain, Stage, choose_stages, shown_time
from sat_probe.paper.estimate import UnitCosts, estimate_stages, measure_unit_costs
from sat_probe.paper.plan import ReproductionPlan
from sat_probe.paper.stages import WRITE, Places, build_stages
from sat_probe.studies.corpus_pass.processes import this_process

Say = Callable[[str], None]


def reproduce(
    plan: ReproductionPlan,
    places: Places,
    *,
    stages: Sequence[str] = (),
    dry_run: bool = False,
    published: Path | None = None,
    costs: UnitCosts | None = None,
    say: Say = lambda line: None,
    progress: bool = False,
) -> list[str]:
    """Run the stages of a plan that are not finished, and tell the study from what they left.

    Args:
        plan: what to measure.
        places: folders.
        stages: patterns of names; all stages without any.
        dry_run: only say what would run, how long it would take and how much disk it would fill.
        published: folder of README, figures and tables; `study` in the output folder if left out.
        costs: of this machine; measured if left out.
        say: gets one line at a time.
        progress: show progress bars of the stages on standard error.

    Returns:
        Names of the stages that ran, or would.

    Raises:
        ConfigurationError: for stages that do not exist or cannot run yet, and models of another recipe.
        CorpusError: if a corpus is not there.
    """
    process = this_process()
    chain = Chain(build_stages(plan, places, progress and process.is_main), places.output)
    chosen = choose_stages([*chain.stages, WRITE], stages)
    names = [name for name in chosen if name != WRITE]
    if process.is_main:
        waiting = [name for name in names if chain.why(name) is not None]
        if waiting or dry_run:
            costs = costs or measure_unit_costs(plan)
            estimated = estimate_stages(plan, list(chain.stages.values()), costs)
            chain.stages.update({stage.name: stage for stage in estimated})
            for line in preview(chain, names, waiting):
                say(line)
    if dry_run:
        return [name for name in names if chain.why(name) is not None]
    places.output.mkdir(parents=True, exist_ok=True)
    ran = chain.run(names, process, say if process.is_main else lambda line: None)
    if WRITE in chosen and process.is_main:
        folder = published or places.output / WRITE
        tell(plan, chain, places, folder)
        say(f"The study: {folder / 'README.md'}")
        ran.append(WRITE)
    return ran


def preview(chain: Chain, names: Sequence[str], waiting: Sequence[str]) -> list[str]:
    """What would run, why, and what it would cost; one line per stage and a sum."""
    width = max(map(len, names), default=0)
    lines = []
    for name in names:
        stage = chain.stages[name]
        cost = f"about {shown_time(stage.seconds)}, {stage.megabytes:.0f} MB" if name in waiting else ""
        lines.append(f"{name:<{width}}  {chain.why(name) or 'there already'}{'; ' if cost else ''}{cost}")
    todo: list[Stage] = [chain.stages[name] for name in waiting]
    seconds, megabytes = sum(stage.seconds for stage in todo), sum(stage.megabytes for stage in todo)
    size = f"{megabytes:.0f} MB" if megabytes < 2000 else f"{megabytes / 1000:.0f} GB"
    lines.append(
        f"{len(todo)} of {len(names)} stages to run: about {shown_time(seconds)} on this machine, {size} of disk"
    )
    return lines


def tell(plan: ReproductionPlan, chain: Chain, places: Places, folder: Path) -> None:
    """Publish the tables of the finished stages, and write README and figures from them."""
    from sat_probe.paper.files import publish_tables
    from sat_probe.paper.page import write_study

    finished = {name: chain.record(name) for name in chain.stages}
    facts: dict[str, Any] = {
        "models": plan.models(),
        "settings": [setting.name for setting in plan.settings()],
        "probing": [speech.name for speech in plan.probing],
        "tried": [f"tried-{number}" for number in range(1, len(places.tried) + 1)],
        "plan": _shown_plan(plan),
        "bundled": bundled_models({name: places.models / name for name in plan.models()}),
        "recipe": plan.pretraining.recipe().as_dict(),
        "budget": {
            name: record["computed_seconds"] for name, record in finished.items() if record is not None
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    publish_tables(places.output, folder, facts)
    write_study(folder)


def bundled_models(models: Mapping[str, Path]) -> list[str]:
    """Those with the same weights as the model that comes with sat-probe."""
    weights = Path(str(files("sat_probe"))) / "data" / "mockingjay" / "model.safetensors"
    own = {name: folder / weights.name for name, folder in models.items()}
    return [name for name, path in own.items() if path.is_file() and cmp(path, weights, shallow=False)]


def _shown_plan(plan: ReproductionPlan) -> dict[str, Any]:
    """The plan without where its corpora lie on one machine."""
    shown = asdict(plan)
    pairs = [(shown[name], getattr(plan, name)) for name in ("speech", "phones")]
    for told, speech in [*pairs, *zip(shown["probing"], plan.probing, strict=True)]:
        told |= {"dataset": speech.shown, "data_dir": None}
        told["alignments"] = speech.alignments and Path(speech.alignments).name
    shown["pretraining"]["config"] = Path(plan.pretraining.config).name
    return shown
