"""Checkpoints that carry their modelling code, for people who have transformers but not this package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sat_probe.models.mockingjay.configuration_mockingjay import MockingjayConfig
from sat_probe.models.mockingjay.feature_extraction_mockingjay import MockingjayFeatureExtractor
from sat_probe.models.mockingjay.modeling_mockingjay import MockingjayModel
from sat_probe.models.mockingjay.pretraining_mockingjay import MockingjayForPreTraining


def save_with_code(
    model: MockingjayModel | MockingjayForPreTraining,
    feature_extractor: MockingjayFeatureExtractor | None,
    folder: str | Path,
) -> None:
    """Saves a model and its feature extractor with the Python files they need.

    `AutoModel.from_pretrained(folder, trust_remote_code=True)` then works without sat-probe, and so do AutoConfig,
    AutoModelForPreTraining and AutoFeatureExtractor. With sat-probe imported no trust is asked: its classes win.
    """
    classes: dict[str, Any] = {"AutoConfig": MockingjayConfig, "AutoModel": MockingjayModel}
    if isinstance(model, MockingjayForPreTraining):
        classes["AutoModelForPreTraining"] = MockingjayForPreTraining
    # One save names only the class it saves; a pre-training checkpoint shall load as a plain encoder too.
    auto_map = {name: f"{one.__module__.rpartition('.')[2]}.{one.__name__}" for name, one in classes.items()}
    classes["AutoFeatureExtractor"] = MockingjayFeatureExtractor
    before = {one: one._auto_class for one in classes.values()}
    config = model.config
    map_before = getattr(config, "auto_map", None)
    try:
        for auto_class, one in classes.items():
            one._auto_class = auto_class
        config.auto_map = auto_map
        model.save_pretrained(folder)
        if feature_extractor is not None:
            feature_extractor.save_pretrained(folder)
    finally:
        for one, auto_class in before.items():
            one._auto_class = auto_class
        if map_before is None:
            del config.auto_map
        else:
            config.auto_map = map_before
