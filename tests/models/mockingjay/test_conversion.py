"""Conversion of every generation and relative, and refusal of everything else."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoModel, AutoModelForPreTraining

from sat_probe.errors import ModelError, SatProbeError
from sat_probe.models.auto import AutoProbedModel
from sat_probe.models.mockingjay import MockingjayFeatureExtractor
from sat_probe.models.mockingjay.convert_mockingjay import convert_checkpoint, convert_mockingjay
from tests.models.mockingjay.originals import LAYERS, checkpoint, run_original, save, speech_like

RELATIVES = {
    "legacy": {"generation": "legacy", "rate": 3, "feature_size": 160, "target_size": 160},
    "legacy linear target": {
        "generation": "legacy", "rate": 3, "feature_size": 160, "target_size": 1025,
        "target_path": "data/libri_linear1025_subword5000",
    },
    "v0.1.0": {"generation": "v0.1.0", "rate": 2, "feature_size": 160, "target_size": 160},
    "v0.1.0 pre-LN": {
        "generation": "v0.1.0", "rate": 2, "feature_size": 160, "target_size": 160, "pre_layer_norm": True,
    },
    "v0.1.0 TERA fMLLR": {
        "generation": "v0.1.0", "feature_size": 40, "target_size": 40, "data_path": "data/libri_fmllr_cmvn",
    },
    "s3prl": {"generation": "s3prl"},
    "s3prl TERA": {"generation": "s3prl", "upstream": "tera"},
    "s3prl AudioALBERT": {"generation": "s3prl", "share": True, "upstream": "audio_albert"},
    "s3prl pre-LN": {"generation": "s3prl", "pre_layer_norm": True},
    "s3prl linear target": {
        "generation": "s3prl", "target_size": 201, "target": {"feat_type": "linear", "log": True, "cmvn": True},
    },
    "s3prl Kaldi": {
        "generation": "s3prl", "feature_size": 240, "target_size": 240,
        "kaldi": {"feat_type": "fbank", "fbank": {"num_mel_bins": 80}},
    },
}  # fmt: skip
KINDS = {
    "legacy": ("legacy_mel", None, 200),
    "legacy linear target": ("legacy_mel", "legacy_linear", 200),
    "v0.1.0": ("legacy_mel", None, 200),
    "v0.1.0 pre-LN": ("legacy_mel", None, 200),
    "v0.1.0 TERA fMLLR": (None, None, 160),
    "s3prl": ("online_log_mel", None, 160),
    "s3prl TERA": ("online_log_mel", None, 160),
    "s3prl AudioALBERT": ("online_log_mel", None, 160),
    "s3prl pre-LN": ("online_log_mel", None, 160),
    "s3prl linear target": ("online_log_mel", "online_log_linear", 160),
    "s3prl Kaldi": ("kaldi_fbank", None, 160),
}


@pytest.mark.parametrize("name", RELATIVES)
def test_every_relative_computes_what_the_original_network_does(name, tmp_path, monkeypatch):
    relative = RELATIVES[name]
    content = checkpoint(**relative)
    path = save(content, tmp_path / "states.ckpt", monkeypatch)
    model = convert_checkpoint(path).model.double()
    assert (model.config.feature_kind, model.config.target_kind, model.config.hop_length) == KINDS[name]

    rate, pre_layer_norm = model.config.downsample_rate, relative.get("pre_layer_norm", False)
    encoder = content["Mockingjay" if relative["generation"] == "legacy" else "Transformer"]
    rows, lengths = 9, [9, 5]
    stacked = torch.randn(2, rows, model.config.feature_size * rate, dtype=torch.float64)
    final_norms = LAYERS + (relative["generation"] == "s3prl") if pre_layer_norm else 0
    states, prediction = run_original(
        encoder, content["SpecHead"], stacked, lengths, pre_layer_norm=pre_layer_norm, final_norms=final_norms
    )
    mask = (torch.arange(rows) < torch.tensor(lengths)[:, None]).long().repeat_interleave(rate, dim=1)
    ours = model(stacked.view(2, rows * rate, -1), mask, output_hidden_states=True)
    true = torch.arange(rows) < torch.tensor(lengths)[:, None]
    assert len(states) == len(ours.hidden_states) == LAYERS + 1
    for one, other in zip(ours.hidden_states, states, strict=True):
        torch.testing.assert_close(one[true], other[true], atol=1e-6, rtol=0)
    ours_stacked = ours.prediction.reshape(prediction.shape)
    torch.testing.assert_close(ours_stacked[true], prediction[true], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["legacy", "s3prl AudioALBERT", "v0.1.0 pre-LN", "s3prl linear target"])
def test_the_folder_loads_everywhere(name, tmp_path, monkeypatch):
    path = save(checkpoint(**RELATIVES[name]), tmp_path / "states.ckpt", monkeypatch)
    folder = tmp_path / "converted"
    conversion = convert_mockingjay(path, folder)
    assert {one.name for one in folder.iterdir()} == {
        "config.json", "model.safetensors", "preprocessor_config.json", "README.md",
    }  # fmt: skip
    extractor = AutoFeatureExtractor.from_pretrained(folder)
    assert isinstance(extractor, MockingjayFeatureExtractor)
    waveforms = [speech_like(12_000), speech_like(9_000, seed=1)]
    inputs = extractor(waveforms, sampling_rate=16_000, return_tensors="pt")
    plain = AutoModel.from_pretrained(folder)
    expected = conversion.model(**inputs)
    with torch.inference_mode():
        first = plain(**inputs).last_hidden_state
        assert torch.equal(first, expected.last_hidden_state)
        whole = AutoModelForPreTraining.from_pretrained(folder)
        assert torch.equal(whole(**inputs).prediction, expected.prediction)
        probed = AutoProbedModel.from_pretrained(folder)
        assert torch.equal(probed(**inputs).last_hidden_state, first)
    encoded = probed.encode(waveforms)
    for index, length in enumerate(encoded.lengths):
        torch.testing.assert_close(encoded.last_hidden_state[index, :length], first[index, :length])
    # saved again and loaded again: still the same
    probed.save_pretrained(tmp_path / "again")
    again = AutoModel.from_pretrained(tmp_path / "again")
    assert torch.equal(again(**inputs).last_hidden_state, first)
    card = (folder / "README.md").read_text()
    assert "states.ckpt" in card
    assert f"{conversion.model.config.num_hidden_layers} x {conversion.model.config.num_attention_heads}" in card


def test_the_original_chunking_can_be_kept(tmp_path, monkeypatch):
    path = save(checkpoint("s3prl"), tmp_path / "states.ckpt", monkeypatch)
    assert convert_checkpoint(path).model.config.chunk_length is None
    model = convert_checkpoint(path, chunked=True).model
    assert model.config.chunk_length == 12
    features = torch.randn(1, 30, 80)
    parts = [model.mockingjay(part).last_hidden_state for part in features.chunk(3, dim=1)]
    torch.testing.assert_close(model(features).last_hidden_state, torch.cat(parts, dim=1))
    path = save(checkpoint("legacy"), tmp_path / "legacy.ckpt", monkeypatch)
    with pytest.raises(ModelError, match="does not say its sequence length"):
        convert_checkpoint(path, chunked=True)


def test_features_can_be_named_where_the_file_is_wrong(tmp_path, monkeypatch):
    path = save(checkpoint("legacy", data_path="data/libri_fmllr"), tmp_path / "states.ckpt", monkeypatch)
    assert convert_checkpoint(path).feature_extractor is None
    conversion = convert_checkpoint(path, feature_kind="online_log_mel")
    assert conversion.feature_extractor.feature_size == 80
    with pytest.raises(ModelError, match="201 values per frame, never 80"):
        convert_checkpoint(path, feature_kind="online_log_linear")
    with pytest.raises(ModelError, match="unknown feature kind 'mel'"):
        convert_checkpoint(path, feature_kind="mel")


def test_old_names_and_wrappers_are_understood(tmp_path, monkeypatch):
    content = checkpoint("s3prl")
    plain = convert_checkpoint(save(content, tmp_path / "plain.ckpt", monkeypatch)).model.state_dict()
    renamed = {}
    for name, value in content["Transformer"].items():
        name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        renamed[f"module.{name}"] = value
    content["Transformer"] = renamed
    # early s3prl files kept the model's settings in Config
    content["Config"] = content.pop("Upstream_Config")
    other = convert_checkpoint(save(content, tmp_path / "old.ckpt", monkeypatch)).model.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in plain.items())


def test_files_of_old_torch_are_read(tmp_path, monkeypatch):
    content = checkpoint("s3prl")
    plain_save = torch.save
    monkeypatch.setattr(
        torch, "save", lambda value, path: plain_save(value, path, _use_new_zipfile_serialization=False)
    )
    path = save(content, tmp_path / "old.ckpt", monkeypatch)
    assert convert_checkpoint(path).model.config.num_hidden_layers == LAYERS


class Hostile:
    """Runs a command when a careless reader unpickles it."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("place", ["top", "Args", "Optimizer"])
def test_hostile_pickles_are_refused_and_nothing_runs(tmp_path, monkeypatch, place, zipped):
    trace = tmp_path / "ran"
    content = checkpoint("s3prl")
    hostile = Hostile(f"touch {trace}")
    if place == "top":
        content = hostile
    else:
        del content["Optimizer"]  # its stranger's module would stop the careless reader below
        content[place] = hostile
    plain_save = torch.save
    monkeypatch.setattr(
        torch, "save", lambda value, path: plain_save(value, path, _use_new_zipfile_serialization=zipped)
    )
    path = save(content, tmp_path / "hostile.ckpt", monkeypatch)
    with pytest.raises(ModelError, match=r"was refused, and nothing in it was run: .*system") as caught:
        convert_mockingjay(path, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not trace.exists()
    assert not (tmp_path / "out").exists()
    torch.load(path, weights_only=False)
    assert trace.exists(), "the pickle would have run its command"


def test_the_stubs_are_forgotten_after_reading(tmp_path, monkeypatch):
    path = save(checkpoint("s3prl"), tmp_path / "states.ckpt", monkeypatch)
    before = set(torch.serialization.get_safe_globals())  # a list in no order
    convert_checkpoint(path)
    assert set(torch.serialization.get_safe_globals()) == before


def broken(change):
    content = copy.deepcopy(checkpoint("s3prl"))
    change(content)
    return content


def drop(content, name, key):
    del content[name][key]


def put(content, name, key, value):
    content[name][key] = value


QUERY = "encoder.layer.1.attention.self.query.weight"
INPUT = "input_representations.spec_transform.weight"


def network(content, **changes):
    content["Upstream_Config"]["transformer"].update(changes)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c.pop("Transformer"), "no checkpoint of the Mockingjay family: Transformer missing"),
        (lambda c: c.pop("SpecHead"), "SpecHead missing"),
        (lambda c: c.pop("Upstream_Config"), "parameters but no settings"),
        (lambda c: c["Upstream_Config"].pop("transformer"), "parameters but no settings"),
        (lambda c: drop(c, "Transformer", QUERY), f"1 parameters are missing, the first is {QUERY}"),
        (lambda c: drop(c, "SpecHead", "LayerNorm.bias"), "the first is LayerNorm.bias"),
        (lambda c: drop(c, "Transformer", INPUT), "spec_transform.weight is missing"),
        (lambda c: put(c, "Transformer", QUERY, torch.zeros(3, 3)), r"shape of .*layers.1.*q_proj.weight: \(3, 3\)"),
        (lambda c: put(c, "Transformer", QUERY, torch.full((24, 24), float("nan"))), "no finite numbers"),
        (lambda c: put(c, "Transformer", "extra.weight", torch.zeros(1)), "1 parameters are unknown, .* extra.weight"),
        (lambda c: put(c, "Transformer", "extra.weight", "text"), "Transformer missing or no parameters"),
        (lambda c: c["Upstream_Config"]["transformer"].pop("num_attention_heads"), "how many heads"),
        (lambda c: network(c, num_attention_heads=5), "multiple of num_attention_heads"),
        (lambda c: network(c, num_hidden_layers=3), "promise 3 layers, the weights hold 2"),
        (lambda c: network(c, downsample_rate=3), "3 frames are stacked"),
        (lambda c: network(c, share_layer=True), "differs from layer 0"),
        (lambda c: network(c, hidden_act="tangent"), "unknown activation 'tangent'"),
        (lambda c: c["Upstream_Config"]["audio"].update(n_mels=40), "make 40 values per frame"),
        (lambda c: c["Upstream_Config"].update(audio={"kaldi": "yes"}), "states.ckpt"),
    ],
)  # fmt: skip
def test_incomplete_and_contradictory_checkpoints_are_refused(tmp_path, monkeypatch, change, message):
    path = save(broken(change), tmp_path / "states.ckpt", monkeypatch)
    with pytest.raises(ModelError, match=message) as caught:
        convert_mockingjay(path, tmp_path / "out")
    assert str(path) in str(caught.value)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["states.ckpt"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_files_are_refused(tmp_path, monkeypatch, share, zipped):
    plain_save = torch.save
    monkeypatch.setattr(
        torch, "save", lambda value, path: plain_save(value, path, _use_new_zipfile_serialization=zipped)
    )
    path = save(checkpoint("s3prl"), tmp_path / "states.ckpt", monkeypatch)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelError, match=r"states\.ckpt cannot be read: it is truncated, or no torch checkpoint"):
        convert_checkpoint(path)


@pytest.mark.parametrize(
    "content, message",
    [
        ([1, 2], "it holds a list"),
        ({"model": {"w": torch.zeros(2)}}, "it holds model"),
        ({}, "it holds nothing"),
        (torch.zeros(3), "it holds a Tensor"),
    ],
)
def test_foreign_checkpoints_are_refused(tmp_path, content, message):
    torch.save(content, tmp_path / "foreign.ckpt")
    with pytest.raises(ModelError, match=message):
        convert_checkpoint(tmp_path / "foreign.ckpt")


def test_what_is_no_checkpoint_is_refused(tmp_path):
    text = tmp_path / "notes.ckpt"
    text.write_text("no weights here\n" * 100)
    with pytest.raises(SatProbeError, match="cannot be read") as caught:
        convert_checkpoint(text)
    assert "weights_only" not in str(caught.value)  # no advice to run the file after all
    with pytest.raises(SatProbeError, match="is not a file"):
        convert_checkpoint(tmp_path / "absent.ckpt")
    with pytest.raises(SatProbeError, match="is not a file"):
        convert_checkpoint(tmp_path)


def test_an_existing_folder_is_kept(tmp_path, monkeypatch):
    path = save(checkpoint("s3prl"), tmp_path / "states.ckpt", monkeypatch)
    (tmp_path / "out").mkdir()
    convert_mockingjay(path, tmp_path / "out")
    before = (tmp_path / "out" / "config.json").read_bytes()
    with pytest.raises(ModelError, match="exists and is not empty"):
        convert_mockingjay(path, tmp_path / "out")
    assert (tmp_path / "out" / "config.json").read_bytes() == before


REMOTE = """
import sys, json, numpy as np, torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForPreTraining
folder, out = sys.argv[1:]
trust = {"trust_remote_code": True}
extractor = AutoFeatureExtractor.from_pretrained(folder, **trust)
inputs = extractor(np.load(out + "/wave.npy"), sampling_rate=16000, return_tensors="pt")
encoder = AutoModel.from_pretrained(folder, **trust)
whole = AutoModelForPreTraining.from_pretrained(folder, **trust)
np.save(out + "/hidden.npy", encoder(**inputs).last_hidden_state.detach().numpy())
np.save(out + "/prediction.npy", whole(**inputs).prediction.detach().numpy())
print(json.dumps([type(encoder).__name__, type(AutoConfig.from_pretrained(folder, **trust)).__name__,
                  any(name.startswith("sat_probe") for name in sys.modules)]))
"""


def test_with_its_code_a_checkpoint_needs_no_sat_probe(tmp_path, monkeypatch):
    path = save(checkpoint(**RELATIVES["s3prl linear target"]), tmp_path / "states.ckpt", monkeypatch)
    folder = tmp_path / "with_code"
    conversion = convert_mockingjay(path, folder, with_code=True)
    assert getattr(conversion.model.config, "auto_map", None) is None
    assert conversion.model._auto_class is None
    waveform = speech_like(12_000)
    np.save(tmp_path / "wave.npy", waveform)
    environment = os.environ | {"HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    finished = subprocess.run(
        [sys.executable, "-I", "-c", REMOTE, str(folder), str(tmp_path)],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr[-2000:]
    assert json.loads(finished.stdout.splitlines()[-1]) == ["MockingjayModel", "MockingjayConfig", False]
    expected = conversion.model(**conversion.feature_extractor(waveform, return_tensors="pt"))
    np.testing.assert_array_equal(np.load(tmp_path / "hidden.npy"), expected.last_hidden_state.detach().numpy())
    np.testing.assert_array_equal(np.load(tmp_path / "prediction.npy"), expected.prediction.detach().numpy())
    # where sat-probe is imported, no trust is asked and its own classes win
    local = AutoModel.from_pretrained(folder)
    assert type(local).__module__.startswith("sat_probe.")
