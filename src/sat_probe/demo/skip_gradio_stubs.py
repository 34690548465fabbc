"""Gradio imported in half the time: it looks through its own source at every start, to write stubs for editors."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_WRITER = "gradio.component_meta", "create_or_modify_pyi"


def skip_stubs() -> None:
    """Let Gradio's components be made without their stubs; to be called before Gradio is imported.

    Nothing happens where it was imported before, or where a later version writes none.
    """
    if _WRITER[0] not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds one module as usual, once, and takes the writer of stubs out of it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != _WRITER[0]:
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_without_writer(module: ModuleType) -> None:
                run(module)
                if hasattr(module, _WRITER[1]):
                    setattr(module, _WRITER[1], _write_nothing)

            spec.loader.exec_module = run_without_writer  # type: ignore[method-assign]
        return spec


def _write_nothing(*_: Any) -> None:
    """In place of the writer."""
