"""A model that cannot be loaded: what the one line says."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from sat_probe.errors import ModelError
from sat_probe.models.auto import AutoProbedModel, _loading_failed
from tests.models.tiny_models import tiny_model


def test_a_misspelt_folder_without_a_network():
    line = _loading_failed("tinny", OSError("We couldn't connect to 'https://huggingface.co' to load the files"))
    assert line.startswith("tinny: there is no folder of this name, and the Hub cannot be reached")


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


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("attn_implementation", "flash_attention_2", None),
        ("return_dict", False, None),
        ("quantization_config", {"quant_method": "bitsandbytes", "load_in_8bit": True}, "cannot be loaded as a model"),
    ],
)
def test_settings_of_a_configuration_load_or_are_one_line(key, value, message, tmp_path):
    model = tiny_model("wav2vec2-layer-norm")
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps({**config, key: value}), encoding="utf-8")
    if message is not None:
        with pytest.raises(ModelError, match=message) as caught:
            AutoProbedModel.from_pretrained(tmp_path)
        assert "\n" not in str(caught.value)
        return
    audio = [np.random.default_rng(0).standard_normal(4000).astype(np.float32)]
    found = AutoProbedModel.from_pretrained(tmp_path).encode(audio).last_hidden_state
    assert torch.equal(found, model.encode(audio).last_hidden_state)


def test_weights_that_are_a_pointer_are_one_line(tmp_path):
    model = tiny_model("mockingjay")
    model.config.save_pretrained(tmp_path)
    (tmp_path / "pytorch_model.bin").write_text("version https://git-lfs.github.com/spec/v1\n", encoding="utf-8")
    with pytest.raises(ModelError, match="cannot be loaded as a model") as caught:
        AutoProbedModel.from_pretrained(tmp_path, use_safetensors=None)
    assert "\n" not in str(caught.value)
