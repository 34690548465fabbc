"""sat-probe: what the attention heads of speech models do.

Names are loaded when they are first used, so that `import sat_probe` alone costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "AutoProbedModel": "sat_probe.models.auto",
    "HeadReport": "sat_probe.reports.head_report",
    "SatProbeError": "sat_probe.errors",
    "analyze_model": "sat_probe.studies.head_analysis",
    "boundary_scores": "sat_probe.measures.boundary_score",
    "load_corpus": "sat_probe.phones.corpus",
}

__all__ = [
    "AutoProbedModel",
    "HeadReport",
    "SatProbeError",
    "analyze_model",
    "boundary_scores",
    "load_corpus",
]

if TYPE_CHECKING:
    from sat_probe.errors import SatProbeError
    from sat_probe.measures.boundary_score import boundary_scores
    from sat_probe.models.auto import AutoProbedModel
    from sat_probe.phones.corpus import load_corpus
    from sat_probe.reports.head_report import HeadReport
    from sat_probe.studies.head_analysis import analyze_model


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sat_probe' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
