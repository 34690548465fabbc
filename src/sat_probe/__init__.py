"""sat-probe: what the attention heads of speech models do.

Names are loaded when they are first used, so `import sat_probe` costs nothing. It makes transformers know Mockingjay:
AutoConfig, AutoModel, AutoModelForPreTraining and AutoFeatureExtractor load its checkpoints.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sat_probe._version import __version__ as __version__
from sat_probe.models.registration import register_with_transformers

_HOMES = {
    "Alignment": "sat_probe.phones.alignment",
    "AutoProbedModel": "sat_probe.models.auto",
    "Corpus": "sat_probe.phones.corpora.corpus",
    "FrameGrid": "sat_probe.frames",
    "HeadReport": "sat_probe.reports.head_report",
    "MockingjayConfig": "sat_probe.models.mockingjay",
    "MockingjayFeatureExtractor": "sat_probe.models.mockingjay",
    "MockingjayForPreTraining": "sat_probe.models.mockingjay",
    "MockingjayModel": "sat_probe.models.mockingjay",
    "ProbedHubertModel": "sat_probe.models.probed_classes",
    "ProbedMockingjayModel": "sat_probe.models.probed_classes",
    "ProbedModel": "sat_probe.models.probed",
    "ProbedWav2Vec2Model": "sat_probe.models.probed_classes",
    "ProbedWavLMModel": "sat_probe.models.own_attention",
    "ProbedWhisperEncoder": "sat_probe.models.probed_classes",
    "SatProbeError": "sat_probe.errors",
    "analyze_model": "sat_probe.studies.head_analysis",
    "boundary_scores": "sat_probe.measures.boundaries.score",
    "convert_mockingjay": "sat_probe.models.mockingjay.convert_mockingjay",
    "head_importance": "sat_probe.studies.importance.study",
    "load_corpus": "sat_probe.phones.corpora.opening",
    "phone_set": "sat_probe.phones.phone_set",
    "pretrain": "sat_probe.studies.pretraining.run",
    "read_audio": "sat_probe.audio",
    "refine": "sat_probe.studies.refinement",
    "segment_model": "sat_probe.studies.segmentation.study",
}

__all__ = [
    "Alignment",
    "AutoProbedModel",
    "Corpus",
    "FrameGrid",
    "HeadReport",
    "MockingjayConfig",
    "MockingjayFeatureExtractor",
    "MockingjayForPreTraining",
    "MockingjayModel",
    "ProbedHubertModel",
    "ProbedMockingjayModel",
    "ProbedModel",
    "ProbedWav2Vec2Model",
    "ProbedWavLMModel",
    "ProbedWhisperEncoder",
    "SatProbeError",
    "analyze_model",
    "boundary_scores",
    "convert_mockingjay",
    "head_importance",
    "load_corpus",
    "phone_set",
    "pretrain",
    "read_audio",
    "refine",
    "segment_model",
]

register_with_transformers()

if TYPE_CHECKING:
    from sat_probe.audio import read_audio
    from sat_probe.errors import SatProbeError
    from sat_probe.frames import FrameGrid
    from sat_probe.measures.boundaries.score import boundary_scores
    from sat_probe.models.auto import AutoProbedModel
    from sat_probe.models.mockingjay import (
        MockingjayConfig,
        MockingjayFeatureExtractor,
        MockingjayForPreTraining,
        MockingjayModel,
    )
    from sat_probe.models.mockingjay.convert_mockingjay import convert_mockingjay
    from sat_probe.models.own_attention import ProbedWavLMModel
    from sat_probe.models.probed import ProbedModel
    from sat_probe.models.probed_classes import (
        ProbedHubertModel,
        ProbedMockingjayModel,
        ProbedWav2Vec2Model,
        ProbedWhisperEncoder,
    )
    from sat_probe.phones.alignment import Alignment
    from sat_probe.phones.corpora.corpus import Corpus
    from sat_probe.phones.corpora.opening import load_corpus
    from sat_probe.phones.phone_set import phone_set
    from sat_probe.reports.head_report import HeadReport
    from sat_probe.studies.head_analysis import analyze_model
    from sat_probe.studies.importance.study import head_importance
    from sat_probe.studies.pretraining.run import pretrain
    from sat_probe.studies.refinement import refine
    from sat_probe.studies.segmentation.study import segment_model


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sat_probe' has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
