"""Wrong usage of a command as one line: which command, what is wrong, where it is explained."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import typer

# typer brings its own click in some versions and uses click itself in others; the class is the parent in both
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def usage_line(error: Any, command: str) -> str:
    """One line about a usage error.

    Args:
        error: a :data:`UsageError`.
        command: what was run, for errors that do not know it themselves.
    """
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else command
    message = " ".join(str(error.format_message()).split()).rstrip(".")
    option = getattr(error, "option_name", None)
    if hasattr(error, "possibilities") and option is not None:
        message = f"no such option {option}"
        known = [] if context is None else [name for one in context.command.params for name in one.opts]
        message += _near(option, known)
    elif hasattr(error, "possibilities") or message.startswith("No such command"):
        wanted = message.split("'")[1]
        known = [] if context is None else list(context.command.list_commands(context))
        message = f"no such command {wanted}{_near(wanted, known)}"
    end = "" if message.endswith("?") else "."
    return f"{command}: {message[:1].lower()}{message[1:]}{end} See {command} --help"


def _near(wanted: str, known: list[str]) -> str:
    near = get_close_matches(wanted, known, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""
