"""Export of checkpoints with their modelling code, for use without sat-probe."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from transformers.dynamic_module_utils import get_relative_import_files

from sat_probe.models.mockingjay.configuration_mockingjay import MockingjayConfig
from sat_probe.models.mockingjay.feature_extraction_mockingjay import MockingjayFeatureExtractor
from sat_probe.models.mockingjay.modeling_mockingjay import MockingjayModel
from sat_probe.models.mockingjay.pretraining_mockingjay import MockingjayForPreTraining


def save_with_code(
    model: MockingjayModel | MockingjayForPreTraining,
    feature_extractor: MockingjayFeatureExtractor | None,
    folder: str | Path,
) -> None:
    """Save a model and its feature extractor with the Python files they need.

    `AutoModel.from_pretrained(folder, trust_remote_code=True)` then works without sat-probe, and so do AutoConfig,
    AutoModelForPreTraining and AutoFeatureExtractor. With sat-probe its classes are used, without trust.
    """
    model.save_pretrained(folder)
    if feature_extractor is not None:
        feature_extractor.save_pretrained(folder)
    add_code(folder, folder)


def add_code(saved: str | Path, folder: str | Path) -> None:
    """Copy the Python files of a saved model into another folder, with its two configurations that name them.

    The weights are neither read nor written; the model loads from there as after :func:`save_with_code`.
    """
    config = json.loads((Path(saved) / "config.json").read_text(encoding="utf-8"))
    # Saving names only the class of the model; a pre-training checkpoint must load as a plain encoder too.
    named: dict[str, dict[str, Any]] = {"config.json": {"AutoConfig": MockingjayConfig, "AutoModel": MockingjayModel}}
    if MockingjayForPreTraining.__name__ in (config.get("architectures") or ()):
        named["config.json"]["AutoModelForPreTraining"] = MockingjayForPreTraining
    if (Path(saved) / "preprocessor_config.json").is_file():
        named["preprocessor_config.json"] = {"AutoFeatureExtractor": MockingjayFeatureExtractor}
    for name, there in named.items():
        content = json.loads((Path(saved) / name).read_text(encoding="utf-8"))
        content["auto_map"] = {
            auto_class: f"{one.__module__.rpartition('.')[2]}.{one.__name__}" for auto_class, one in there.items()
        }
        text = json.dumps(content, indent=2, sort_keys=True) + "\n"
        (Path(folder) / name).unlink(missing_ok=True)
        (Path(folder) / name).write_text(text, encoding="utf-8")
        for one in there.values():
            module = str(sys.modules[one.__module__].__file__)
            for file in (module, *get_relative_import_files(module)):
                shutil.copyfile(file, Path(folder) / Path(file).name)
