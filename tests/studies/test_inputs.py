"""The door: what is taken as a model or a corpus, what is told about it, and one clear line for everything else."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, Wav2Vec2Config, Wav2Vec2ForCTC

from sat_probe import analyze_model, refine
from sat_probe.errors import AudioError, CorpusError, ModelError
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.studies.choices import CorpusChoice, ModelChoice, shown_name
from sat_probe.studies.inputs import open_corpus, open_inputs, open_model, weights_digest
from tests.models.tiny_models import tiny_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"
BERT = BertConfig(vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
RATE = 16_000


def ctc() -> Wav2Vec2ForCTC:
    torch.manual_seed(0)
    return Wav2Vec2ForCTC(
        Wav2Vec2Config(
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=16,
            conv_dim=(8,) * 7,
            num_conv_pos_embeddings=16,
            num_conv_pos_embedding_groups=2,
        )
    )


def tone(seconds=0.5):
    return np.sin(0.1 * np.arange(int(seconds * RATE))).astype("float32")


@pytest.fixture
def folder(tmp_path) -> Path:
    tiny_model("mockingjay").save_pretrained(tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def cached(folder, tmp_path, monkeypatch) -> str:
    """A model in the cache of a Hub that cannot be reached."""
    repository = tmp_path / "hub" / "models--org--mock"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    shutil.copytree(folder, repository / "snapshots" / COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return "org/mock"


def test_every_way_to_name_a_model_gives_the_same_one(folder):
    expected = weights_digest(tiny_model("mockingjay"))
    for model in (folder, str(folder), tiny_model("mockingjay")):
        assert weights_digest(open_model(ModelChoice(model, device="cpu"))) == expected
    assert weights_digest(open_model(ModelChoice())) == weights_digest(open_model(ModelChoice("bundled")))


def test_provenance_names_a_folder_without_its_path(folder):
    inputs = open_inputs(ModelChoice(folder, device="cpu"), CorpusChoice(limit=2))
    assert inputs.provenance["model"] == "tiny"
    assert inputs.provenance["corpus"] == "bundled"
    assert inputs.provenance.get("revision") is None
    assert inputs.provenance["dtype"] == "float32"
    assert "stored_dtype" not in inputs.provenance
    assert str(folder.parent) not in str(dict(inputs.provenance))


def test_provenance_of_a_model_on_the_hub_has_its_commit(cached):
    inputs = open_inputs(ModelChoice(cached, device="cpu"), CorpusChoice(limit=2))
    assert (inputs.provenance["model"], inputs.provenance["revision"]) == ("org/mock", COMMIT)
    named = open_inputs(ModelChoice(cached, COMMIT, device="cpu"), CorpusChoice(limit=2))
    assert named.provenance == inputs.provenance
    again = open_inputs(ModelChoice(inputs.model), CorpusChoice(limit=2))  # now in memory
    assert again.provenance["model"] == "org/mock"
    assert again.identity == inputs.identity


def test_identity_tells_models_and_corpora_apart():
    model = tiny_model("mockingjay")
    others = [
        (tiny_model("mockingjay", seed=1), {"limit": 2}),
        (refine(model, remove=[(0, 1)]), {"limit": 2}),
        (refine(model, span=3), {"limit": 2}),
        (model, {"limit": 3}),
        (model, {"limit": 2, "phone_set": "timit-48"}),
    ]
    seen = [open_inputs(ModelChoice(model), CorpusChoice(limit=2)).identity]
    for other, chosen in others:
        seen.append(open_inputs(ModelChoice(other), CorpusChoice(**chosen)).identity)
    assert all(first != second for i, first in enumerate(seen) for second in seen[:i])
    assert open_inputs(ModelChoice(copy.deepcopy(model)), CorpusChoice(limit=2)).identity == seen[0]


def test_heads_that_were_removed_and_a_limited_span_are_told():
    small = refine(tiny_model("mockingjay"), remove=[(0, 1), (2, 3)], span=3)
    provenance = open_inputs(ModelChoice(small), CorpusChoice(limit=2)).provenance
    assert provenance["removed_heads"] == {"0": [1], "2": [3]}
    assert provenance["limited_span"] == [3, "mask"]


def test_a_model_below_a_head_in_training_shares_its_weights_and_stays_as_it_was():
    model = ctc().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    probed = open_model(ModelChoice(model))
    assert next(probed.parameters()).data_ptr() == next(model.wav2vec2.parameters()).data_ptr()
    report = analyze_model(model, [tone(), tone(0.7)], sampling_rate=RATE, replicates=2, progress=False)
    assert len(report.heads) == 4
    assert report.provenance["model"] == "Wav2Vec2ForCTC"
    assert model.training
    assert model.config._attn_implementation == ctc().config._attn_implementation
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize("wrapped", [False, True])
def test_half_precision_in_memory_is_computed_in_float32_on_a_cpu(wrapped, caplog):
    model = (tiny_model("mockingjay") if wrapped else ctc()).to(torch.bfloat16)
    inputs = open_inputs(ModelChoice(model), CorpusChoice(limit=2))
    assert inputs.model.dtype == torch.float32
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert inputs.provenance["dtype"] == "float32"
    assert inputs.provenance["stored_dtype"] == "bfloat16"
    assert len([one for one in caplog.messages if "float32" in one]) == 1


def test_half_precision_on_disk_is_told(folder, tmp_path, caplog):
    tiny_model("mockingjay").to(torch.bfloat16).save_pretrained(tmp_path / "half")
    provenance = open_inputs(ModelChoice(tmp_path / "half", device="cpu"), CorpusChoice(limit=2)).provenance
    assert (provenance["dtype"], provenance["stored_dtype"]) == ("float32", "bfloat16")
    asked = open_inputs(ModelChoice(folder, device="cpu", dtype="bfloat16"), CorpusChoice(limit=2))
    assert asked.model.dtype == torch.float32
    assert "computed in float32" in caplog.text


def test_a_model_in_memory_is_never_converted_in_place():
    model = tiny_model("mockingjay")
    probed = open_model(ModelChoice(model, dtype=torch.float64))
    assert (probed.dtype, model.dtype) == (torch.float64, torch.float32)
    assert open_model(ModelChoice(model)) is model


@pytest.mark.parametrize("model", [3, ["org/model"], {"model": 1}, np.zeros(3)])
def test_what_is_no_model_is_told_what_is_taken(model):
    message = r"a name on the Hub, a folder, 'bundled', or a transformers speech model in memory \(got \w+\)$"
    for study in (analyze_model, refine):
        with pytest.raises(TypeError, match=message):
            study(model)


@pytest.mark.parametrize(
    ("choice", "error", "message"),
    [
        (ModelChoice(BertModel(BERT)), ModelError, "has no speech encoder"),
        (ModelChoice(torch.nn.Linear(2, 2)), ModelError, "has no speech encoder"),
        (ModelChoice("recordngs"), ModelError, "no folder named 'recordngs' was found here"),
        (ModelChoice(""), ModelError, "a model is the name of one on the Hub, or a folder"),
        (ModelChoice("bundled", "main"), ModelError, "the bundled model has no revision main"),
        (ModelChoice(tiny_model("mockingjay"), "main"), ModelError, "a model in memory has no revision main"),
        (ModelChoice(device="warp:9"), ModelError, "device 'warp:9' cannot be used"),
        (ModelChoice(tiny_model("mockingjay"), device="cuda:77"), ModelError, "device 'cuda:77' cannot be used"),
        (ModelChoice(device="meta"), ModelError, "nothing is computed there"),
        (ModelChoice(dtype="float8"), ModelError, "unknown dtype 'float8': choose one of float16, bfloat16"),
        (ModelChoice(dtype=torch.int8), ModelError, "unknown dtype 'int8'"),
        (ModelChoice(ctc().to("meta")), ModelError, "has no weights yet"),
    ],
    ids=str,
)
def test_a_model_that_cannot_be_used_is_one_line(choice, error, message):
    with pytest.raises(error, match=message) as caught:
        open_model(choice)
    assert "\n" not in str(caught.value)


def test_a_folder_has_no_revision(folder):
    with pytest.raises(ModelError, match=r"the folder .*tiny has no revision main: only models on the Hub do"):
        open_model(ModelChoice(folder, "main"))


def nan():
    samples = tone()
    samples[100] = np.nan
    return samples


@pytest.mark.parametrize(
    ("dataset", "options", "error", "message"),
    [
        (3, {}, TypeError, r"a corpus is a name, a folder, .* got 3$"),
        ([], {}, CorpusError, "the list of recordings is empty"),
        ([None], {}, TypeError, "recording 0 is None; a corpus is a name"),
        ([nan()], {"sampling_rate": RATE}, AudioError, "recording 0: holds NaN or infinite samples"),
        ([tone()], {}, CorpusError, "an array needs its sampling rate"),
        ([(tone(), 0)], {}, CorpusError, "above 0, got 0"),
        ([(tone(), RATE), (tone(), 8000)], {}, CorpusError, "different sampling rates, 8000, 16000 Hz"),
        (datasets.Dataset.from_dict({"text": ["a"]}), {}, CorpusError, "has no audio column; its columns: text"),
        ("nowhere", {}, CorpusError, "no such folder"),
    ],
    ids=["number", "empty", "none", "nan", "no-rate", "rate-0", "mixed-rates", "no-audio", "nowhere"],
)
def test_a_corpus_that_cannot_be_used_is_one_line(dataset, options, error, message):
    with pytest.raises(error, match=message) as caught:
        list(open_corpus(CorpusChoice(dataset, **options)))
    assert "\n" not in str(caught.value)


def test_a_limit_of_0_is_refused_and_not_taken_for_none():
    with pytest.raises(CorpusError, match="a limit of 0 leaves no utterance"):
        open_corpus(CorpusChoice(limit=0))


def test_a_corpus_in_memory_is_taken_as_it_is():
    corpus = load_corpus("bundled")
    assert open_corpus(CorpusChoice(corpus)) is corpus
    assert len(open_corpus(CorpusChoice(corpus, limit=2))) == 2
    with pytest.raises(CorpusError, match="split"):
        open_corpus(CorpusChoice(corpus, split="test"))


def test_refine_leaves_any_model_as_it_was():
    model = ctc().train()
    small = refine(model, remove=[(0, 1)])
    assert small.present_heads == [[0], [0, 1]]
    assert model.training
    assert model.wav2vec2.encoder.layers[0].attention.num_heads == 2
    shared = {weight.data_ptr() for weight in model.parameters()}
    assert not shared & {weight.data_ptr() for weight in small.parameters()}
    with pytest.raises(ModelError, match="meta"):
        refine(ctc().to("meta"), remove=[(0, 1)])


def test_refine_takes_the_model_keywords_of_a_study(cached, folder, tmp_path):
    model = tiny_model("mockingjay")
    small = refine(cached, remove=[(0, 1)], revision=COMMIT, device="cpu", dtype="float64")
    assert small.dtype == torch.float64
    expected = refine(model, remove=[(0, 1)], dtype=torch.float64)
    assert weights_digest(small) == weights_digest(expected)
    assert model.dtype == torch.float32
    with pytest.raises(ModelError, match="the bundled model has no revision main"):
        refine(span=3, revision="main")
    with pytest.raises(ModelError, match="device 'warp:9' cannot be used"):
        refine(model, span=3, device="warp:9")
    pickled = tmp_path / "pickled"
    shutil.copytree(folder, pickled)
    (pickled / "model.safetensors").unlink()
    torch.save(model.state_dict(), pickled / "pytorch_model.bin")
    with pytest.raises(ModelError, match="not in safetensors"):
        refine(pickled, span=3)
    assert weights_digest(refine(pickled, span=3, allow_pickle=True)) == weights_digest(model)


def test_adapters_are_merged_before_refining():
    peft = pytest.importorskip("peft")
    adapted = peft.get_peft_model(ctc(), peft.LoraConfig(target_modules=["q_proj"], r=2))
    with pytest.raises(ModelError, match="adapters that are not merged .* merge_and_unload"):
        refine(adapted, span=3)
    assert refine(adapted.merge_and_unload(), span=3).limited_span == 3


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("org/model", "org/model"),
        ("/somewhere/of/mine/model", "model"),
        ("../models/tiny", "tiny"),
        ("models/of/mine", "mine"),
        ("timit", "timit"),
        ("", ""),
    ],
)
def test_names_in_reports_show_no_place_of_this_machine(name, shown):
    assert shown_name(name) == shown
