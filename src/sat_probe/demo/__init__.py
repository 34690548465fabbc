"""The head explorer, an app in the browser for the heads of a speech model. Needs the extra `sat-probe[demo]`."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from sat_probe.errors import ConfigurationError

_STUB_WRITER = "create_or_modify_pyi"
_ITS_MODULE = "gradio.component_meta"


def require_gradio() -> None:
    """Raise a ConfigurationError that says what to install if Gradio is missing."""
    if find_spec("gradio") is None:
        raise ConfigurationError(
            "the demo needs Gradio; in a checkout of sat-probe: pip install -c constraints.txt '.[demo]'"
        )


class _StubSkipper(MetaPathFinder):
    """Finder that loads one module of Gradio, once, without its stub generation: half of the time of its import."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != _ITS_MODULE:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_without_writer(module: ModuleType) -> None:
                run(module)
                setattr(module, _STUB_WRITER, _write_nothing)

            spec.loader.exec_module = run_without_writer  # type: ignore[method-assign]
        return spec


def _write_nothing(*_: Any) -> None:
    """Replace Gradio's function that writes stub files for editors; Gradio has no option for it."""


if _ITS_MODULE not in sys.modules:  # every module of this package imports Gradio after this line
    sys.meta_path.insert(0, _StubSkipper())
