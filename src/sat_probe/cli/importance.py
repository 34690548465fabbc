"""`sat-probe importance`: curves of what is lost when heads are removed."""

from __future__ import annotations

import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from sat_probe.cli.options import (
    AsJson,
    MaxLoss,
    MissingPhones,
    Overwrite,
    Resume,
    Seed,
    Strict,
    Task,
    keywords,
    with_groups,
)
from sat_probe.cli.quiet import quiet
from sat_probe.studies.choices import CorpusChoice, ModelChoice


@with_groups()
def importance(
    model: ModelChoice,
    corpus: CorpusChoice,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the report.")] = Path(
        "sat-probe-importance"
    ),
    task: Task = None,
    ranking: Annotated[
        list[str] | None,
        typer.Option(
            "--ranking",
            metavar="NAME",
            help="globalness, verticality, diagonality, weight, gradient, leave_one_out, random, or module:function, "
            "a function of the report that gives a number per head. Repeatable.",
            show_default="every named ranking",
        ),
    ] = None,
    spans: Annotated[
        str, typer.Option("--spans", metavar="LIST", help="Attention spans in frames; empty for none.")
    ] = "50,25,15,5,3,2,1,0",
    steps: Annotated[int, typer.Option("--steps", min=1, help="Number of steps in which heads are removed.")] = 6,
    mode: Annotated[
        list[str] | None,
        typer.Option(
            "--mode",
            metavar="NAME",
            help="retrain: train a probe for each ablated model; frozen: keep the probe of the intact model. "
            "Repeatable.",
            show_default="both",
        ),
    ] = None,
    layer: Annotated[
        str,
        typer.Option(
            "--layer",
            metavar="N|weighted",
            help="Hidden state to probe: 0 is the embedding, -1 the last; or a weighted mean of all.",
        ),
    ] = "-1",
    missing_phones: MissingPhones = "refuse",
    max_loss: MaxLoss = None,
    seed: Seed = 0,
    strict: Strict = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Measure which heads matter: remove them in many orders, limit attention spans, and probe every ablated model.

    Probes reconstruct the speech and classify phones and speakers from the hidden states of each ablated model.

    [bold]Examples[/bold]

    [dim]# the bundled model on the bundled speech[/dim]
    sat-probe importance

    [dim]# what can be removed at a loss of one point of accuracy[/dim]
    sat-probe importance org/model --dataset timit --data-dir TIMIT --max-loss 0.01 -o hubert

    The report holds the table [bold]importance.parquet[/bold] and its figures, and the head analysis of the model.
    """
    from sat_probe.reports.report_folder import check_destination

    check_destination(output)
    metrics = _functions(ranking or [])
    quiet()

    from sat_probe.studies.corpus_pass.processes import this_process
    from sat_probe.studies.importance.options import Options
    from sat_probe.studies.importance.study import head_importance
    from sat_probe.studies.importance.suggestion import advice, confidence, suggest

    given: dict[str, Any] = {
        "tasks": task,
        "spans": _spans(spans),
        "steps": steps,
        "layer": "weighted" if layer == "weighted" else _whole(layer, "--layer"),
        "seed": seed,
        "missing_phones": missing_phones,
    }
    given |= {} if ranking is None else {"rankings": [name for name in ranking if ":" not in name]}
    given |= {} if mode is None else {"modes": mode}
    try:
        report = head_importance(
            **keywords(model, corpus),
            options=Options(**given),
            metrics=metrics,
            output=output,
            overwrite=overwrite,
            resume=resume,
            strict=strict,
            progress=sys.stderr.isatty(),
        )
    except KeyboardInterrupt:
        typer.echo("The finished points were kept; add --resume to continue.", err=True)
        raise
    if not this_process().is_main:
        return
    table = report.tables["importance"]
    found = {}
    if max_loss is not None:
        probes = (mode or ["retrain"])[0]
        found = {
            kind: suggest(table, max_loss, kind, probes, report.tables["importance_counts"])
            for kind in ("heads", "span")
            if (table["kind"] == kind).any()
        }
    if as_json:
        rows = json.loads(table.to_json(orient="records"))
        shown = {kind: None if one is None else asdict(one) for kind, one in found.items()}
        typer.echo(json.dumps({"importance": rows, "suggestion": shown}))
        return
    if max_loss is not None:
        tested = report.provenance["importance"]["split"]["test"]
        for kind, one in found.items():
            typer.echo(advice(kind, one, max_loss, len(report.heads)))
            if one is not None:
                typer.echo(confidence(one, max_loss, tested))
    typer.echo(f"Report: {output}")


def _functions(names: list[str]) -> dict[str, Any]:
    """Return the user's own functions among the rankings, by name."""
    found = {}
    for name in names:
        module, colon, function = name.partition(":")
        if colon:
            try:
                found[function] = getattr(importlib.import_module(module), function)
            except (ImportError, AttributeError) as error:
                raise typer.BadParameter(f"{name}: {error}", param_hint="--ranking") from error
    return found


def _spans(text: str) -> tuple[int, ...]:
    return tuple(_whole(part, "--spans") for part in text.replace(" ", "").split(",") if part)


def _whole(text: str, option: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a whole number", param_hint=option) from None
