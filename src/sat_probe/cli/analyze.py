"""`sat-probe analyze`: which attention heads of a model are global, vertical or diagonal."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from sat_probe.cli.options import (
    Alignments,
    AllowPickle,
    DataDir,
    Dataset,
    Device,
    Limit,
    Model,
    Revision,
    Split,
)
from sat_probe.cli.quiet import quiet

NO_PHONES = (
    "No phone maps: this speech has no phone alignments. sat-probe align makes them from transcripts; --alignments\n"
    "names those that do not lie beside the audio."
)
logger = logging.getLogger(__name__)


def analyze(
    model: Model = None,
    dataset: Dataset = None,
    data_dir: DataDir = None,
    split: Split = None,
    limit: Limit = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder for the report; sat-probe-report if left out.",
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
            help="Model, revision, corpus and phone set by one name (hubert-base, ...); other options win over it.",
            show_default=False,
        ),
    ] = None,
    allow_pickle: AllowPickle = False,
    alignments: Alignments = None,
    streaming: Annotated[
        bool,
        typer.Option(
            "--streaming", help="Read a corpus on the Hub as it comes, without downloading it all first."
        ),
    ] = False,
    phone_set: Annotated[
        str | None,
        typer.Option(
            "--phone-set",
            help="Fold phones into timit-61, timit-48, timit-39 or arpabet-39.",
            show_default="the corpus's own",
        ),
    ] = None,
    leave_out_own_segment: Annotated[
        bool,
        typer.Option(
            "--leave-out-own-segment", help="Relation maps without pairs of frames in the same phone."
        ),
    ] = False,
    model_rate: Annotated[
        bool,
        typer.Option(
            "--model-rate", help="Relation maps with one label per encoder frame, not per input frame."
        ),
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the bootstrap intervals.")] = 0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first unusable file instead of skipping it.")
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with a run that was interrupted: same arguments, same --output."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON; write a folder only with --output.")
    ] = False,
) -> None:
    """Which attention heads are [bold]global[/bold], [bold]vertical[/bold] or [bold]diagonal[/bold]?

    Runs speech through the model once and reports on each head: its category and how sure it is, where it looks and
    how far. With phone alignments beside the audio (TextGrid, .phn, CTM) also which phones it follows.

    [bold]Examples[/bold]

    [dim]# the bundled model on the bundled speech, no network needed[/dim]
    sat-probe analyze

    [dim]# a model of the Hub on a folder of recordings[/dim]
    sat-probe analyze --preset hubert-base --dataset recordings/ --output hubert

    [dim]# a model pinned to a revision on a corpus, by one name[/dim]
    sat-probe analyze --preset hubert-base --output hubert

    [dim]# two processes share the corpus and write one report[/dim]
    torchrun --nproc-per-node 2 -m sat_probe analyze --dataset recordings/ --output hubert

    [dim]# the numbers for another program[/dim]
    sat-probe analyze --limit 8 --json | jq '.heads[0]'

    The report folder holds [bold]report.html[/bold] to look at, [bold]heads.parquet[/bold] to compute with, figures,
    and where it all comes from. In Python: [bold]HeadReport.load("hubert").heads[/bold]
    """
    from sat_probe.reports.report_folder import check_destination

    if resume and output is None and as_json:
        raise typer.BadParameter(
            "needs --output, where the interrupted run was to write", param_hint="--resume"
        )
    folder = output if output is not None or as_json else Path("sat-probe-report")
    if folder is not None:
        check_destination(folder)  # before the work, not after it

    quiet()

    from rich.console import Console

    from sat_probe.studies.corpus_pass.processes import this_process
    from sat_probe.studies.head_analysis import analyze_model

    chosen: dict[str, Any] = {
        "model": model,
        "revision": revision,
        "allow_pickle": allow_pickle,
        "dataset": dataset,
        "split": split,
        "limit": limit,
        "phone_set": phone_set,
    }
    if preset is not None:
        from sat_probe.studies.choices import CorpusChoice, ModelChoice
        from sat_probe.studies.presets import load_preset

        known = load_preset(preset)
        own_model = known.fill(ModelChoice(model, revision, allow_pickle))
        chosen |= {name: getattr(own_model, name) for name in ("model", "revision", "allow_pickle")}
        own_corpus = known.fill(CorpusChoice(dataset, split=split, limit=limit, phone_set=phone_set))
        chosen |= {name: getattr(own_corpus, name) for name in ("dataset", "split", "limit", "phone_set")}

    report = analyze_model(
        **chosen,
        data_dir=data_dir,
        alignments=alignments,
        streaming=streaming,
        relation_rate="model" if model_rate else "upsampled",
        leave_out_own_segment=leave_out_own_segment,
        device=device,
        strict=strict,
        progress=sys.stderr.isatty(),
        seed=seed,
        output=folder,
        resume=resume,
    )
    if not this_process().is_main:
        return
    if phone_set is not None and "relation_maps" not in report.tables:
        logger.warning("--phone-set %s changes nothing: the corpus has no phone alignments", phone_set)
    if as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2, allow_nan=False))
        return
    Console().print(report)
    if "relation_maps" not in report.tables:
        typer.echo(f"\n{NO_PHONES}")
    if folder is not None:
        typer.echo(f"\nReport: {folder}")
