"""Push models to the local Hub and load them back, with this package and with transformers alone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.resources import files as package_files
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModel, HubertConfig

from sat_probe.cli import run
from sat_probe.errors import HubError, ModelError
from sat_probe.models.auto import AutoProbedModel
from sat_probe.models.mockingjay import MockingjayConfig
from sat_probe.models.probed_classes import ProbedHubertModel, ProbedMockingjayModel
from sat_probe.models.publishing import push_model_folder
from sat_probe.studies.refinement import refine
from tests.local_hub import READER, STRANGER, Fault, LocalHub

BUNDLED = Path(str(package_files("sat_probe"))) / "data" / "mockingjay"


@pytest.fixture
def hubert() -> ProbedHubertModel:
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    front = {"conv_dim": (8,), "conv_kernel": (10,), "conv_stride": (5,), "num_conv_pos_embedding_groups": 2}
    return ProbedHubertModel(HubertConfig(**front, **shape)).eval()


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    theirs = second.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in first.state_dict().items())


def test_push_and_load(hub: LocalHub, lane: str, hubert: ProbedHubertModel) -> None:
    done = hubert.push_to_hub("me/tiny-hubert", license="apache-2.0", facts={"accuracy": "0.91"})
    loaded = AutoProbedModel.from_pretrained("me/tiny-hubert", revision=done.commit)
    assert isinstance(loaded, ProbedHubertModel)
    assert same(hubert, loaded)
    assert same(hubert, AutoModel.from_pretrained("me/tiny-hubert"))
    assert hub.state.history("model", "me/tiny-hubert")[0].title == "Upload ProbedHubertModel"
    files = set(hub.state.snapshot("model", "me/tiny-hubert"))
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "README.md"} <= files


def test_card_says_how_to_load_the_model(hub: LocalHub, hubert: ProbedHubertModel) -> None:
    hubert.config._name_or_path = "org/base"
    hubert.push_to_hub("me/tiny-hubert", license="apache-2.0", facts={"accuracy": "0.91"})
    card = ModelCard.load("me/tiny-hubert")
    assert card.data.base_model == "org/base"
    assert card.data.license == "apache-2.0"
    assert 'AutoModel.from_pretrained("me/tiny-hubert")' in card.text
    assert "| accuracy | 0.91 |" in card.text


@pytest.mark.parametrize("family", ["hubert", "mockingjay"])
def test_refined_model_is_returned_refined(hub: LocalHub, hubert: ProbedHubertModel, family: str) -> None:
    model = hubert if family == "hubert" else AutoProbedModel.from_pretrained(BUNDLED)
    refined = refine(model, remove=[(0, 1), (1, 0)], span=0, span_mode="mask")
    refined.push_to_hub("me/refined")
    card = ModelCard.load("me/refined")
    assert "| removed heads (layer.head, from 0) | 0.1, 1.0 |" in card.text
    assert "| span of attention | 0 frames to each side, mode mask |" in card.text
    assert "Loading needs the package" in card.text
    loaded = AutoProbedModel.from_pretrained("me/refined")
    assert same(refined, loaded)
    speech = [np.random.default_rng(0).normal(size=8_000).astype(np.float32)]
    assert torch.equal(refined.encode(speech).last_hidden_state, loaded.encode(speech).last_hidden_state)


def test_a_mockingjay_loads_without_this_package(hub: LocalHub, tmp_path: object) -> None:
    config = MockingjayConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    model = ProbedMockingjayModel(config).eval()
    model.push_to_hub("me/tiny-mockingjay")
    assert same(model, AutoProbedModel.from_pretrained("me/tiny-mockingjay"))
    script = """
import sys
from transformers import AutoModel
model = AutoModel.from_pretrained("me/tiny-mockingjay", trust_remote_code=True)
assert "sat_probe" not in sys.modules
print(f"{sum(float(value.double().abs().sum()) for value in model.state_dict().values()):.12g}")
"""
    printed = subprocess.run(
        [sys.executable, "-c", script], env=dict(os.environ), capture_output=True, text=True, check=True
    ).stdout
    total = sum(float(value.double().abs().sum()) for value in model.state_dict().values())
    assert printed.strip() == f"{total:.12g}"


def test_saved_folder_is_pushed_unchanged(
    hub: LocalHub, hubert: ProbedHubertModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hubert.save_pretrained(tmp_path / "tiny")
    (tmp_path / "tiny" / "optimizer.pt").write_bytes(b"state")
    (tmp_path / "tiny" / "checkpoint-5").mkdir()
    assert run(["push", str(tmp_path / "tiny"), "me/tiny", "--private", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["repository"] == "me/tiny"
    assert hub.state.repositories["model", "me/tiny"].private
    files = set(hub.state.snapshot("model", "me/tiny"))
    assert files == {".gitattributes", "README.md", "config.json", "model.safetensors", "preprocessor_config.json"}
    assert not (tmp_path / "tiny" / "README.md").exists()
    assert same(hubert, AutoProbedModel.from_pretrained("me/tiny"))


def test_the_bundled_model_without_its_card(hub: LocalHub, tmp_path: Path) -> None:
    folder = tmp_path / "bundled"
    shutil.copytree(BUNDLED, folder, ignore=shutil.ignore_patterns("README.md"))
    push_model_folder(folder, "me/bundled")
    assert "loads it with the code of this repository" in ModelCard.load("me/bundled").text
    assert same(AutoProbedModel.from_pretrained(BUNDLED), AutoProbedModel.from_pretrained("me/bundled"))
    assert "auto_map" not in (folder / "config.json").read_text()
    assert not list(folder.glob("*.py"))


def test_a_mockingjay_folder_loads_without_this_package(hub: LocalHub) -> None:
    push_model_folder(BUNDLED, "me/bundled")
    script = """
import sys
import numpy as np
import torch
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForPreTraining

sys.modules["sat_probe"] = None  # an import of it fails
options = {"pretrained_model_name_or_path": "me/bundled", "trust_remote_code": True}
extractor, model = AutoFeatureExtractor.from_pretrained(**options), AutoModel.from_pretrained(**options).eval()
assert type(AutoModelForPreTraining.from_pretrained(**options)).__name__ == "MockingjayForPreTraining"
speech = np.random.default_rng(0).normal(size=8_000).astype(np.float32)
with torch.inference_mode():
    hidden = model(**extractor(speech, sampling_rate=16_000, return_tensors="pt")).last_hidden_state
print(f"{float(hidden.double().abs().sum()):.9g}")
"""
    shown = subprocess.run(
        [sys.executable, "-c", script], env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    model = AutoProbedModel.from_pretrained(BUNDLED).eval()
    speech = [np.random.default_rng(0).normal(size=8_000).astype(np.float32)]
    with torch.inference_mode():
        expected = model.encode(speech).last_hidden_state
    assert float(shown.stdout) == pytest.approx(float(expected.double().abs().sum()), rel=1e-5)


def test_a_damaged_configuration_is_named(hub: LocalHub, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        push_model_folder(tmp_path, "me/x")
    assert not hub.state.repositories


def test_a_lost_answer_makes_no_second_commit(hub: LocalHub, hubert: ProbedHubertModel) -> None:
    with hub.faults.during(Fault("commit", "drop_response"), Fault("lfs_upload", status=503, times=2)):
        hubert.push_to_hub("me/tiny-hubert")
    assert len(hub.state.history("model", "me/tiny-hubert")) == 2


@pytest.mark.parametrize("token", [READER, STRANGER])
def test_no_permission_is_one_line(hub: LocalHub, hubert: ProbedHubertModel, token: str) -> None:
    with pytest.raises(HubError, match=r"^team/x: no permission \(403") as caught:
        hubert.push_to_hub("team/x", token=token)
    assert token not in str(caught.value)


def test_reading_a_gated_or_missing_model_is_one_line(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.state.create("model", "team/gated", {"config.json": b"{}"}, gated=True)
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    with pytest.raises(ModelError, match=r"^team/gated: access is gated"):
        AutoProbedModel.from_pretrained("team/gated")
    with pytest.raises(ModelError, match=r"^me/absent: no such repository, or it is private"):
        AutoProbedModel.from_pretrained("me/absent")


def test_offline_uses_the_cache(hub: LocalHub, hubert: ProbedHubertModel, monkeypatch: pytest.MonkeyPatch) -> None:
    hubert.push_to_hub("me/tiny-hubert")
    AutoProbedModel.from_pretrained("me/tiny-hubert")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with hub.counted() as requests:
        assert same(hubert, AutoProbedModel.from_pretrained("me/tiny-hubert"))
    assert requests == []
