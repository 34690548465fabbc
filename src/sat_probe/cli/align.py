"""`sat-probe align`: forced alignment of a corpus into TextGrids."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sat_probe.cli.options import AUDIO_ONLY, AsJson, Strict, with_groups
from sat_probe.cli.quiet import quiet
from sat_probe.errors import AlignmentError
from sat_probe.studies.choices import CorpusChoice


@with_groups(
    AUDIO_ONLY,
    dataset=Annotated[
        str,
        typer.Argument(
            metavar="CORPUS",
            help="A folder of audio with its text, a dataset on the Hub (owner/name), or a corpus by name.",
        ),
    ],
)
def align(
    corpus: CorpusChoice,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="DIR", help="Folder for the TextGrids, with the layout of the audio."),
    ],
    lexicon: Annotated[
        Path | None,
        typer.Option(
            "--lexicon",
            metavar="FILE",
            help="Pronunciations of words that the dictionary lacks, one per line: WORD PH PH PH.",
        ),
    ] = None,
    num_proc: Annotated[int, typer.Option("--num-proc", "-j", min=1, help="Number of processes.")] = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the TextGrids in --output instead of keeping them.")
    ] = False,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Align English text to audio, offline, and write one TextGrid per utterance (tiers words and phones).

    An interrupted run continues with the same command. The exit status is 1 if no utterance could be aligned. Needs an
    extra: pip install -c constraints.txt '.\\[align]' in a checkout.

    [bold]sat-probe align my/recordings -o alignments -j 4[/bold]

    [bold]sat-probe analyze org/model --dataset my/recordings --alignments alignments[/bold]
    """
    quiet()

    from tqdm import tqdm

    from sat_probe.phones.align_corpus import align_corpus, failures
    from sat_probe.studies.corpus_pass.decoder_process import read_utterance
    from sat_probe.studies.inputs import open_corpus

    loaded = open_corpus(corpus)
    with tqdm(total=len(loaded), unit="utterance", desc="Aligning", file=sys.stderr, disable=None) as bar:
        run = align_corpus(
            loaded,
            output,
            lexicon=lexicon,
            num_proc=num_proc,
            overwrite=overwrite,
            strict=strict,
            progress=bar.update,
            read=read_utterance,
        )
    for line in failures(run):
        typer.echo(f"Not aligned: {line}", err=True)
    if as_json:
        facts = asdict(run) | {"real_time_factor": run.real_time_factor}
        typer.echo(json.dumps(facts, indent=2, default=str))
    else:
        speed = "" if run.real_time_factor is None else f", {run.real_time_factor:.3f} x real time per core"
        typer.echo(f"{run.aligned} aligned, {run.present} kept, {len(run.failed)} failed{speed}: {run.output}")
    if run.failed and not (run.aligned or run.present):
        raise AlignmentError(f"{loaded.name}: no utterance could be aligned")
