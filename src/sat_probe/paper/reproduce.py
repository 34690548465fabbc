"""Reproduction of the paper: pre-training, head analysis, segmentation, ablation, speed, control, and the report.

Yang, Liu, Lee, "Understanding Self-Attention of Self-Supervised Audio Transformers", Interspeech 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from filecmp import cmp
from importlib.resources import files
from pathlib import Path
from typing import Any

from sat_probe.paper.chain import Chain, choose_stages
from sat_probe.paper.files import publish_tables
from sat_probe.paper.page import write_study
from sat_probe.paper.plan import ReproductionPlan, corpus_label, corpus_name, open_speech
from sat_probe.paper.stages import WRITE, Places, build_stages
from sat_probe.studies.corpus_pass.processes import this_process


def reproduce(
    plan: ReproductionPlan,
    places: Places,
    *,
    stages: Sequence[str] = (),
    dry_run: bool = False,
    published: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
    progress: bool = False,
) -> list[str]:
    """Run the unfinished stages of a plan, and write the study from their tables.

    Args:
        plan: what to measure.
        places: folders.
        stages: patterns of stage names; all stages by default.
        dry_run: only say which stages would run, and why.
        published: folder for README, figures and tables; by default `study` in the output folder.
        say: called with one line at a time.
        progress: show progress bars of the stages on standard error.

    Returns:
        Names of the stages that ran, or would run.

    Raises:
        ConfigurationError: for stages that do not exist or cannot run yet, and models trained with another recipe.
        CorpusError: if a corpus cannot be found.
    """
    process = this_process()
    chain = Chain(build_stages(plan, places, progress and process.is_main), places.output)
    chosen = choose_stages([*chain.stages, WRITE], stages)
    names = [name for name in chosen if name != WRITE]
    reasons = {name: chain.reason_to_run(name) for name in names} if process.is_main else {}
    waiting = [name for name, reason in reasons.items() if reason is not None]
    if waiting:  # a corpus that is missing shows before the training, not after it
        for speech in (plan.speech, plan.phones, *plan.probing):
            open_speech(replace(speech, limit=1))
    if dry_run:
        for name, reason in reasons.items():
            say(f"{name:<{max(map(len, names))}}  {reason or 'already there'}")
        return waiting
    places.output.mkdir(parents=True, exist_ok=True)
    ran = chain.run(names, process, say if process.is_main else lambda line: None)
    if WRITE in chosen and process.is_main:
        folder = published or places.output / WRITE
        publish_study(plan, chain, places, folder)
        say(f"The study: {folder / 'README.md'}")
        ran.append(WRITE)
    return ran


def publish_study(plan: ReproductionPlan, chain: Chain, places: Places, folder: Path) -> None:
    """Publish the tables of the finished stages, and write README and figures from them."""
    finished = {name: chain.record(name) for name in chain.stages}
    facts: dict[str, Any] = {
        "models": plan.models(),
        "settings": [setting.name for setting in plan.settings()],
        "probing": [corpus_name(speech) for speech in plan.probing],
        "tried": [f"tried-{number}" for number in range(1, len(places.tried) + 1)],
        "plan": plan_without_paths(plan),
        "bundled": bundled_models({name: places.models / name for name in plan.models()}),
        "recipe": asdict(plan.pretraining.recipe()),
        "budget": {name: record["computed_seconds"] for name, record in finished.items() if record is not None},
    }
    folder.mkdir(parents=True, exist_ok=True)
    publish_tables(places.output, folder, facts)
    write_study(folder)


def bundled_models(models: Mapping[str, Path]) -> list[str]:
    """Return the models with the same weights as the one that comes with sat-probe."""
    weights = Path(str(files("sat_probe"))) / "data" / "mockingjay" / "model.safetensors"
    own = {name: folder / weights.name for name, folder in models.items()}
    return [name for name, path in own.items() if path.is_file() and cmp(path, weights, shallow=False)]


def plan_without_paths(plan: ReproductionPlan) -> dict[str, Any]:
    """Return the plan as plain values, without the folders of its corpora on one machine."""
    shown = asdict(plan)
    pairs = [(shown[name], getattr(plan, name)) for name in ("speech", "phones")]
    for values, speech in [*pairs, *zip(shown["probing"], plan.probing, strict=True)]:
        values |= {"dataset": corpus_label(speech), "data_dir": None}
        values["alignments"] = speech.alignments and Path(speech.alignments).name
    shown["pretraining"]["config"] = Path(plan.pretraining.config).name
    return shown
