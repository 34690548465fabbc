"""Options of several commands, spelled once: which model, which corpus, which scoring, and how a study runs.

A command names a group by the type of a parameter, and `with_groups` turns each group into its options::

    @with_groups()
    def analyze(model: ModelChoice, corpus: CorpusChoice, strict: Strict = False) -> None: ...
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sat_probe.studies.choices import CorpusChoice, Counting, ModelChoice, Scoring

Command = Callable[..., None]
MODEL, CORPUS, RUN = "Model", "Corpus", "Run"  # panels of the help


_model = partial(typer.Option, rich_help_panel=MODEL)
_corpus = partial(typer.Option, rich_help_panel=CORPUS)
_run = partial(typer.Option, rich_help_panel=RUN)
dataset_option = partial(_corpus, "--dataset", "-d", metavar="DIR|NAME")

MODEL_OPTIONS: dict[str, Any] = {
    "model": Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL",
            help="A model on the Hugging Face Hub (org/name), or a folder. By default the bundled Mockingjay.",
        ),
    ],
    "revision": Annotated[
        str | None, _model("--revision", metavar="NAME", help="Branch, tag or commit of a model on the Hub.")
    ],
    "allow_pickle": Annotated[
        bool, _model("--allow-pickle", help="Read pytorch_model.bin if a model has no safetensors.")
    ],
    "device": Annotated[
        str | None,
        _model("--device", metavar="NAME", help="cpu, cuda, cuda:1, mps.", show_default="a GPU if there is one"),
    ],
    "dtype": Annotated[
        Literal["float32", "bfloat16", "float16", "float64"] | None,
        _model(
            "--dtype",
            help="Number type to compute in. On a CPU, half precision is computed in float32.",
            show_default="float32",
        ),
    ],
    "preset": Annotated[
        str | None,
        _model(
            "--preset",
            metavar="NAME|FILE",
            help="Pinned model, corpus, phone set and scoring by one name (hubert-base, ...). Other options override "
            "it.",
        ),
    ],
}
CORPUS_OPTIONS: dict[str, Any] = {
    "dataset": Annotated[
        str | None,
        dataset_option(
            help="A folder of audio, a dataset on the Hub (owner/name), or a corpus by name. By default the bundled "
            "speech."
        ),
    ],
    "configuration": Annotated[
        str | None, _corpus("--configuration", metavar="NAME", help="Configuration of a dataset on the Hub.")
    ],
    "data_dir": Annotated[Path | None, _corpus("--data-dir", metavar="DIR", help="Directory of the named corpus.")],
    "split": Annotated[str | None, _corpus("--split", metavar="NAME", help="Part of the corpus, such as test.")],
    "limit": Annotated[
        int | None, _corpus("--limit", "-n", metavar="N", min=1, help="Use only the first N utterances.")
    ],
    "alignments": Annotated[
        str | None,
        _corpus(
            "--alignments",
            metavar="PATH",
            help="Folder or zip of TextGrid, .phn or CTM files, or a table of alignments.",
            show_default="next to the audio",
        ),
    ],
    "streaming": Annotated[bool, _corpus("--streaming", help="Read a corpus on the Hub without downloading it first.")],
    "phone_set": Annotated[
        str | None,
        _corpus(
            "--phone-set",
            metavar="NAME",
            help="Fold phones into timit-61, timit-48, timit-39 or arpabet-39.",
            show_default="the phone set of the corpus",
        ),
    ],
    "tier": Annotated[
        str | None,
        _corpus("--tier", metavar="NAME", help="TextGrid tier that holds the phones.", show_default="phones"),
    ],
    "gaps": Annotated[
        Literal["refuse", "unlabelled", "silence"] | None,
        _corpus("--gaps", help="Meaning of time without a phone label.", show_default="depends on the format"),
    ],
}
SCORING_OPTIONS: dict[str, Any] = {
    "counting": Annotated[
        Counting | None,
        typer.Option("--counting", help="Rule that decides which boundaries are hits.", show_default="rasanen"),
    ],
    "tolerance": Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            metavar="SECONDS",
            min=0.0,
            help="Largest distance of a hit from the true boundary, inclusive.",
            show_default="0.02",
        ),
    ],
}
_GROUPS: dict[Any, dict[str, Any]] = {
    ModelChoice: MODEL_OPTIONS,
    CorpusChoice: CORPUS_OPTIONS,
    Scoring: SCORING_OPTIONS,
}
AUDIO_ONLY = ("dataset", "configuration", "data_dir", "split", "limit")  # of commands that need no phones

Seed = Annotated[int, typer.Option("--seed", help="Random seed.")]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Folder of cached features.", show_default="~/.cache/sat_probe"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Strict = Annotated[bool, _run("--strict", help="Stop at the first unusable file instead of skipping it.")]
Resume = Annotated[bool, _run("--resume", help="Continue an interrupted run (same arguments, same --output).")]
Overwrite = Annotated[bool, _run("--overwrite", help="Replace what --output holds of another model or corpus.")]
Task = Annotated[
    list[str] | None,
    typer.Option(
        "--task",
        metavar="NAME",
        help="reconstruction, phones_linear, phones_hidden, speakers_frame or speakers_utterance. Repeatable.",
        show_default="every task the corpus has labels for",
    ),
]
MissingPhones = Annotated[
    Literal["refuse", "ignore"],
    typer.Option("--missing-phones", help="Phones that do not occur in the training split."),
]
MaxLoss = Annotated[
    float | None,
    typer.Option(
        "--max-loss",
        metavar="LOSS",
        min=0.0,
        help="Largest acceptable loss: 0.01 is one point of accuracy, or 1 % of L1.",
    ),
]


def with_groups(only: Sequence[str] | None = None, **replaced: Any) -> Callable[[Command], Command]:
    """Return a decorator that gives a command one option per field of its choices, and fills them from ``--preset``.

    Args:
        only: names of the options that the command takes; by default all of its groups.
        **replaced: annotations of options that mean the same but are explained otherwise in this command.
    """

    def decorate(command: Command) -> Command:
        signature = inspect.signature(command, eval_str=True)
        kinds = {name: one.annotation for name, one in signature.parameters.items() if one.annotation in _GROUPS}
        options: dict[str, inspect.Parameter] = {}
        for name, parameter in signature.parameters.items():
            if name not in kinds:
                options[name] = parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
                continue
            for field, annotation in _GROUPS[kinds[name]].items():
                if only is None or field in only:
                    taken = replaced.get(field, annotation)
                    default = {str: inspect.Parameter.empty, bool: False}.get(taken.__origin__)
                    options[field] = inspect.Parameter(
                        field, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=taken
                    )

        def run(**given: Any) -> None:
            preset = given.pop("preset", None)
            for name, kind in kinds.items():
                fields = [field for field in _GROUPS[kind] if field in given]
                given[name] = kind(**{field: given.pop(field) for field in fields})
            if preset is not None:
                from sat_probe.studies.presets import load_preset  # reads YAML, which takes its time

                given |= {name: load_preset(preset).fill(given[name]) for name in kinds}
            command(**given)

        run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
        run.__annotations__ = {name: one.annotation for name, one in options.items()}
        run.__signature__ = inspect.Signature(list(options.values()))  # type: ignore[attr-defined]
        return run

    return decorate


def keywords(*choices: ModelChoice | CorpusChoice) -> dict[str, Any]:
    """Return what was chosen as keywords of a study."""
    fields = {name: getattr(choice, name) for choice in choices for name in choice.__slots__}
    return {name: value for name, value in fields.items() if value is not None and value is not False}
