"""`sat-probe refine`: a smaller, faster model without the heads it can do without."""

from __future__ import annotations

import json
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sat_probe.cli.options import Alignments, DataDir, Limit, MissingPhones, Model, Split, dataset_option
from sat_probe.cli.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Hashable

    import pandas as pd


def refine(
    model: Model = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="New folder for the refined model.")
    ] = Path("refined"),
    heads: Annotated[
        str | None,
        typer.Option(
            "--heads", help="Heads to remove, as layer.head: 3.1,5.0 (counted from 0).", show_default=False
        ),
    ] = None,
    remove_global: Annotated[
        float | None,
        typer.Option(
            "--remove-global",
            min=0.0,
            max=1.0,
            help="Remove this share of all heads, the most global first.",
            show_default=False,
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            min=0.0,
            help="Remove the most heads that lose no more on the curves of --report: 0.01 is one point of accuracy, "
            "or 1 % of L1.",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="Head report that says which heads are global, or (of sat-probe importance) which can go; measured "
            "on --dataset, or the bundled speech, if left out.",
            show_default=False,
        ),
    ] = None,
    span: Annotated[
        int | None,
        typer.Option("--span", min=0, help="Let attention reach this many frames.", show_default=False),
    ] = None,
    span_mode: Annotated[
        str,
        typer.Option(
            "--span-mode",
            help="mask: compute the band alone, faster; zero: the paper's, exact but no faster.",
        ),
    ] = "mask",
    seconds: Annotated[
        float, typer.Option("--seconds", min=1.0, help="Audio per pass when measuring before and after.")
    ] = 30.0,
    dataset: Annotated[
        str | None,
        dataset_option("Corpus with speakers or phone alignments: probe both models on it as well."),
    ] = None,
    data_dir: DataDir = None,
    alignments: Alignments = None,
    split: Split = None,
    limit: Limit = None,
    task: Annotated[
        list[str] | None,
        typer.Option(
            "--task",
            help="What to probe, as for sat-probe importance; may be repeated; all that --dataset has labels for if "
            "left out.",
            show_default=False,
        ),
    ] = None,
    missing_phones: MissingPhones = "refuse",
    seed: Annotated[int, typer.Option("--seed", help="Of split, probes and intervals.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Remove heads for good, or limit how far attention reaches, and save the smaller model.

    Prints parameters, multiply-adds, real-time factor and peak memory before and after; with --dataset also what probes
    still read: reconstruction, phones, speakers.

    [bold]Examples[/bold]

    [dim]# without the more global half of the heads[/dim]
    sat-probe refine org/model --remove-global 0.5 -o small

    [dim]# without two heads, and with attention over 15 frames to each side[/dim]
    sat-probe refine --heads 3.1,5.0 --span 15 -o small

    [dim]# as many heads as one point of accuracy allows, by curves that were measured before[/dim]
    sat-probe refine org/model --report curves --tolerance 0.01 --dataset timit --data-dir TIMIT -o small

    Load it with [bold]AutoProbedModel.from_pretrained("small")[/bold]; transformers' own AutoModel refuses a model
    with removed heads.
    """
    if heads is None and remove_global is None and span is None and tolerance is None:
        raise typer.BadParameter("nothing to refine: give --heads, --remove-global, --tolerance or --span")
    if span_mode not in ("mask", "zero"):
        raise typer.BadParameter(f"{span_mode!r} is neither mask nor zero", param_hint="--span-mode")
    if missing_phones not in ("refuse", "ignore"):
        raise typer.BadParameter(
            f"{missing_phones!r} is neither refuse nor ignore", param_hint="--missing-phones"
        )
    if tolerance is not None and report is None:
        raise typer.BadParameter("needs --report, a folder of sat-probe importance", param_hint="--tolerance")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise typer.BadParameter(f"{output} is there already; choose a new folder", param_hint="--output")
    named = _parsed(heads)
    quiet()

    import pandas as pd

    from sat_probe.phones.corpora.corpus import load_corpus
    from sat_probe.reports.head_report import HeadReport
    from sat_probe.studies.head_analysis import analyze_model
    from sat_probe.studies.importance.suggestion import suggested_heads
    from sat_probe.studies.inputs import load_model
    from sat_probe.studies.refinement import compare_footprints, compare_probes, most_global
    from sat_probe.studies.refinement import refine as refined_copy

    corpus = None
    if dataset is not None:
        corpus = load_corpus(dataset, data_dir=data_dir, split=split, limit=limit, alignments=alignments)
    known = None if report is None else HeadReport.load(report)
    before = load_model(model, device="cpu")
    progress = sys.stderr.isatty()
    chosen: list[tuple[int, int]] = []
    if remove_global is not None:
        measured = (known or analyze_model(before, corpus, progress=progress)).heads
        chosen += most_global(measured, remove_global)
    if tolerance is not None and known is not None:
        chosen += suggested_heads(known, tolerance)
    named += [head for head in dict.fromkeys(chosen) if head not in named]
    small = refined_copy(before, remove=named, span=span, span_mode="mask" if span_mode == "mask" else "zero")
    probed = None
    if corpus is not None:
        ignored: Literal["refuse", "ignore"] = "ignore" if missing_phones == "ignore" else "refuse"
        probed = compare_probes(
            before, small, corpus, task, missing_phones=ignored, seed=seed, progress=progress
        )
    small.save_pretrained(output)
    table = pd.concat(
        [compare_footprints(before.config._name_or_path, output, seconds), probed], ignore_index=True
    )
    if as_json:
        rows = json.loads(table.to_json(orient="records"))
        typer.echo(json.dumps({"output": str(output), "removed": named, "table": rows}))
        return
    _print(table)
    typer.echo(f"\n{len(named)} heads removed. Model: {output}")


def _print(table: pd.DataFrame) -> None:
    from rich.console import Console
    from rich.table import Table

    changes = "change" in table  # only of probes, and there in pairs, so that its interval is the one to read
    shown = Table("", "before", "after", "after / before", *(["change"] if changes else []), box=None)
    for row in table.to_dict("records"):
        cells = [f"{row['before']:.4g}", f"{row['after']:.4g}", f"{row['ratio']:.2f}"]
        shown.add_row(str(row["quantity"]), *cells, *([_change(row)] if changes else []))
    Console().print(shown)


def _change(row: dict[Hashable, Any]) -> str:
    if math.isnan(row["change"]):
        return ""
    if math.isnan(row["change_low"]):  # one test utterance has no interval
        return f"{row['change']:+.3f}"
    return f"{row['change']:+.3f} ({row['change_low']:+.3f} to {row['change_high']:+.3f})"


def _parsed(heads: str | None) -> list[tuple[int, int]]:
    """3.1,5.0 -> [(3, 1), (5, 0)]."""
    found = []
    for part in (heads or "").replace(" ", "").split(",") if heads else ():
        match = re.fullmatch(r"(\d+)\.(\d+)", part)
        if match is None:
            raise typer.BadParameter(
                f"{part!r} is no head; write layer.head, as in 3.1,5.0", param_hint="--heads"
            )
        found.append((int(match[1]), int(match[2])))
    return found
