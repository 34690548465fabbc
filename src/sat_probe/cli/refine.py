"""`sat-probe refine`: remove heads from a model or limit its attention, and save the smaller model."""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sat_probe.cli.options import (
    AsJson,
    MaxLoss,
    MissingPhones,
    Overwrite,
    Seed,
    Strict,
    Task,
    dataset_option,
    with_groups,
)
from sat_probe.cli.quiet import quiet
from sat_probe.studies.choices import CorpusChoice, ModelChoice

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    import pandas as pd


@with_groups(
    dataset=Annotated[
        str | None,
        dataset_option(
            help="Corpus with speakers or phone alignments: also compare what probes read from both models."
        ),
    ]
)
def refine(
    model: ModelChoice,
    corpus: CorpusChoice,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the refined model.")] = Path(
        "refined"
    ),
    heads: Annotated[
        str | None,
        typer.Option("--heads", metavar="LIST", help="Heads to remove, as layer.head: 3.1,5.0 (counted from 0)."),
    ] = None,
    remove_global: Annotated[
        float | None,
        typer.Option(
            "--remove-global",
            metavar="SHARE",
            min=0.0,
            max=1.0,
            help="Remove this share of all heads, the most global first.",
        ),
    ] = None,
    max_loss: MaxLoss = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="DIR",
            help="Report for --remove-global, or report of sat-probe importance for --max-loss.",
            show_default="measured on --dataset, or the bundled speech",
        ),
    ] = None,
    span: Annotated[
        int | None,
        typer.Option("--span", metavar="FRAMES", min=0, help="Limit attention to this many frames on each side."),
    ] = None,
    span_mode: Annotated[
        Literal["mask", "zero"],
        typer.Option(
            "--span-mode",
            help="mask computes only the frames within the span, which is faster; zero is the paper's, no faster.",
        ),
    ] = "mask",
    seconds: Annotated[
        float, typer.Option("--seconds", min=1.0, help="Audio per pass when time and memory are measured.")
    ] = 30.0,
    task: Task = None,
    missing_phones: MissingPhones = "refuse",
    seed: Seed = 0,
    strict: Strict = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Remove heads for good, or limit how far attention reaches, and save the smaller model.

    Prints parameters, multiply-adds, real-time factor and peak memory before and after. With --dataset also what probes
    read from both models: reconstruction, phones, speakers.

    [bold]Examples[/bold]

    [dim]# remove the more global half of the heads[/dim]
    sat-probe refine org/model --remove-global 0.5 -o small

    [dim]# remove two heads, and limit attention to 15 frames on each side[/dim]
    sat-probe refine --heads 3.1,5.0 --span 15 -o small

    [dim]# remove as many heads as one point of accuracy allows, by curves of sat-probe importance[/dim]
    sat-probe refine org/model --report curves --max-loss 0.01 --dataset timit --data-dir TIMIT -o small

    Load it with [bold]AutoProbedModel.from_pretrained("small")[/bold]. AutoModel of transformers cannot load a model
    with removed heads.
    """
    if heads is None and remove_global is None and span is None and max_loss is None:
        raise typer.BadParameter("nothing to refine: give --heads, --remove-global, --max-loss or --span")
    if max_loss is not None and report is None:
        raise typer.BadParameter("needs --report, a folder of sat-probe importance", param_hint="--max-loss")
    replaced = _check_output(output, overwrite)
    removed = _parsed(heads)
    quiet()

    import pandas as pd

    from sat_probe.reports.head_report import HeadReport
    from sat_probe.studies.head_analysis import AnalysisOptions, analyze
    from sat_probe.studies.importance.suggestion import suggested_heads
    from sat_probe.studies.inputs import open_inputs, open_model
    from sat_probe.studies.refinement import compare_footprints, compare_probes, most_global
    from sat_probe.studies.refinement import refine as refined_copy
    from sat_probe.studies.run_options import RunOptions

    known = None if report is None else HeadReport.load(report)
    needs_corpus = corpus.dataset is not None or (remove_global is not None and known is None)
    inputs = open_inputs(model, corpus) if needs_corpus else None
    before = open_model(model) if inputs is None else inputs.model
    progress = sys.stderr.isatty()
    if remove_global is not None and known is None and inputs is not None:
        known = analyze(inputs, AnalysisOptions(), RunOptions(strict=strict, progress=progress))
    chosen: list[tuple[int, int]] = []
    if remove_global is not None and known is not None:
        chosen += most_global(known.heads, remove_global)
    if max_loss is not None and known is not None:
        chosen += suggested_heads(known, max_loss)
    removed += [head for head in dict.fromkeys(chosen) if head not in removed]
    small = refined_copy(before, removed, span, span_mode)
    probed = None
    if inputs is not None and corpus.dataset is not None:
        probed = compare_probes(
            inputs, small, task, missing_phones=missing_phones, seed=seed, strict=strict, progress=progress
        )
    if replaced:
        shutil.rmtree(output)
    small.save_pretrained(output)
    table = pd.concat([compare_footprints(model, ModelChoice(output), seconds), probed], ignore_index=True)
    if as_json:
        rows = json.loads(table.to_json(orient="records"))
        typer.echo(json.dumps({"output": str(output), "removed": removed, "table": rows}))
        return
    _print(table)
    counted = f"{len(removed)} head{'' if len(removed) == 1 else 's'} removed"
    typer.echo(f"\n{counted}. Model: {output}{' (replaced another model)' if replaced else ''}")


def _check_output(output: Path, overwrite: bool) -> bool:
    """Return whether a model is there that will be replaced; raise if the folder cannot be used."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return False
    problem = "" if overwrite else "already holds a model; choose a new folder or pass --overwrite"
    if not (output / "config.json").is_file():
        problem = "exists and holds no model; choose a new folder"
    if problem:
        raise typer.BadParameter(f"{output} {problem}", param_hint="--output")
    return True


def _print(table: pd.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table

    changes = "change" in table  # only of probes, and there in pairs, so that its interval is the one to read
    shown = Table("", "before", "after", "after / before", *(["change"] if changes else []), box=None)
    for row in table.to_dict("records"):
        cells = [f"{row['before']:.4g}", f"{row['after']:.4g}", _with_interval(row, "ratio", ".2f")]
        shown.add_row(str(row["quantity"]), *cells, *([_with_interval(row, "change", "+.3f")] if changes else []))
    Console().print(shown)


def _with_interval(row: Mapping[Hashable, Any], name: str, form: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if math.isnan(value):
        return ""
    # one test utterance has no interval
    return f"{value:{form}}" + ("" if math.isnan(low) else f" ({low:{form}} to {high:{form}})")


def _parsed(heads: str | None) -> list[tuple[int, int]]:
    """3.1,5.0 -> [(3, 1), (5, 0)]."""
    found = []
    for part in heads.replace(" ", "").split(",") if heads else ():
        match = re.fullmatch(r"(\d+)\.(\d+)", part)
        if match is None:
            raise typer.BadParameter(f"{part!r} is not a head; write layer.head, as in 3.1,5.0", param_hint="--heads")
        found.append((int(match[1]), int(match[2])))
    return found
