"""`sat-probe families`: the speech encoders that can be probed."""

from __future__ import annotations

import json

import typer

from sat_probe.cli.options import AsJson


def families(as_json: AsJson = False) -> None:
    """List the speech encoders that can be probed: frame rate, padded batches, limits.

    Of whole models (Whisper, SpeechT5, Voxtral ...) the encoder is loaded. [bold]hop[/bold] is the time between frame
    centres, [bold]first[/bold] the centre of the first frame, in the default configuration. [bold]batch[/bold] says
    whether utterances of different lengths can share a batch; otherwise they run one by one, so that padding changes
    no number.

    [bold]Examples[/bold]

    sat-probe families

    sat-probe families --json
    """
    from sat_probe.cli.quiet import quiet

    quiet()
    from sat_probe.models.families.encoder_config import REFUSED
    from sat_probe.models.families.table import family_rows

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
        times = ("-" if row[name] is None else f"{row[name]:g}" for name in ("frame_hop_ms", "first_centre_ms"))
        table.add_row(row["model_type"], *times, row["batches"], row["limits"])
    console = Console()
    console.print(table)
    console.print(f"{len(rows)} families. Not probed: {', '.join(sorted(REFUSED))} (--json says why).")
