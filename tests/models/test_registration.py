"""`import sat_probe` makes transformers know Mockingjay, in whatever order things are imported, and costs nothing."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import sat_probe
from sat_probe.models.mockingjay import MockingjayModel
from tests.models.tiny_models import tiny_model

BUNDLED = Path(sat_probe.__file__).parent / "data" / "mockingjay"
CLASSES = ["MockingjayConfig", "MockingjayModel", "MockingjayForPreTraining", "MockingjayFeatureExtractor"]
AUTO = ["AutoConfig", "AutoModel", "AutoModelForPreTraining", "AutoFeatureExtractor"]
IMPORTS = {  # each a new interpreter, which takes seconds: few of them
    "sat_probe first": (
        "import sat_probe, transformers.models.wav2vec2.modeling_wav2vec2; from transformers import Trainer",
        AUTO,
    ),
    "transformers first": (f"from transformers import {', '.join(AUTO)}; import sat_probe", AUTO[::-1]),
    "reloaded": (
        "import importlib, sat_probe; importlib.reload(sat_probe); import sat_probe.models.registration as r; "
        "importlib.reload(r); importlib.reload(sat_probe); import transformers.models.auto.configuration_auto as c; "
        "importlib.reload(c)",
        AUTO[2:] + AUTO[:2],
    ),
}


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip()


@pytest.mark.parametrize("order", IMPORTS)
def test_auto_classes_load_a_mockingjay(order):
    imports, uses = IMPORTS[order]
    code = (
        f"{imports}\nfrom transformers import {', '.join(AUTO)}\n"
        f"for one in ({', '.join(uses)}):\n"
        f"    print(one.__name__, type(one.from_pretrained({str(BUNDLED)!r})).__name__)"
    )
    assert dict(line.split() for line in run(code).splitlines()) == dict(zip(AUTO, CLASSES, strict=True))


def test_other_types_are_left_alone_and_models_are_pickled(tmp_path):
    tiny_model("hubert-layer-norm").save_pretrained(tmp_path)
    code = (
        "import sat_probe, pickle\nfrom transformers import AutoModel, CONFIG_MAPPING\n"
        f"print(type(AutoModel.from_pretrained({str(tmp_path)!r})).__name__, 'mockingjay' in CONFIG_MAPPING)\n"
        f"pickle.dump(AutoModel.from_pretrained({str(BUNDLED)!r}), open({str(tmp_path / 'model')!r}, 'wb'))"
    )
    assert run(code) == "HubertModel True"
    model = pickle.loads((tmp_path / "model").read_bytes())
    assert type(model) is MockingjayModel


def test_pipeline_extracts_features():
    code = (
        "import sat_probe, numpy; from transformers import pipeline; "
        f"extract = pipeline('feature-extraction', model={str(BUNDLED)!r}); "
        "print(*numpy.shape(extract(numpy.ones(16_000, dtype='float32'))))"
    )
    assert run(code) == "1 53 144"


def test_the_import_loads_nothing_heavy():
    heavy = ("torch", "transformers", "numpy", "huggingface_hub")
    code = f"import sys, sat_probe; print(*[name for name in {heavy!r} if name in sys.modules])"
    assert run(code) == ""
