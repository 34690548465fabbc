"""A refined model computes what the masked one did, keeps it on disk, and costs less."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import AutoModel

from sat_probe import AutoProbedModel, analyze_model, refine
from sat_probe.cli import run
from sat_probe.cli.refine import _with_interval
from sat_probe.errors import ModelError
from sat_probe.models.attention import whole as attention_band
from sat_probe.models.mockingjay import MockingjayConfig
from sat_probe.models.probed_classes import ProbedMockingjayModel
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.studies import refinement
from sat_probe.studies.choices import ModelChoice
from sat_probe.studies.footprint import Footprint, footprints, multiply_adds
from sat_probe.studies.importance.ablation_lab import AblationLab
from sat_probe.studies.probing.features import Ablation
from sat_probe.studies.probing.prepared import collect
from sat_probe.studies.refinement import most_global
from tests.models.tiny_models import CONFIGURATIONS, tiny_model

FAMILIES = pytest.mark.parametrize("name", CONFIGURATIONS)
REMOVED = [(0, 1), (1, 0), (1, 1), (1, 2), (1, 3), (2, 3)]  # layer 1 loses all its heads


def speech(seconds: float = 0.8, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(int(16_000 * seconds)).astype(np.float32)


def mask_of(removed, layers=3, heads=4):
    mask = torch.ones(layers, heads)
    for layer, head in removed:
        mask[layer, head] = 0
    return mask


def close(left, right):
    torch.testing.assert_close(left, right, atol=2e-6, rtol=0)


@FAMILIES
def test_removing_equals_masking_before_and_after_saving(name, tmp_path):
    model = tiny_model(name)
    expected = model.encode([speech()], head_mask=mask_of(REMOVED), output_hidden_states=True)
    intact = model.encode([speech()]).last_hidden_state
    small = refine(model, remove=REMOVED)
    small.save_pretrained(tmp_path)
    loaded = AutoProbedModel.from_pretrained(tmp_path)
    for refined in (small, loaded):
        found = refined.encode([speech()], output_hidden_states=True)
        for ours, theirs in zip(found.hidden_states, expected.hidden_states, strict=True):
            close(ours, theirs)
        (inputs,) = refined.prepare([speech()])
        with torch.no_grad():
            close(refined(**inputs.tensors).last_hidden_state, expected.last_hidden_state)
        assert refined.present_heads == [[0, 2, 3], [], [0, 1, 2]]
    assert (expected.last_hidden_state - intact).abs().max() > 1e-3
    torch.testing.assert_close(model.encode([speech()]).last_hidden_state, intact, atol=0, rtol=0)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert sum(parameter.numel() for parameter in loaded.parameters()) < count


@FAMILIES
def test_heads_keep_their_numbers(name):
    """Masks, observers, maps and a second removal speak of heads as the intact model counts them."""
    model = tiny_model(name)
    small = refine(model, remove=REMOVED)
    close(
        small.encode([speech()], head_mask=mask_of([(0, 2), (2, 0)])).last_hidden_state,
        model.encode([speech()], head_mask=mask_of([*REMOVED, (0, 2), (2, 0)])).last_hidden_state,
    )
    smaller = refine(small, remove=[(0, 2), (2, 0)])
    close(
        smaller.encode([speech()]).last_hidden_state,
        model.encode([speech()], head_mask=mask_of([*REMOVED, (0, 2), (2, 0)])).last_hidden_state,
    )

    class Watcher:
        def __init__(self):
            self.rows = {}

        def observe(self, block):
            for index, head in enumerate(range(block.heads.start, block.heads.stop)):
                self.rows.setdefault((block.layer, head), block.weights[index, 0].clone())

    watched, expected = Watcher(), Watcher()
    maps = small.encode([speech()], observers=[watched], output_attentions=True).attentions
    model.encode([speech()], observers=[expected])
    assert set(watched.rows) == set(expected.rows) - set(REMOVED)
    for head in (0, 2, 3):
        close(watched.rows[0, head], expected.rows[0, head])
    assert [one.shape[1] for one in maps] == [3, 0, 3]


@FAMILIES
def test_a_layer_without_heads_trains_and_batches(name):
    small = refine(tiny_model(name), remove=REMOVED)
    batch = small.encode([speech(), speech(0.5, seed=2)])
    alone = small.encode([speech(0.5, seed=2)]).last_hidden_state[0]
    torch.testing.assert_close(batch.last_hidden_state[1, : batch.lengths[1]], alone, atol=2e-5, rtol=0)
    (inputs,) = small.prepare([speech()])
    small(**inputs.tensors).last_hidden_state.square().sum().backward()
    gradient = small.attention_modules[1].out_proj.bias.grad
    assert gradient is not None
    assert gradient.abs().max() > 0


@FAMILIES
@pytest.mark.parametrize("mode", ["mask", "zero"])
@pytest.mark.parametrize("span", [0, 5])
def test_a_limited_span_is_kept_on_disk(name, mode, span, tmp_path):
    model = tiny_model(name)
    expected = model.encode([speech()], attention_span=span, span_mode=mode).last_hidden_state
    limited = refine(model, span=span, span_mode=mode)
    limited.save_pretrained(tmp_path)
    for refined in (limited, AutoProbedModel.from_pretrained(tmp_path)):
        close(refined.encode([speech()]).last_hidden_state, expected)
        (inputs,) = refined.prepare([speech()])
        with torch.no_grad():
            close(refined(**inputs.tensors).last_hidden_state, expected)
    assert model.limited_span is None


@pytest.mark.parametrize("span", [0, 1, 7, 40, 400])
@pytest.mark.parametrize("elements", [500, 20_000, 384 * 1024])
def test_the_band_equals_the_whole_map(span, elements, monkeypatch):
    """Whatever the shape of the blocks; the differentiable path computes whole maps."""
    model = tiny_model("mockingjay")
    long = speech(9.0)
    (inputs,) = model.prepare([long])
    whole = model(**inputs.tensors, attention_span=span, span_mode="mask").last_hidden_state.detach()
    monkeypatch.setattr(attention_band, "_BAND_ELEMENTS", elements)
    banded = model.encode([long], attention_span=span, span_mode="mask").last_hidden_state
    torch.testing.assert_close(banded, whole, atol=5e-6, rtol=0)


def test_the_cost_of_a_band_grows_with_the_frames():
    model = refine(tiny_model("mockingjay"), span=2)
    whole = tiny_model("mockingjay")
    grown = multiply_adds(model, 40.0) / multiply_adds(model, 20.0)
    assert grown == pytest.approx(2.0, rel=0.02)
    assert multiply_adds(whole, 40.0) / multiply_adds(whole, 20.0) > 2.5


def test_costs_of_several_models_are_measured_round_by_round(tmp_path, capfd):
    tiny_model("mockingjay").save_pretrained(tmp_path / "tiny")
    models = [ModelChoice(tmp_path / "tiny", device="cpu", dtype="bfloat16"), ModelChoice()]
    tiny, bundled = footprints(models, seconds=1.0, rounds=2)
    assert tiny.parameters == sum(one.numel() for one in tiny_model("mockingjay").parameters())
    assert tiny.multiply_adds == multiply_adds(tiny_model("mockingjay"), 1.0)
    assert tiny.multiply_adds < bundled.multiply_adds
    assert (len(tiny.passes), len(bundled.passes)) == (2, 2)
    assert min(bundled.passes) <= bundled.real_time_factor <= max(bundled.passes)
    assert bundled.peak_memory > 1e8
    with pytest.raises(ModelError, match="no folder named 'nowhere'"):
        footprints([ModelChoice("nowhere")])
    assert tuple(capfd.readouterr()) == ("", "")


def test_shared_layers_lose_the_same_heads(tmp_path):
    torch.manual_seed(0)
    config = MockingjayConfig(
        hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=48, share_layers=True
    )
    model = ProbedMockingjayModel(config).eval()
    with pytest.raises(ModelError, match="share their weights"):
        refine(model, remove=[(0, 1)])
    everywhere = [(layer, head) for layer in range(3) for head in (1, 3)]
    small = refine(model, remove=everywhere)
    expected = model.encode([speech()], head_mask=mask_of(everywhere)).last_hidden_state
    small.save_pretrained(tmp_path)
    for refined in (small, AutoProbedModel.from_pretrained(tmp_path)):
        close(refined.encode([speech()]).last_hidden_state, expected)


@pytest.mark.parametrize(
    "remove, message",
    [
        ([(3, 0)], "no head 0 in layer 3: layers are 0 to 2, heads 0 to 3"),
        ([(0, -1)], "no head -1 in layer 0"),
        ([(0, 1), (0, 1)], "head 1 of layer 0 is named twice"),
        ([(layer, head) for layer in range(3) for head in range(4)], "all 12 heads would be removed"),
    ],
)
def test_bad_heads_are_refused(remove, message):
    with pytest.raises(ModelError, match=message):
        refine(tiny_model("mockingjay"), remove=remove)


def test_a_removed_head_cannot_be_removed_again():
    small = refine(tiny_model("mockingjay"), remove=[(0, 1)])
    with pytest.raises(ModelError, match="head 1 of layer 0 was removed before"):
        refine(small, remove=[(0, 1)])
    with pytest.raises(ModelError, match="every head that is left would be removed"):
        refine(small, remove=[(layer, head) for layer in range(3) for head in range(4) if (layer, head) != (0, 1)])


def test_a_negative_span_and_a_damaged_configuration_are_refused(tmp_path):
    with pytest.raises(ModelError, match="0 or more frames, got -1"):
        refine(tiny_model("mockingjay"), span=-1)
    refine(tiny_model("mockingjay"), remove=[(0, 1)]).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["sat_probe_pruned_heads"] = [[0, 1]]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="must list heads by layer"):
        AutoProbedModel.from_pretrained(tmp_path)


def test_a_refined_model_is_analyzed_under_the_original_numbers():
    small = refine(tiny_model("mockingjay"), remove=REMOVED)
    report = analyze_model(small, limit=2, replicates=2, progress=False)
    assert list(zip(report.heads["layer"], report.heads["head"], strict=True)) == [
        (0, 0), (0, 2), (0, 3), (2, 0), (2, 1), (2, 2)
    ]  # fmt: skip
    assert report.provenance["removed_heads"] == {"0": [1], "1": [0, 1, 2, 3], "2": [3]}


def test_plain_transformers_refuses_removed_heads_as_documented(tmp_path):
    refine(tiny_model("wav2vec2-layer-norm"), remove=[(0, 1)]).save_pretrained(tmp_path)
    with pytest.raises(RuntimeError, match="ignore_mismatched_sizes"):
        AutoModel.from_pretrained(tmp_path)


def test_plain_transformers_ignores_a_limited_span_as_documented(tmp_path):
    model = tiny_model("wav2vec2-layer-norm")
    refine(model, span=3).save_pretrained(tmp_path)
    (inputs,) = model.prepare([speech()])
    with torch.no_grad():
        plain = AutoModel.from_pretrained(tmp_path)(**inputs.tensors).last_hidden_state
        close(plain, model(**inputs.tensors).last_hidden_state)


def test_the_most_global_heads_go_first():
    heads = pd.DataFrame({"layer": [0, 0, 1, 1], "head": [0, 1, 0, 1], "globalness": [0.1, 3.0, 2.0, 0.5]})
    assert most_global(heads, 0.5) == [(0, 1), (1, 0)]
    assert len(most_global(heads, 1.0)) == 3
    with pytest.raises(ModelError, match="between 0 and 1"):
        most_global(heads, 1.2)


def same_costs(models, seconds):
    return [Footprint(1, 1.0, 1.0, 1, (0.9, 1.0, 1.1))] * len(models)


def test_the_command(tmp_path, capsys, monkeypatch):
    source, small = tmp_path / "tiny", tmp_path / "small"
    tiny_model("mockingjay").save_pretrained(source)
    arguments = ["refine", str(source), "--heads", "0.1,2.3", "--span", "4", "--seconds", "2", "-o", str(small)]
    assert run([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    table = {row["quantity"]: row for row in printed["table"]}
    assert table["parameters"]["ratio"] < 1
    assert table["multiply-adds per second of audio"]["ratio"] < 1
    assert AutoProbedModel.from_pretrained(small).present_heads == [[0, 2, 3], [0, 1, 2, 3], [0, 1, 2]]
    assert AutoProbedModel.from_pretrained(small).limited_span == 4
    timed = table["real-time factor"]
    assert timed["before_low"] <= timed["before"] <= timed["before_high"]
    assert timed["ratio_low"] <= timed["ratio_high"]
    assert run(arguments) == 2
    assert "already holds a model; choose a new folder or pass --overwrite" in capsys.readouterr().err
    monkeypatch.setattr(refinement, "footprints", same_costs)
    assert run([*arguments, "-o", str(tmp_path / "again")]) == 0
    shown = capsys.readouterr().out  # for people: nothing was probed, so no changes are shown
    assert "2 heads removed" in shown
    assert "change" not in shown
    assert "1.00 (1.00 to 1.00)" in shown  # fastest and slowest round
    assert run([*arguments, "-o", str(tmp_path / "again"), "--overwrite"]) == 0
    assert "(replaced another model)" in capsys.readouterr().out
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years of work")
    assert run([*arguments, "-o", str(foreign), "--overwrite"]) == 2
    assert "exists and holds no model" in capsys.readouterr().err
    assert run(["refine", str(source), "-o", str(tmp_path / "x")]) == 2
    assert run(["refine", str(source), "--heads", "9.1", "-o", str(tmp_path / "x")]) == 1
    assert "no head 1 in layer 9" in capsys.readouterr().err


def curves(folder, losses):
    """A report whose curves say that removing by weight loses so much accuracy, step by step."""
    report = analyze_model(tiny_model("mockingjay"), limit=2, progress=False, replicates=2)
    steps = [
        {
            "kind": "heads", "ranking": "weight", "seed": 0, "removed": count, "span": np.nan, "span_mode": None,
            "heads": ",".join(f"{head // 4}.{head % 4}" for head in range(count)),
            "task": "phones_linear", "mode": "retrain",
            "metric": "accuracy", "value": 0.5 - loss, "value_low": 0.4, "value_high": 0.6, "items": 10,
        }
        for count, loss in enumerate(losses)
    ]  # fmt: skip
    report.tables["importance"] = pd.DataFrame(steps)
    report.save(folder)


@pytest.fixture
def unmeasured(monkeypatch):
    """Costs are not measured, which takes a fresh process for each model."""
    monkeypatch.setattr(refinement, "footprints", same_costs)


@pytest.mark.usefixtures("unmeasured")
def test_the_command_removes_what_the_curves_of_a_report_allow(tmp_path, capsys):
    tiny_model("mockingjay").save_pretrained(tmp_path / "tiny")
    curves(tmp_path / "curves", [0.0, 0.004, 0.008, 0.2])
    source, report = str(tmp_path / "tiny"), ["--report", str(tmp_path / "curves")]
    wanted = ["refine", source, *report, "--seconds", "1", "--json", "-o", str(tmp_path / "small"), "--max-loss"]
    assert run([*wanted, "0.01"]) == 0
    assert json.loads(capsys.readouterr().out)["removed"] == [[0, 0], [0, 1]]
    assert AutoProbedModel.from_pretrained(tmp_path / "small").present_heads[0] == [2, 3]
    curves(tmp_path / "all", [0.0, *[0.0] * 11, 0.0])
    every = ["refine", source, "--report", str(tmp_path / "all"), "--seconds", "1", "--json", "--max-loss", "0.01"]
    assert run([*every, "-o", str(tmp_path / "one-left")]) == 0  # all could go, but no model is without heads
    assert len(json.loads(capsys.readouterr().out)["removed"]) == 11
    other = ["-o", str(tmp_path / "other")]
    assert run([*wanted, "0.001", *other]) == 1
    assert "stays within a loss of 0.001" in capsys.readouterr().err
    assert run(["refine", source, "--max-loss", "0.1", *other]) == 2
    assert "needs --report" in capsys.readouterr().err
    analyze_model(tiny_model("mockingjay"), limit=2, progress=False, output=tmp_path / "plain", replicates=2)
    assert run(["refine", source, "--max-loss", "0.1", "--report", str(tmp_path / "plain"), *other]) == 1
    assert "no ablation curves; make them with sat-probe importance" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.mark.usefixtures("unmeasured")
def test_probes_of_both_models_stand_in_the_table(tmp_path, capsys):
    """Beside the costs; those after equal what probes read from the masked model."""
    model = tiny_model("mockingjay")
    model.save_pretrained(tmp_path / "tiny")
    named = ["--heads", ",".join(f"{layer}.{head}" for layer, head in REMOVED)]
    wanted = ["refine", str(tmp_path / "tiny"), *named, "--dataset", "bundled", "--limit", "24"]
    tasks = ["--task", "speakers_utterance", "--task", "reconstruction", "--seconds", "1"]
    assert run([*wanted, *tasks, "-o", str(tmp_path / "small"), "--json"]) == 0
    rows = {row["quantity"]: row for row in json.loads(capsys.readouterr().out)["table"]}
    assert rows["parameters"]["before_low"] is None
    with tempfile.TemporaryDirectory() as folder:
        corpus = load_corpus("bundled", limit=24)
        prepared = collect(model, corpus, Path(folder) / "inputs", log_mel=True)
        lab = AblationLab(model, prepared, ["speakers_utterance", "reconstruction"], Path(folder))
        lab.prepare()
        before = lab.measure(Ablation(), ["retrain", "frozen"])
        masked = lab.measure(Ablation(frozenset(REMOVED)), ["retrain", "frozen"])
    for first, second in zip(before, masked, strict=True):
        row = rows[f"{first['task']}, {first['mode']}: {first['metric']}"]
        assert row["before"] == pytest.approx(first["value"])
        assert row["after"] == pytest.approx(second["value"], abs=1e-5)
        assert row["after_low"] == pytest.approx(second["low"], abs=1e-5)
        assert row["change"] == pytest.approx(second["value"] - first["value"], abs=1e-5)
        if first["task"] == "reconstruction":
            # in pairs: what is hard for both models does not widen the interval
            assert row["change_high"] - row["change_low"] < row["after_high"] - row["after_low"]
    assert len(rows) == 4 + 3
    silent = ["refine", str(tmp_path / "tiny"), "--span", "2", "--dataset", "bundled", "--limit", "4"]
    assert run([*silent, "-o", str(tmp_path / "none")]) == 1
    assert "speakers cannot be probed" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_a_change_without_an_interval_is_told_without_one():
    change = {"change": 0.01, "change_low": math.nan, "change_high": math.nan}
    assert _with_interval(change, "change", "+.3f") == "+0.010"
    assert _with_interval({**change, "change": math.nan}, "change", "+.3f") == ""
    known = {**change, "change_low": -0.02, "change_high": 0.03}
    assert _with_interval(known, "change", "+.3f") == "+0.010 (-0.020 to +0.030)"
