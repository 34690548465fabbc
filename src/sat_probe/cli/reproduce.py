"""`sat-probe reproduce`: the paper's study, from training to claims, in one command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from sat_probe.cli.options import AsJson, Cache
from sat_probe.cli.quiet import quiet


def reproduce(
    plan: Annotated[str, typer.Option("--plan", metavar="NAME|FILE", help="small, paper, or a YAML file.")] = "small",
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the results of all stages.")
    ] = Path("sat-probe-study"),
    speech: Annotated[
        Path | None,
        typer.Option("--speech", metavar="DIR", help="Folder of the training speech.", show_default="from the plan"),
    ] = None,
    timit: Annotated[
        Path | None, typer.Option("--timit", metavar="DIR", help="Folder of TIMIT.", show_default="from the plan")
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(
            "--models",
            metavar="DIR",
            help="Folder with M3, M6, M9 trained by the same recipe; missing ones are trained there.",
            show_default="models in --output",
        ),
    ] = None,
    tried: Annotated[
        list[Path] | None,
        typer.Option(
            "--tried",
            metavar="DIR",
            help="A model of an earlier attempt, to list in the table of segmentation attempts. Repeatable.",
        ),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a value of the plan, such as pretraining.steps=20. Repeatable."
        ),
    ] = None,
    stages: Annotated[
        str | None, typer.Option("--stages", metavar="LIST", help="Run only these stages: analysis-M3,'*-M6',study.")
    ] = None,
    publish: Annotated[
        Path | None,
        typer.Option(
            "--publish", metavar="DIR", help="Folder for README, figures and tables.", show_default="study in --output"
        ),
    ] = None,
    cache: Cache = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print which stages would run, and why; run nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The [bold]paper's study[/bold] on your speech: train M3, M6 and M9, measure them, and check each claim.

    Pre-training, head analysis, relation maps, segmentation, importance curves, speed, and untrained models as a
    control; then README, tables and figures in the paper's order, with the paper's number beside each measured one.

    It can be killed at any moment: the same command continues. Stages that are finished, and models trained already by
    the same recipe, are not done again.

    [bold]Examples[/bold]

    [dim]# which stages would run[/dim]
    sat-probe reproduce --plan small --speech recordings/ --timit TIMIT --dry-run

    [dim]# small models on one processor core[/dim]
    sat-probe reproduce --plan small --speech recordings/ --timit TIMIT -o study

    [dim]# the paper's size and data on four GPUs[/dim]
    accelerate launch --num_processes 4 -m sat_probe reproduce --plan paper --speech LibriSpeech --timit TIMIT

    [dim]# one model again, with another number of steps[/dim]
    sat-probe reproduce --set 'pretraining.c_nums=[3]' --set pretraining.steps=2000 -o quick
    """
    quiet()

    from sat_probe.paper.plan import load_plan, place_corpora
    from sat_probe.paper.reproduce import reproduce as run_study
    from sat_probe.paper.stages import Places
    from sat_probe.studies.corpus_pass.processes import this_process

    study = place_corpora(load_plan(plan, changes or ()), speech, timit)
    ran = run_study(
        study,
        Places(output, models or output / "models", tuple(tried or ()), cache),
        stages=[part.strip() for part in (stages or "").split(",") if part.strip()],
        dry_run=dry_run,
        published=publish,
        say=lambda line: typer.echo(line, err=as_json),
        progress=sys.stderr.isatty(),
    )
    if as_json and this_process().is_main:
        from sat_probe.paper.claims import findings
        from sat_probe.paper.files import StudyFiles

        told = publish or output / "study"
        verdicts = [] if dry_run or "study" not in ran else findings(StudyFiles(told)).to_dict("records")
        typer.echo(json.dumps({"stages": ran, "claims": verdicts}, indent=2, default=str))
