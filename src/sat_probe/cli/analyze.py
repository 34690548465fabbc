"""`sat-probe analyze`: global, vertical and diagonal attention heads of a model."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from sat_probe.cli.options import AsJson, Overwrite, Resume, Seed, Strict, keywords, with_groups
from sat_probe.cli.quiet import quiet
from sat_probe.studies.choices import CorpusChoice, ModelChoice

NO_PHONES = (
    "No phone maps: this speech has no phone alignments. Make them from transcripts with sat-probe align, or name\n"
    "alignments stored elsewhere with --alignments."
)
logger = logging.getLogger(__name__)


@with_groups()
def analyze(
    model: ModelChoice,
    corpus: CorpusChoice,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder for the report.", show_default="sat-probe-report"),
    ] = None,
    leave_out_own_segment: Annotated[
        bool, typer.Option("--leave-out-own-segment", help="Relation maps without pairs of frames in the same phone.")
    ] = False,
    model_rate: Annotated[
        bool, typer.Option("--model-rate", help="Relation maps with one label per encoder frame, not per input frame.")
    ] = False,
    seed: Seed = 0,
    strict: Strict = False,
    resume: Resume = False,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Find which attention heads are [bold]global[/bold], [bold]vertical[/bold] or [bold]diagonal[/bold].

    Runs speech through the model once and reports on each head: its category and how stable that is, where it attends
    and how far. With phone alignments next to the audio (TextGrid, .phn, CTM) also which phones it attends to.

    [bold]Examples[/bold]

    [dim]# the bundled model on the bundled speech, no network needed[/dim]
    sat-probe analyze

    [dim]# a model on the Hub, with a folder of recordings[/dim]
    sat-probe analyze --preset hubert-base --dataset recordings/ --output hubert

    [dim]# a pinned model and its corpus by one name[/dim]
    sat-probe analyze --preset hubert-base --output hubert

    [dim]# two processes share the corpus and write one report[/dim]
    torchrun --nproc-per-node 2 -m sat_probe analyze --dataset recordings/ --output hubert

    [dim]# the numbers for another program[/dim]
    sat-probe analyze --limit 8 --json | jq '.heads[0]'

    The report folder holds [bold]report.html[/bold] to look at, [bold]heads.parquet[/bold] to compute with, figures
    and provenance. In Python: [bold]HeadReport.load("hubert").heads[/bold]
    """
    from sat_probe.reports.report_folder import check_destination

    if resume and output is None and as_json:
        raise typer.BadParameter("needs the --output of the interrupted run", param_hint="--resume")
    folder = output if output is not None or as_json else Path("sat-probe-report")
    if folder is not None:
        check_destination(folder)  # before the work, not after it

    quiet()

    from rich.console import Console

    from sat_probe.studies.corpus_pass.processes import this_process
    from sat_probe.studies.head_analysis import analyze_model

    report = analyze_model(
        **keywords(model, corpus),
        relation_rate="model" if model_rate else "upsampled",
        leave_out_own_segment=leave_out_own_segment,
        strict=strict,
        progress=sys.stderr.isatty(),
        seed=seed,
        output=folder,
        overwrite=overwrite,
        resume=resume,
    )
    if not this_process().is_main:
        return
    if corpus.phone_set is not None and "relation_maps" not in report.tables:
        logger.warning("--phone-set %s changes nothing: the corpus has no phone alignments", corpus.phone_set)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2, allow_nan=False))
        return
    Console().print(report)
    if "relation_maps" not in report.tables:
        typer.echo(f"\n{NO_PHONES}")
    if folder is not None:
        typer.echo(f"\nReport: {folder}")
