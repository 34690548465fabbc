"""A model that cannot be loaded: what the one line says."""

from __future__ import annotations

import pytest

from sat_probe.errors import ModelError
from sat_probe.models.auto import AutoProbedModel, _loading_failed
from tests.models.tiny_models import tiny_model


def test_a_misspelt_folder_without_a_network():
    line = _loading_failed(
        "tinny", OSError("We couldn't connect to 'https://huggingface.co' to load the files")
    )
    assert line.startswith("tinny: no folder here is called so, and the Hub cannot be reached")


def test_weights_of_another_shape_and_damaged_ones(tmp_path):
    tiny_model("mockingjay").save_pretrained(tmp_path)
    config, weights = tmp_path / "config.json", tmp_path / "model.safetensors"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('"intermediate_size": ', '"intermediate_size": 1'), encoding="utf-8")
    with pytest.raises(ModelError, match=r"other shapes than its config\.json says"):
        AutoProbedModel.from_pretrained(tmp_path)
    config.write_text(text, encoding="utf-8")
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="weights are damaged .*; download or save the model anew"):
        AutoProbedModel.from_pretrained(tmp_path)
