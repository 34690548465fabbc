"""`datasets`, `pandas`, `transformers` and `evaluate` read and write on the local Hub."""

from __future__ import annotations

import io
from pathlib import Path

import datasets
import evaluate
import pandas as pd
import pytest
import torch
from huggingface_hub import CommitOperationAdd, HfApi
from transformers import AutoModel, Wav2Vec2Config, Wav2Vec2Model

from tests.local_hub import Fault, LocalHub

CARD = b"""---
configs:
- config_name: heads
  data_files:
  - split: train
    path: reports/*/heads.parquet
  default: true
---
# Heads
"""
METRIC = """
import datasets
import evaluate


class Agreement(evaluate.Metric):
    def _info(self):
        features = datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")})
        return evaluate.MetricInfo(description="d", citation="c", inputs_description="i", features=features)

    def _compute(self, predictions, references):
        return {"agreement": sum(p == r for p, r in zip(predictions, references)) / len(references)}
"""


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def test_load_dataset_reads_the_configs_of_the_card(hub: LocalHub, lane: str) -> None:
    api = HfApi()
    api.create_repo("me/data", repo_type="dataset")
    frames = [pd.DataFrame({"layer": [0, 1], "score": [0.1 * k, 1 / 3]}) for k in (1, 2)]
    operations = [CommitOperationAdd(f"reports/{k}/heads.parquet", parquet(f)) for k, f in enumerate(frames)]
    operations.append(CommitOperationAdd("README.md", CARD))
    api.create_commit("me/data", operations, commit_message="m", repo_type="dataset")
    expected = pd.concat(frames, ignore_index=True)
    loaded = datasets.load_dataset("me/data", "heads", split="train")
    pd.testing.assert_frame_equal(loaded.to_pandas(), expected, check_exact=True)
    direct = pd.read_parquet("hf://datasets/me/data/reports/1/heads.parquet")
    pd.testing.assert_frame_equal(direct, frames[1], check_exact=True)
    streamed = datasets.load_dataset("me/data", "heads", split="train", streaming=True)
    assert [row["score"] for row in streamed] == expected["score"].tolist()


def test_datasets_push_to_hub(hub: LocalHub, lane: str) -> None:
    datasets.Dataset.from_dict({"a": [1, 2, 3]}).push_to_hub("me/pushed", private=True)
    assert datasets.load_dataset("me/pushed", split="train")["a"][:] == [1, 2, 3]
    assert hub.state.repositories["dataset", "me/pushed"].private


def test_transformers_push_and_load(hub: LocalHub, lane: str) -> None:
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    front = {"conv_dim": (4,), "conv_kernel": (10,), "conv_stride": (5,), "num_conv_pos_embedding_groups": 2}
    config = Wav2Vec2Config(**front, **shape)
    model = Wav2Vec2Model(config)
    model.push_to_hub("me/tiny")
    loaded = AutoModel.from_pretrained("me/tiny")
    assert all(torch.equal(value, loaded.state_dict()[name]) for name, value in model.state_dict().items())


def test_transformers_reports_a_missing_repository(hub: LocalHub) -> None:
    with pytest.raises(OSError, match=r"not a valid model identifier|is not a local folder"):
        AutoModel.from_pretrained("me/absent")


def test_evaluate_load(hub: LocalHub) -> None:
    api = HfApi()
    api.create_repo("me/agreement", repo_type="space", space_sdk="gradio")
    api.upload_file(
        path_or_fileobj=METRIC.encode(), path_in_repo="agreement.py", repo_id="me/agreement", repo_type="space"
    )
    metric = evaluate.load("me/agreement")
    assert metric.compute(predictions=[1, 2, 3, 4], references=[1, 2, 0, 4]) == {"agreement": 0.75}


def test_a_stale_copy_is_served_when_the_hub_fails(hub: LocalHub, sleeps: list[float]) -> None:
    """Why readers resolve a commit first: the client hides an outage behind an old file."""
    api = HfApi()
    api.create_repo("me/data", repo_type="dataset")
    for content in (b"old", b"new"):
        api.upload_file(path_or_fileobj=content, path_in_repo="a.txt", repo_id="me/data", repo_type="dataset")
        if content == b"old":
            api.hf_hub_download("me/data", "a.txt", repo_type="dataset")
    with hub.faults.during(Fault("resolve", status=503, times=None)):
        assert Path(api.hf_hub_download("me/data", "a.txt", repo_type="dataset")).read_bytes() == b"old"
