"""`sat-probe compare`: two reports of models with the same layers and heads, head by head."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from sat_probe.cli.options import AsJson

_SHOWN = ("globalness", "verticality", "diagonality")


def compare(
    first: Annotated[
        str,
        typer.Argument(metavar="FIRST", help="A report: a folder, or OWNER/NAME\\[:MODEL\\[@REVISION]] on the Hub."),
    ],
    second: Annotated[str, typer.Argument(metavar="SECOND", help="The report to compare it with.")],
    everything: Annotated[bool, typer.Option("--all", help="Show every head, not only those that changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare two reports head by head: both categories, and the change of each metric (second - first).

    The models must have the same layers and heads, as before and after fine-tuning, or with two seeds.

    [bold]Examples[/bold]

    sat-probe compare before after

    sat-probe compare hubert me/heads:facebook/hubert-base-ls960
    """
    from sat_probe.reports.head_report import HeadReport
    from sat_probe.reports.report_folder import plain

    reports = [HeadReport.open(source) for source in (first, second)]
    rows = reports[0].compare(reports[1])
    missing = rows.attrs["missing"]
    if as_json:
        names = [report.provenance.model for report in reports]
        content = {"models": names, "missing": missing, "heads": plain(rows.to_dict("records"))}
        typer.echo(json.dumps(content, indent=2))
        return

    from rich.console import Console
    from rich.table import Table

    changed = rows[rows["changed"]]
    table = Table(box=None, padding=(0, 1))
    for heading in ("layer", "head", "first", "second", *_SHOWN):
        table.add_column(heading, justify="left" if heading in ("first", "second") else "right")
    for _, row in (rows if everything else changed).iterrows():
        moved = (f"{row[f'{name}_difference']:+.3f}" for name in _SHOWN)
        table.add_row(str(row["layer"]), str(row["head"]), row["category"], row["category_other"], *moved)
    console = Console()
    console.print(f"{len(changed)} of {len(rows)} heads changed their category.")
    if missing:
        console.print(f"{missing} heads that only one of the two models has are left out.")
    if table.row_count:
        console.print(table)
