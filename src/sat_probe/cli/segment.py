"""`sat-probe segment`: phone boundaries predicted by attention heads."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from sat_probe.cli.options import AsJson, Overwrite, Resume, Seed, Strict, keywords, with_groups
from sat_probe.cli.quiet import quiet
from sat_probe.studies.choices import CorpusChoice, ModelChoice, Scoring

if TYPE_CHECKING:
    from rich.table import Table

    from sat_probe.studies.segmentation.study import Segmentation


@with_groups()
def segment(
    model: ModelChoice,
    corpus: CorpusChoice,
    scoring: Scoring,
    attention_features: Annotated[
        Literal["rows", "rows_and_columns"],
        typer.Option("--attention-features", help="Parts of a map that describe a frame; the paper takes rows."),
    ] = "rows",
    shifts: Annotated[
        int,
        typer.Option(
            "--shifts",
            metavar="N",
            min=1,
            help="Read each utterance N times, shifted by 1/N frame; the paper reads it once.",
        ),
    ] = 1,
    validation_share: Annotated[
        float,
        typer.Option("--validation-share", metavar="SHARE", help="Share of the speakers that settings are tuned on."),
    ] = 0.5,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Report of this model to add the tables and figures to, or a new folder.",
        ),
    ] = None,
    seed: Seed = 0,
    strict: Strict = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Find the attention heads that best predict [bold]phone boundaries[/bold].

    Every head, every layer and baselines without a model predict the phone boundaries of a corpus. Settings are tuned
    on some speakers and scored on the others. One head is chosen by validation score, another without labels.

    [bold]Examples[/bold]

    [dim]# the bundled model on the bundled speech, no network needed[/dim]
    sat-probe segment

    [dim]# TIMIT; the results are added to a report[/dim]
    sat-probe segment org/model --dataset timit --data-dir TIMIT --output report

    [dim]# three shifted readings of each utterance, and the numbers for another program[/dim]
    sat-probe segment --shifts 3 --attention-features rows_and_columns --json
    """
    from sat_probe.reports.report_folder import check_destination

    if output is not None:
        check_destination(output)  # before the work, not after it
    elif resume:
        raise typer.BadParameter("needs the --output of the interrupted run", param_hint="--resume")

    quiet()

    from sat_probe.studies.corpus_pass.processes import this_process
    from sat_probe.studies.segmentation.sources import Settings
    from sat_probe.studies.segmentation.study import segment_model

    found = segment_model(
        **keywords(model, corpus),
        counting=scoring.counting or "rasanen",
        tolerance=0.02 if scoring.tolerance is None else scoring.tolerance,
        settings=Settings(features=attention_features, shifts=shifts),
        validation_share=validation_share,
        seed=seed,
        output=output,
        overwrite=overwrite,
        resume=resume,
        strict=strict,
        progress=sys.stderr.isatty(),
    )
    if not this_process().is_main:
        return
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2, allow_nan=False))
        return

    from rich.console import Console

    Console().print(_summary(found))
    if output is not None:
        typer.echo(f"\nReport: {output}")


_SHOWN = ("validation_r_value", "r_value", "r_value_low", "r_value_high", "precision", "recall")


def _summary(found: Segmentation) -> Table:
    """Return the best heads and the best of every other kind of source, R-values in per cent."""
    import pandas as pd
    from rich.table import Table

    table, origin = found.table, found.provenance
    tested = origin["utterances"]["test"]
    shown = Table(
        title=f"Phone boundaries within ± {1000 * origin['tolerance']:g} ms, counted as {origin['counting']}",
        caption=f"R on {tested} test utterance{'' if tested == 1 else 's'} with its 95 % interval; tuned on "
        f"{origin['utterances']['validation']} of other speakers",
        box=None,  # lines between columns would cut words at 80 characters
        padding=(0, 1),
    )
    shown.add_column("source", no_wrap=True)
    for column in ("R valid.", "R test", "95 %", "precision", "recall"):
        shown.add_column(column, justify="right", no_wrap=True)
    shown.add_column("chosen by", min_width=len("validation"))
    heads = table[table["source"] == "attention"]
    others = table[table["source"] != "attention"].groupby("source", sort=False).head(1)
    best = heads[(heads["choice"] != "") | (heads.index.isin(heads.index[:5]))]
    rows = [(row, row["choice"].replace("_", " ")) for _, row in best.iterrows()]
    rows += [(row, "") for _, row in others.iterrows()]
    for row, choice in rows:
        places = {"L": row["layer"], "H": row["head"]}.items()
        name = " ".join([row["source"], *(f"{letter}{n}" for letter, n in places if n is not pd.NA)])
        tuned, score, low, high, precision, recall = (f"{100 * row[column]:.1f}" for column in _SHOWN)
        interval = "-" if pd.isna(row["r_value_low"]) else f"{low}–{high}"  # one utterance has none
        shown.add_row(name, tuned, score, interval, precision, recall, choice)
    return shown
