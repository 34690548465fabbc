"""`sat-probe pretrain`: pre-train a Mockingjay on a folder of audio."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sat_probe.cli.options import AUDIO_ONLY, AsJson, Cache, Resume, Strict, dataset_option, with_groups
from sat_probe.cli.quiet import quiet
from sat_probe.studies.choices import CorpusChoice


@with_groups(
    AUDIO_ONLY,
    dataset=Annotated[
        str, dataset_option(help="A folder of audio, a dataset on the Hub (owner/name), or a corpus by name.")
    ],
)
def pretrain(
    corpus: CorpusChoice,
    c_num: Annotated[
        int,
        typer.Option(
            "--c-num",
            metavar="FRAMES",
            help="Number of frames masked together, a multiple of the downsampling rate: 3, 6, 9 make M3, M6, M9.",
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the model, its card and the loss curve.")
    ],
    config: Annotated[
        str, typer.Option("--config", metavar="NAME|FILE", help="Recipe: small, large, or a YAML file.")
    ] = "small",
    cache: Cache = None,
    strict: Strict = False,
    resume: Resume = False,
    as_json: AsJson = False,
) -> None:
    """Pre-train a Mockingjay by masked reconstruction.

    sat-probe pretrain --c-num 3 --config small --dataset speech/ --output M3

    Resuming a killed run with --resume gives the same model as an uninterrupted run.
    """
    quiet()

    from accelerate import PartialState
    from tqdm import tqdm
    from transformers.utils import logging as transformers_logging

    from sat_probe.studies.inputs import open_corpus
    from sat_probe.studies.pretraining.recipe import load_recipe, recipe_commit
    from sat_probe.studies.pretraining.run import pretrain as run_pretraining

    transformers_logging.set_verbosity_error()
    recipe = load_recipe(config)
    speech = open_corpus(corpus)
    with tqdm(
        total=len(speech), unit="file", desc="features", leave=False, delay=1.0, file=sys.stderr, disable=None
    ) as bar:
        try:
            result = run_pretraining(
                speech,
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
                typer.echo("The last checkpoint was kept; add --resume to continue.", err=True)
            raise
    if not PartialState().is_main_process:
        return
    if as_json:
        typer.echo(json.dumps(asdict(result), default=str))
    else:
        held_out = "" if result.held_out_loss is None else f" (held out {result.held_out_loss:.4f})"
        typer.echo(
            f"{result.steps} steps, masked L1 {result.loss:.4f}{held_out}, {result.frames_per_second:.0f} frames/s; "
            f"the model, its card and loss.csv are in {result.folder}"
        )
