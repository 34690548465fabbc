"""`sat-probe convert-mockingjay`: an original checkpoint becomes a transformers folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def convert_mockingjay(
    checkpoint: Annotated[Path, typer.Argument(metavar="FILE.ckpt", help="The original checkpoint.")],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="New folder to write.")],
    features: Annotated[
        str | None,
        typer.Option(
            help="What the model reads, where the file does not tell: online_log_mel, legacy_mel, ..."
        ),
    ] = None,
    targets: Annotated[
        str | None, typer.Option(help="What it reconstructs, where the file does not tell.")
    ] = None,
    chunked: Annotated[
        bool, typer.Option("--chunked", help="Cut long utterances as s3prl does, to match its numbers.")
    ] = False,
    with_code: Annotated[
        bool, typer.Option("--with-code", help="Add the modelling code, for use without sat-probe.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Convert an original Mockingjay, TERA or AudioALBERT checkpoint for transformers.

    Files of all three code bases are read (legacy, v0.1.0, s3prl), without running anything that is in them.

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
        "hidden_size": config.hidden_size,
        "downsample_rate": config.downsample_rate,
        "feature_kind": config.feature_kind,
        "feature_size": config.feature_size,
        "target_kind": config.target_kind,
        "target_size": config.target_size,
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
