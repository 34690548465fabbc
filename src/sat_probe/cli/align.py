"""`sat-probe align`: forced alignment of a corpus into TextGrids."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from sat_probe.cli.options import DataDir, Limit, Split
from sat_probe.cli.quiet import quiet


def align(
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", help="A folder of audio with text, or a corpus by name.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder for the TextGrids, laid out like the audio."
        ),
    ],
    data_dir: DataDir = None,
    split: Split = None,
    limit: Limit = None,
    lexicon: Annotated[
        Path | None,
        typer.Option(
            "--lexicon", help="Pronunciations of words the dictionary lacks: WORD PH PH PH, one a line."
        ),
    ] = None,
    num_proc: Annotated[int, typer.Option("--num-proc", "-j", min=1, help="Processes.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Align again what is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Align English text to audio, offline, and write one TextGrid per utterance (tiers words and phones).

    Interrupted, the same command goes on where it stopped. Needs pip install 'sat-probe\\[align]'.

    [bold]sat-probe align my/recordings -o alignments -j 4[/bold]

    [bold]sat-probe analyze org/model --dataset my/recordings --alignments alignments[/bold]
    """
    quiet()

    from tqdm import tqdm

    from sat_probe.phones.align_corpus import align_corpus, failures
    from sat_probe.phones.corpora.corpus import load_corpus

    loaded = load_corpus(
        corpus, data_dir=data_dir, split=split, limit=limit, num_proc=num_proc if num_proc > 1 else None
    )
    with tqdm(total=len(loaded), unit="utterance", desc="Aligning", file=sys.stderr, disable=None) as bar:
        run = align_corpus(
            loaded,
            output,
            lexicon=lexicon,
            num_proc=num_proc,
            overwrite=overwrite,
            progress=bar.update,
        )
    for line in failures(run):
        typer.echo(f"Not aligned: {line}", err=True)
    if as_json:
        result = {
            "output": str(run.output),
            "aligned": run.aligned,
            "present": run.present,
            "failed": run.failed,
            "audio_seconds": round(run.audio_seconds, 3),
            "cpu_seconds": round(run.cpu_seconds, 3),
            "elapsed_seconds": round(run.elapsed_seconds, 3),
            "num_proc": run.num_proc,
            "real_time_factor": run.real_time_factor,
        }
        typer.echo(json.dumps(result, indent=2))
        return
    speed = f", {run.real_time_factor:.3f} x real time per core" if run.real_time_factor is not None else ""
    typer.echo(
        f"{run.aligned} aligned, {run.present} there already, {len(run.failed)} failed{speed}: {run.output}"
    )
