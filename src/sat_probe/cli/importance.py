"""`sat-probe importance`: which heads can go, and what is lost with them."""

from __future__ import annotations

import importlib
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat_probe.cli.options import Alignments, DataDir, Dataset, Device, Limit, MissingPhones, Model, Split
from sat_probe.cli.quiet import quiet

if TYPE_CHECKING:
    from sat_probe.studies.importance.suggestion import Suggestion

FEW = 20  # test utterances; a percentile bootstrap of fewer is too narrow


def importance(
    model: Model = None,
    dataset: Dataset = None,
    data_dir: DataDir = None,
    alignments: Alignments = None,
    split: Split = None,
    limit: Limit = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the report.")
    ] = Path("sat-probe-importance"),
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            help="reconstruction, phones_linear, phones_hidden, speakers_frame, speakers_utterance; may be repeated; "
            "all that the corpus has labels for if left out.",
            show_default=False,
        ),
    ] = None,
    ranking: Annotated[
        list[str] | None,
        typer.Option(
            "--ranking",
            help="globalness, verticality, diagonality, weight, gradient, leave_one_out, random, or module:function, "
            "a function of the report that gives a number per head; may be repeated; all named ones if left out.",
            show_default=False,
        ),
    ] = None,
    spans: Annotated[
        str, typer.Option("--spans", help="Frames that attention may reach; empty for none.")
    ] = "50,25,15,5,3,2,1,0",
    steps: Annotated[int, typer.Option("--steps", min=1, help="Parts that the heads are removed in.")] = 6,
    mode: Annotated[
        list[str] | None,
        typer.Option(
            "--mode",
            help="retrain: a probe for each ablated model; frozen: the intact model's; both if left out.",
            show_default=False,
        ),
    ] = None,
    layer: Annotated[
        str, typer.Option("--layer", help="Hidden state to probe: 0 the embedding, -1 the last, or weighted.")
    ] = "-1",
    missing_phones: MissingPhones = "refuse",
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            min=0.0,
            help="Suggest the most heads to remove, and the shortest span, that lose no more: 0.01 is one point of "
            "accuracy, or 1 % of L1.",
            show_default=False,
        ),
    ] = None,
    device: Device = None,
    seed: Annotated[int, typer.Option("--seed", help="Of split, probes and intervals.")] = 0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was interrupted: same arguments.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Remove heads in many orders, limit attention, and probe what is left: the curves of which heads matter.

    Speech is reconstructed, phones and speakers are told from the hidden states of every ablated model.

    [bold]Examples[/bold]

    [dim]# the bundled model on the bundled speech[/dim]
    sat-probe importance

    [dim]# what can go from a model at one point of accuracy[/dim]
    sat-probe importance org/model --dataset timit --data-dir TIMIT --tolerance 0.01 -o hubert

    The report has the table [bold]importance.parquet[/bold] and its figures beside everything about the heads.
    """
    from sat_probe.reports.report_folder import check_destination

    check_destination(output)
    chosen, metrics = _rankings(ranking)
    quiet()

    from sat_probe.studies.importance.options import Options
    from sat_probe.studies.importance.study import head_importance
    from sat_probe.studies.importance.suggestion import suggest

    given: dict[str, Any] = {
        "tasks": task,
        "spans": _spans(spans),
        "steps": steps,
        "layer": "weighted" if layer == "weighted" else _whole(layer, "--layer"),
        "seed": seed,
        "missing_phones": missing_phones,
    }
    given |= {} if chosen is None else {"rankings": chosen}
    given |= {} if mode is None else {"modes": mode}
    try:
        report = head_importance(
            model,
            dataset,
            Options(**given),
            metrics=metrics,
            data_dir=data_dir,
            alignments=alignments,
            split=split,
            limit=limit,
            device=device,
            output=output,
            resume=resume,
            progress=sys.stderr.isatty(),
        )
    except KeyboardInterrupt:
        typer.echo("The finished points are kept: the same command goes on with --resume.", err=True)
        raise
    table = report.tables["importance"]
    found = {}
    if tolerance is not None:
        probes = (mode or ["retrain"])[0]
        found = {
            kind: suggest(table, tolerance, kind, probes, report.tables["importance_counts"])
            for kind in ("heads", "span")
            if (table["kind"] == kind).any()
        }
    if as_json:
        rows = json.loads(table.to_json(orient="records"))
        shown = {kind: None if one is None else asdict(one) for kind, one in found.items()}
        typer.echo(json.dumps({"importance": rows, "suggestion": shown}))
        return
    for kind, one in found.items():
        typer.echo(_advice(kind, one, tolerance, len(report.heads)))
        if one is not None and tolerance is not None:
            typer.echo(_sureness(one, tolerance, report.provenance["importance"]["split"]["test"]))
    typer.echo(f"Report: {output}")


def _advice(kind: str, found: Suggestion | None, tolerance: float | None, all_heads: int) -> str:
    """What may go, with the option of `sat-probe refine` that takes it away."""
    if found is None:
        return f"No {'removal of heads' if kind == 'heads' else 'span'} loses as little as {tolerance:g}."
    lost = ", ".join(
        f"{name} {loss:+.3f} ({found.intervals[name][0]:+.3f} to {found.intervals[name][1]:+.3f})"
        for name, loss in found.losses.items()
    )
    if kind == "span":
        return (
            f"Attention may be limited (lost: {lost}):\n  --span {found.span} --span-mode {found.span_mode}"
        )
    if len(found.heads) == all_heads:
        return (
            f"All {all_heads} heads can go (lost: {lost}): these probes do not need attention. sat-probe refine "
            "keeps one head at least; with --report and --tolerance it takes the step before."
        )
    named = ",".join(f"{layer}.{head}" for layer, head in found.heads)
    return f"{len(found.heads)} heads can go by {found.ranking} (lost: {lost}):\n  --heads {named}"


def _sureness(found: Suggestion, tolerance: float, tested: int) -> str:
    """Whether the intervals of the losses, and not only the losses, stay within the tolerance."""
    spoken = "1 test utterance" if tested == 1 else f"{tested} test utterances"
    ends = {name: high for name, (_, high) in found.intervals.items()}
    unknown = [name for name in found.losses if not math.isfinite(ends.get(name, math.nan))]
    if unknown:
        return f"  Not sure: no interval for {', '.join(unknown)} ({spoken})."
    worst = max(ends, key=lambda name: ends[name])
    if ends[worst] > tolerance:
        return f"  Not sure: {worst} may lose up to {ends[worst]:+.3f}, more than {tolerance:g}; {spoken} cannot tell."
    few = "; so few make intervals look narrow" if tested < FEW else ""
    return f"  Sure for this speech: the upper ends are within {tolerance:g} too ({spoken}{few})."


def _rankings(names: list[str] | None) -> tuple[list[str] | None, dict[str, Any]]:
    """Named rankings, and functions of the user's by their name."""
    if names is None:
        return None, {}
    metrics = {}
    for name in names:
        if ":" in name:
            module, _, function = name.partition(":")
            try:
                metrics[function] = getattr(importlib.import_module(module), function)
            except (ImportError, AttributeError) as error:
                raise typer.BadParameter(f"{name}: {error}", param_hint="--ranking") from error
    return [name for name in names if ":" not in name], metrics


def _spans(text: str) -> tuple[int, ...]:
    return tuple(_whole(part, "--spans") for part in text.replace(" ", "").split(",") if part)


def _whole(text: str, option: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no whole number", param_hint=option) from None
