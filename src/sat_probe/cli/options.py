"""Options that several commands share, so that they are called and explained alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Model = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL",
        help="A model on the Hugging Face Hub (org/name), or a folder; the bundled Mockingjay if left out.",
        show_default=False,
    ),
]


def dataset_option(explanation: str) -> Any:
    """The option of a corpus, for commands that ask more of it, or less, than :data:`Dataset`."""
    return typer.Option("--dataset", "-d", metavar="DIR|NAME", help=explanation, show_default=False)


Dataset = Annotated[
    str | None, dataset_option("Any folder of audio, or a corpus by name; the bundled speech if left out.")
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", metavar="DIR", help="Where a corpus given by name lies.", show_default=False),
]
Alignments = Annotated[
    str | None,
    typer.Option(
        "--alignments",
        metavar="PATH",
        help="Folder or zip of TextGrid, .phn or CTM files, or a table of alignments.",
        show_default="beside the audio",
    ),
]
Split = Annotated[
    str | None, typer.Option("--split", metavar="NAME", help="Which part of the corpus.", show_default=False)
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit", "-n", metavar="N", min=1, help="Only the first N utterances.", show_default=False
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="NAME",
        help="cpu, cuda, cuda:1, mps; a GPU if left out and there is one.",
        show_default=False,
    ),
]
Revision = Annotated[
    str | None,
    typer.Option(
        "--revision", metavar="NAME", help="Branch, tag or commit of a model on the Hub.", show_default=False
    ),
]
AllowPickle = Annotated[
    bool, typer.Option("--allow-pickle", help="Read pytorch_model.bin where a model has no safetensors.")
]
MissingPhones = Annotated[
    str,
    typer.Option("--missing-phones", help="Phones missing in the part to learn from: refuse, ignore."),
]
