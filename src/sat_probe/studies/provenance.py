"""What a result was made with."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache

PACKAGES = ("sat-probe", "transformers", "torch", "datasets", "numpy", "soundfile")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers."""
    return {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def model_revision(model: Any, revision: str | None) -> str | None:
    """The commit a Hub model was loaded from, as the local cache knows it; None for folders and models in memory."""
    if not isinstance(model, str) or Path(model).is_dir():
        return None
    cached = try_to_load_from_cache(model, "config.json", revision=revision)
    return Path(cached).parent.name if isinstance(cached, str) else revision


def shown_name(name: str) -> str:
    """A name on the Hub as it is, a folder by its own name: where it lies on one machine is nobody's business."""
    return Path(name).resolve().name if name and Path(name).is_dir() else name


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
