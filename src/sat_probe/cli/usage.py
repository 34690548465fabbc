"""Wrong usage of a command as one line: which command, what is wrong, where it is explained."""

from __future__ import annotations

from typing import Any

import typer

# typer brings its own click in some versions and uses click itself in others; the class is the parent in both
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

RENAMED = {
    ("refine", "--tolerance"): "--max-loss",
    ("importance", "--tolerance"): "--max-loss",
    ("reproduce", "--preset"): "--plan",
    ("segment", "--features"): "--attention-features",
}  # since 0.1.0; a name that meant two things


def usage_line(error: Any, command: str) -> str:
    """Return one line about a usage error.

    Args:
        error: a :data:`UsageError`.
        command: the command that was run, for errors that do not know it themselves.
    """
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else command
    message = " ".join(str(error.format_message()).split()).rstrip(".")
    renamed = RENAMED.get((command.rpartition(" ")[2], getattr(error, "option_name", "")))
    if renamed is not None:
        message += f"; it is called {renamed} now"
    end = "" if message.endswith("?") else "."
    return f"{command}: {message[:1].lower()}{message[1:]}{end} See {command} --help"
