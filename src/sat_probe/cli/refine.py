"""`sat-probe refine`: a smaller, faster model without the heads it can do without."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer

from sat_probe.cli.options import Model
from sat_probe.cli.quiet import quiet


def refine(
    model: Model = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the refined model.")] = Path(
        "refined"
    ),
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
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="Head report that says which heads are global; measured on the bundled speech if left out.",
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
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Remove heads for good, or limit how far attention reaches, and save the smaller model.

    Prints parameters, multiply-adds, real-time factor and peak memory before and after.

    [bold]Examples[/bold]

    [dim]# without the more global half of the heads[/dim]
    sat-probe refine org/model --remove-global 0.5 -o small

    [dim]# without two heads, and with attention over 15 frames to each side[/dim]
    sat-probe refine --heads 3.1,5.0 --span 15 -o small

    Load it with [bold]AutoProbedModel.from_pretrained("small")[/bold]; transformers' own AutoModel refuses a model
    with removed heads.
    """
    if heads is None and remove_global is None and span is None:
        raise typer.BadParameter("nothing to refine: give --heads, --remove-global or --span")
    if span_mode not in ("mask", "zero"):
        raise typer.BadParameter(f"{span_mode!r} is neither mask nor zero", param_hint="--span-mode")
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise typer.BadParameter(f"{output} is there already; choose a new folder", param_hint="--output")
    named = _parsed(heads)
    quiet()

    from sat_probe.reports.head_report import HeadReport
    from sat_probe.studies.head_analysis import analyze_model
    from sat_probe.studies.refinement import compare_footprints, most_global
    from sat_probe.studies.refinement import refine as refined_copy
    from sat_probe.studies.study_model import load_model

    before = load_model(model, device="cpu")
    if remove_global is not None:
        known = HeadReport.load(report) if report is not None else analyze_model(before)
        named = list(dict.fromkeys([*named, *most_global(known.heads, remove_global)]))
    small = refined_copy(before, remove=named, span=span, span_mode="mask" if span_mode == "mask" else "zero")
    small.save_pretrained(output)
    table = compare_footprints(before.config._name_or_path, output, seconds)
    if as_json:
        typer.echo(json.dumps({"output": str(output), "removed": named, "table": table.to_dict("records")}))
        return

    from rich.console import Console
    from rich.table import Table

    shown = Table("", "before", "after", "after / before", box=None)
    for row in table.itertuples():
        shown.add_row(str(row.quantity), f"{row.before:.4g}", f"{row.after:.4g}", f"{row.ratio:.2f}")
    Console().print(shown)
    typer.echo(f"\n{len(named)} heads removed. Model: {output}")


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
