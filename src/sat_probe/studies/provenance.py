"""Versions of the software, and the command that is running."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("sat-probe", "transformers", "torch", "datasets", "numpy", "soundfile")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def command_line() -> str | None:
    """The command that is running, absolute paths cut to their last part; None in other programs."""
    program = Path(sys.argv[0])
    if program.name.removesuffix(".exe") != "sat-probe" and program.parent.name != "sat_probe":
        return None
    return " ".join(["sat-probe", *(_without_place(argument) for argument in sys.argv[1:])])


def _without_place(argument: str) -> str:
    """``--output=/home/me/out`` as ``--output=out``."""
    *option, value = argument.rsplit("=", 1)
    return "=".join([*option, Path(value).name if Path(value).is_absolute() else value])
