"""Analyse a model of the Hub, by name and by preset, and a metric Space loaded by `evaluate`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import evaluate
import pytest
import torch
from huggingface_hub import CommitOperationAdd, HfApi
from transformers import HubertConfig, HubertModel

from sat_probe.cli import run
from sat_probe.errors import ModelError
from sat_probe.models.auto import AutoProbedModel
from sat_probe.reports.head_report import HeadReport
from sat_probe.studies.head_analysis import analyze_model
from tests.hub.made_reports import assert_same, push
from tests.local_hub import LocalHub

SPACE = Path(__file__).resolve().parents[2] / "spaces_demo" / "phoneme_boundary"


@pytest.fixture
def pickled_model(hub: LocalHub, tmp_path: Path) -> str:
    """A model on the Hub whose weights are in pytorch_model.bin only; its commit."""
    shape = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
    front = {"conv_dim": (4,), "conv_kernel": (400,), "conv_stride": (320,), "num_conv_pos_embedding_groups": 2}
    model = HubertModel(HubertConfig(**front, **shape))
    model.config.save_pretrained(tmp_path / "model")
    torch.save(model.state_dict(), tmp_path / "model" / "pytorch_model.bin")
    files = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    hub.state.create("model", "org/pickled", files)
    return str(HfApi().model_info("org/pickled").sha)


@pytest.fixture
def preset(pickled_model: str, tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"description: d\nmodel: org/pickled\nrevision: {pickled_model}\nallow_pickle: true\ndataset: bundled\n"
        "limit: 2\nphone_set: timit-39\ntolerance: 0.02\ncounting: strict\n"
    )
    return path


def test_a_preset_names_model_revision_and_corpus(
    pickled_model: str, preset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyze", "--preset", str(preset), "--json"]) == 0
    provenance = json.loads(capsys.readouterr().out)["provenance"]
    assert (provenance["model"], provenance["revision"]) == ("org/pickled", pickled_model)
    assert (provenance["corpus"], provenance["utterances"]) == ("bundled", 2)
    assert run(["analyze", "--preset", str(preset), "--limit", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["provenance"]["utterances"] == 1


def test_analysis_is_returned_with_its_example(pickled_model: str, tmp_path: Path) -> None:
    report = analyze_model("org/pickled", allow_pickle=True, limit=2, replicates=10, progress=False)
    assert report.example
    push(report.save(tmp_path / "out", pictures=False), "me/heads")
    published = HeadReport.from_hub("me/heads", model="org/pickled", revision=pickled_model)
    assert_same(published, HeadReport.load(tmp_path / "out"))
    assert published.equals(report)


@pytest.mark.parametrize(("example", "there"), [(None, False), (True, True), (False, False)])
def test_audio_of_unknown_licence_is_not_published(
    pickled_model: str, tmp_path: Path, example: bool | None, there: bool
) -> None:
    report = analyze_model("org/pickled", allow_pickle=True, limit=1, replicates=10, progress=False)
    report = replace(report, provenance=report.provenance.replace(corpus="my recordings"))
    push(report.save(tmp_path / "out", pictures=False), "me/heads", example=example)
    published = HeadReport.from_hub("me/heads")
    assert bool(published.example) is there
    assert_same(published, HeadReport.load(tmp_path / "out"))
    names = {path.rpartition("/")[2] for path in HfApi().list_repo_files("me/heads", repo_type="dataset")}
    assert ("example.flac" in names) is there


def test_pickled_weights_only_if_allowed(pickled_model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "org/pickled", "--limit", "1", "--json"]) == 1
    line = capsys.readouterr().err.strip()
    assert line.startswith("Error: org/pickled: ")
    assert "safetensors" in line
    assert "--allow-pickle" in line
    assert run(["analyze", "org/pickled", "--limit", "1", "--json", "--allow-pickle"]) == 0


def test_unknown_preset(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", "--preset", "hubert-bse", "--json"]) == 1
    assert "did you mean 'hubert-base'?" in capsys.readouterr().err


def test_the_metric_space(hub: LocalHub) -> None:
    api = HfApi()
    api.create_repo("me/phoneme_boundary", repo_type="space", space_sdk="gradio")
    files = [path for path in SPACE.iterdir() if path.is_file()]
    operations = [CommitOperationAdd(path.name, path) for path in files]
    api.create_commit("me/phoneme_boundary", operations, commit_message="m", repo_type="space")
    metric = evaluate.load("me/phoneme_boundary")
    scores = metric.compute(predictions=[[0.11, 0.32]], references=[[0.10, 0.20, 0.30]], counting="strict")
    assert (scores["hits"], scores["references"], scores["predictions"]) == (2, 3, 2)


def test_code_of_a_repository_is_not_run(hub: LocalHub, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w').close()\nfrom transformers import Wav2Vec2Config as OwnConfig\n"
    config = {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}}
    hub.state.create("model", "org/own", {"config.json": json.dumps(config).encode(), "own.py": code.encode()})
    with pytest.raises(ModelError, match=r"^org/own: .*trust_remote_code") as caught:
        AutoProbedModel.from_pretrained("org/own")
    assert "\n" not in str(caught.value)
    assert not marker.exists()
