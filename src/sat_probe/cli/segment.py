"""`sat-probe segment`: which head knows where phones begin?"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sat_probe.cli.options import (
    Alignments,
    AllowPickle,
    DataDir,
    Device,
    Limit,
    Model,
    Revision,
    Split,
    dataset_option,
)
from sat_probe.cli.quiet import quiet

if TYPE_CHECKING:
    from rich.table import Table

    from sat_probe.studies.segmentation.study import Segmentation


class CountingRule(str, Enum):
    """Rules for what a hit is."""

    rasanen = "rasanen"
    strict = "strict"
    lenient = "lenient"


class MapFeatures(str, Enum):
    """Which part of a map describes a frame."""

    rows = "rows"
    rows_and_columns = "rows_and_columns"


def segment(
    model: Model = None,
    dataset: Annotated[
        str | None,
        dataset_option(
            "A folder of audio with phone alignments, or a corpus by name; the bundled speech if left out."
        ),
    ] = None,
    data_dir: DataDir = None,
    alignments: Alignments = None,
    split: Split = None,
    limit: Limit = None,
    counting: Annotated[
        CountingRule | None,
        typer.Option(
            "--counting",
            help="What counts as a hit; the result names it.",
            show_default="rasanen",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option("--tolerance", min=0.0, help="Seconds, inclusive.", show_default="0.02"),
    ] = None,
    features: Annotated[
        MapFeatures, typer.Option("--features", help="What of a map describes a frame; the paper takes rows.")
    ] = MapFeatures.rows,
    shifts: Annotated[
        int,
        typer.Option(
            "--shifts", min=1, help="Read each utterance N times, 1/N frame apart; the paper: once."
        ),
    ] = 1,
    validation_share: Annotated[
        float, typer.Option("--validation-share", help="Share of the speakers that settings are tuned on.")
    ] = 0.5,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="A report of this model to add the tables and figures to, or a new folder for one.",
            show_default=False,
        ),
    ] = None,
    device: Device = None,
    revision: Revision = None,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="NAME|FILE",
            help="Model, revision, corpus, tolerance and counting by one name; other options win over it.",
            show_default=False,
        ),
    ] = None,
    allow_pickle: AllowPickle = False,
    seed: Annotated[int, typer.Option("--seed", help="Which speakers validate; random boundaries.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print all tables as JSON.")] = False,
) -> None:
    """Which attention head knows where [bold]phones begin[/bold]?

    Every head, every layer and baselines without a model predict the phone boundaries of a corpus. Settings are tuned
    on some speakers and scored on the others; one head is chosen by its validation score, and one without any label.

    [bold]Examples[/bold]

    [dim]# the bundled model on the bundled speech, no network needed[/dim]
    sat-probe segment

    [dim]# TIMIT, results added to a report[/dim]
    sat-probe segment org/model --dataset timit --data-dir TIMIT --output report

    [dim]# maps at a third of the frame, the numbers for another program[/dim]
    sat-probe segment --shifts 3 --features rows_and_columns --json
    """
    from sat_probe.reports.report_folder import check_destination

    if output is not None:
        check_destination(output)  # before the work, not after it

    quiet()

    from sat_probe.studies.segmentation.sources import Settings
    from sat_probe.studies.segmentation.study import segment_model

    progress = sys.stderr.isatty()
    chosen: dict[str, Any] = {
        "model": model,
        "revision": revision,
        "allow_pickle": allow_pickle,
        "dataset": dataset,
        "split": split,
        "limit": limit,
        "counting": None if counting is None else counting.value,
        "tolerance": tolerance,
    }
    if preset is not None:
        from sat_probe.studies.choices import CorpusChoice, ModelChoice, Scoring
        from sat_probe.studies.presets import load_preset

        known = load_preset(preset)
        own_model = known.fill(ModelChoice(model, revision, allow_pickle))
        chosen |= {name: getattr(own_model, name) for name in ("model", "revision", "allow_pickle")}
        own_corpus = known.fill(CorpusChoice(dataset, split=split, limit=limit))
        chosen |= {name: getattr(own_corpus, name) for name in ("dataset", "split", "limit")}
        filled_scoring = known.fill(Scoring(chosen["counting"], chosen["tolerance"]))
        chosen |= asdict(filled_scoring)
    scored = {"counting": chosen.pop("counting") or "rasanen", "tolerance": chosen.pop("tolerance")}
    if scored["tolerance"] is None:
        scored["tolerance"] = 0.02
    found = segment_model(
        **chosen,
        **scored,
        data_dir=data_dir,
        alignments=alignments,
        settings=Settings(features=features.value, shifts=shifts),
        validation_share=validation_share,
        device=device,
        seed=seed,
        progress=progress,
    )
    if output is not None:
        from sat_probe.reports.head_report import HeadReport
        from sat_probe.studies.head_analysis import analyze_model

        if (output / "report.json").exists():
            report = HeadReport.load(output)
        else:
            report = analyze_model(
                **chosen,
                data_dir=data_dir,
                alignments=alignments,
                device=device,
                seed=seed,
                progress=progress,
            )
        found.added_to(report).save(output)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2, allow_nan=False))
        return

    from rich.console import Console

    Console().print(_summary(found))
    if output is not None:
        typer.echo(f"\nReport: {output}")


def _summary(found: Segmentation) -> Table:
    """The best heads and the best of every other kind of source, R-values in per cent."""
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
        name = " ".join(
            [
                row["source"],
                *(f"{a}{row[n]}" for a, n in (("L", "layer"), ("H", "head")) if row[n] is not pd.NA),
            ]
        )
        rates = [f"{100 * row[rate]:.1f}" for rate in ("validation_r_value", "r_value")]
        ends = 100 * row["r_value_low"], 100 * row["r_value_high"]
        interval = "-" if pd.isna(ends[0]) else f"{ends[0]:.1f}–{ends[1]:.1f}"  # one utterance has none
        shown.add_row(
            name, *rates, interval, f"{100 * row['precision']:.1f}", f"{100 * row['recall']:.1f}", choice
        )
    return shown
