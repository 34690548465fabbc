"""Registration of Mockingjay with transformers, without importing it: names enter its tables when these are imported.

transformers looks model types up in tables of names, and imports ``transformers.models.<type>`` at first use. The
finder below adds the names to these tables, and answers that import with sat-probe's package.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_TYPE = "mockingjay"
_ALIAS = f"transformers.models.{_TYPE}"
_TABLES = {
    "transformers.models.auto.configuration_auto": ("CONFIG_MAPPING_NAMES", "MockingjayConfig"),
    "transformers.models.auto.feature_extraction_auto": (
        "FEATURE_EXTRACTOR_MAPPING_NAMES",
        "MockingjayFeatureExtractor",
    ),
    # the task "feature-extraction" of pipeline loads a tokenizer and calls it on the input: for audio, the extractor
    "transformers.models.auto.tokenization_auto": ("TOKENIZER_MAPPING_NAMES", "MockingjayFeatureExtractor"),
}


def register_with_transformers() -> None:
    """Let the Auto classes and `transformers.pipeline("feature-extraction", model=...)` load Mockingjay checkpoints.

    Imports nothing; works before and after transformers is imported, and again after a reload.
    """
    # compared by name: after a reload of this module the class is another one
    if not any(type(finder).__name__ == _Finder.__name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in _TABLES:
        if name in sys.modules:
            _add_name(sys.modules[name])


def _add_name(module: ModuleType) -> None:
    table, name = _TABLES[module.__name__]
    getattr(module, table)[_TYPE] = name


class _Finder:
    """Finds the alias of the package, and the modules of transformers that hold the tables."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name == _ALIAS:
            return ModuleSpec(name, _AliasLoader(), is_package=True)  # type: ignore[arg-type]
        if name not in _TABLES:
            return None
        others = [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]
        spec = next((found for one in others if (found := one.find_spec(name, path, target))), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _TableLoader(spec.loader)  # type: ignore[assignment]
        return spec


class _TableLoader:
    """Loads a module as its own loader does, then adds a name to its table."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self.loader
        if module.__spec__ is not None:
            module.__spec__.loader = self.loader
        self.loader.exec_module(module)
        _add_name(module)


class _AliasLoader:
    """Loads ``transformers.models.mockingjay`` with the classes of sat-probe's package."""

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        package = import_module("sat_probe.models.mockingjay")
        vars(module).update({name: getattr(package, name) for name in package.__all__})
