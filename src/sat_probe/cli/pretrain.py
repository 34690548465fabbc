"""`sat-probe pretrain`: pre-train a Mockingjay on a folder of audio."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from sat_probe.cli.options import DataDir, Limit, Split, dataset_option
from sat_probe.cli.quiet import quiet


def pretrain(
    dataset: Annotated[str, dataset_option("Any folder of audio, or a corpus by name.")],
    c_num: Annotated[
        int, typer.Option("--c-num", help="Frames masked together, a multiple of R: 3, 6, 9 make M3, M6, M9.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="DIR", help="Folder for the model, its card and the loss curve."
        ),
    ],
    config: Annotated[
        str, typer.Option("--config", help="A configuration of the package, or a YAML file.")
    ] = "small",
    data_dir: DataDir = None,
    split: Split = None,
    limit: Limit = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --output from its last checkpoint.")
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", help="Folder of cached features.", show_default="~/.cache/sat_probe"),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at the first bad audio file instead of skipping it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Pre-train a Mockingjay with masked reconstruction.

    sat-probe pretrain --c-num 3 --config small --dataset speech/ --output M3

    A killed run continues with --resume and ends as if nothing had happened.
    """
    quiet()

    from accelerate import PartialState
    from tqdm import tqdm
    from transformers.utils import logging as transformers_logging

    from sat_probe.phones.corpora.corpus import load_corpus
    from sat_probe.studies.pretraining.recipe import load_recipe, recipe_commit
    from sat_probe.studies.pretraining.run import pretrain as run_pretraining

    transformers_logging.set_verbosity_error()
    recipe = load_recipe(config)
    corpus = load_corpus(dataset, data_dir=data_dir, split=split, limit=limit)
    with tqdm(
        total=len(corpus),
        unit="file",
        desc="features",
        leave=False,
        delay=1.0,
        file=sys.stderr,
        disable=None,
    ) as bar:
        try:
            result = run_pretraining(
                corpus,
                recipe,
                c_num,
                output,
                resume=resume,
                cache=cache,
                strict=strict,
                commit=recipe_commit(config),
                on_features=bar.update,
                progress=sys.stderr.isatty(),
            )
        except KeyboardInterrupt:
            if (output / "run.json").exists():
                typer.echo("The last checkpoint is kept: the same command goes on with --resume.", err=True)
            raise
    if not PartialState().is_main_process:
        return
    if as_json:
        facts = {
            "folder": str(result.folder),
            "steps": result.steps,
            "loss": result.loss,
            "held_out_loss": result.held_out_loss,
        }
        typer.echo(json.dumps({**facts, "frames_per_second": result.frames_per_second}))
    else:
        held_out = "" if result.held_out_loss is None else f" (held out {result.held_out_loss:.4f})"
        typer.echo(
            f"{result.steps} steps, masked L1 {result.loss:.4f}{held_out}, {result.frames_per_second:.0f} frames/s; "
            f"the model, its card and loss.csv are in {result.folder}"
        )
