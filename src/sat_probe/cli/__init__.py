"""Command line: each command is one module that parses, runs one study, and prints or writes.

Commands import torch and the studies inside their functions, so that `--help` is fast.
"""

from __future__ import annotations

import errno
import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from sat_probe.cli import (
    align,
    analyze,
    compare,
    convert_mockingjay,
    demo,
    families,
    importance,
    plot,
    pretrain,
    push,
    refine,
    reproduce,
    segment,
)
from sat_probe.errors import SatProbeError

WRONG_USAGE = 2
INTERRUPTED = 130  # exit status that typer gives Ctrl-C
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# typer brings its own click in some versions and uses click itself in others; the class is the parent in both
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="sat-probe",
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from sat_probe import __version__

        typer.echo(f"sat-probe {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _introduce(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Find out what the attention heads of a speech model do.

    [bold]sat-probe analyze[/bold]    a first try, with the bundled model and speech; no network needed

    Each command has its own help, with examples: [bold]sat-probe analyze --help[/bold]
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _flowing(explanation: str) -> str:
    """Return help whose paragraphs fill the terminal; examples keep their lines: a comment, then its command."""
    paragraphs = inspect.cleandoc(explanation).split("\n\n")
    return "\n\n".join(text if text.startswith("[dim]#") else " ".join(text.split("\n")) for text in paragraphs)


# in the order of the README
COMMANDS: dict[str, Callable[..., None]] = {
    "analyze": analyze.analyze,
    "segment": segment.segment,
    "importance": importance.importance,
    "refine": refine.refine,
    "compare": compare.compare,
    "demo": demo.demo,
    "plot": plot.plot,
    "push": push.push,
    "align": align.align,
    "convert-mockingjay": convert_mockingjay.convert_mockingjay,
    "pretrain": pretrain.pretrain,
    "reproduce": reproduce.reproduce,
    "families": families.families,
}
for _name, _command in COMMANDS.items():
    app.command(_name, help=_flowing(_command.__doc__ or ""))(_command)


def run(arguments: list[str] | None = None) -> int:
    """Run a command line, by default the one of this process, and return its exit status.

    An error that the user can fix is one line on standard error and status 1; wrong usage is one line and status 2;
    Ctrl-C is 130.
    """
    status: int | None = 0
    with _warnings_on_stderr():
        try:
            # in standalone mode typer would print errors itself, in a box of several lines
            status = app(arguments, prog_name="sat-probe", standalone_mode=False)
        except UsageError as error:
            given = sys.argv[1:] if arguments is None else arguments
            command = " ".join(["sat-probe", *(name for name in given[:1] if name in COMMANDS)])
            return _fail(_usage_line(error, command), WRONG_USAGE)
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
        except SatProbeError as error:
            return _fail(str(error))
        except OSError as error:
            if error.errno is None:  # raised by a library, and not about a file
                raise
            where = f": {error.filename}" if error.filename else ""
            hint = "; make room or choose another folder" if error.errno in DISK_FULL else ""
            return _fail(f"{os.strerror(error.errno)}{where}{hint}")
    if status == INTERRUPTED:
        print("Interrupted.", file=sys.stderr)
    return status or 0


@contextmanager
def _warnings_on_stderr() -> Iterator[None]:
    """Print warnings of sat-probe on standard error while a command runs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("Warning: %(message)s"))
    handler.setLevel(logging.WARNING)
    logger = logging.getLogger("sat_probe")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _fail(message: str, status: int = 1) -> int:
    print(f"Error: {' '.join(message.split())}", file=sys.stderr)
    return status


def _usage_line(error: Any, command: str) -> str:
    """Return what is wrong, and where it is explained; `command` is for errors that do not know it themselves."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else command
    message = " ".join(str(error.format_message()).split()).rstrip(".")
    end = "" if message.endswith("?") else "."
    return f"{command}: {message[:1].lower()}{message[1:]}{end} See {command} --help"
