"""`sat-probe convert-mockingjay`: convert an original checkpoint to a folder that transformers loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sat_probe.cli.options import AsJson

_TOLD = ("hidden_size", "downsample_rate", "feature_kind", "feature_size", "target_kind", "target_size")


def convert_mockingjay(
    checkpoint: Annotated[Path, typer.Argument(metavar="FILE.ckpt", help="The original checkpoint.")],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="New folder to write.")],
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="NAME",
            help="Features the model reads, if the file does not say: online_log_mel, legacy_mel, ...",
        ),
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option("--targets", metavar="NAME", help="Features it reconstructs, if the file does not say."),
    ] = None,
    chunked: Annotated[
        bool, typer.Option("--chunked", help="Cut long utterances into chunks as s3prl does, to reproduce its numbers.")
    ] = False,
    with_code: Annotated[
        bool, typer.Option("--with-code", help="Add the modelling code, for use without sat-probe.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Convert an original Mockingjay, TERA or AudioALBERT checkpoint for transformers.

    Reads files of all three code bases (legacy, v0.1.0, s3prl) without running any code in them.

    Example:  sat-probe convert-mockingjay states-500000.ckpt mockingjay-large
    """
    from sat_probe.models.mockingjay.convert_mockingjay import convert_mockingjay as convert

    conversion = convert(checkpoint, folder, features, targets, chunked, with_code)
    config = conversion.model.config
    written = {
        "folder": str(folder),
        "generation": conversion.original.generation,
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        **{name: getattr(config, name) for name in _TOLD},
        "parameters": conversion.model.num_parameters(),
    }
    if as_json:
        typer.echo(json.dumps(written, indent=2))
        return
    typer.echo(
        f"{folder}: {config.num_hidden_layers} layers x {config.num_attention_heads} heads, "
        f"{written['parameters']:,} parameters, reads "
        f"{config.feature_kind or 'features made elsewhere'} ({config.feature_size} values per frame)"
    )
