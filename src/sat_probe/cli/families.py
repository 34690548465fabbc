"""`sat-probe families`: which speech encoders can be probed."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def families(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the table, and what is refused and why, as JSON.")
    ] = False,
) -> None:
    """Which speech encoders can be probed: frame rate, padded batches, limits.

    Whole models (Whisper, SpeechT5, Voxtral ...) load as their encoder. [bold]hop[/bold] and [bold]first[/bold]: time
    between frame centres, and the centre of the first frame, of the default configuration. [bold]batch[/bold]: whether
    utterances of different length can share one; the others are run one by one, so that padding changes nothing.

    [bold]Examples[/bold]

    sat-probe families

    sat-probe families --json
    """
    from sat_probe.cli.quiet import quiet

    quiet()
    from sat_probe.models.families.encoder_config import REFUSED
    from sat_probe.models.families.printed import family_rows

    rows = family_rows()
    if as_json:
        typer.echo(json.dumps({"families": rows, "refused": REFUSED}, indent=2))
        return

    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 1))
    for heading in ("model type", "hop ms", "first ms", "batch", "limits"):
        table.add_column(heading, justify="right" if heading.endswith("ms") else "left")
    for row in rows:
        times = (
            "-" if row[name] is None else f"{row[name]:g}" for name in ("frame_hop_ms", "first_centre_ms")
        )
        table.add_row(row["model_type"], *times, row["batches"], row["limits"])
    console = Console()
    console.print(table)
    console.print(f"{len(rows)} families. Not probed: {', '.join(sorted(REFUSED))} (--json says why).")
