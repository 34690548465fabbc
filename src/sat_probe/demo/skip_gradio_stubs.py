"""Skip Gradio's stub generation, which takes almost half of the time of its import."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_WRITER = "gradio.component_meta", "create_or_modify_pyi"


def skip_stubs() -> None:
    """Replace the function that writes stub files for editors by one that does nothing; call before importing Gradio.

    Gradio has no option for it. If Gradio has been imported already, or has no such function, nothing changes.
    """
    if _WRITER[0] not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finder that loads one module as usual, once, and then replaces the function in it."""

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
    """Do nothing."""
