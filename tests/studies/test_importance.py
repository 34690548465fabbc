"""Ablation curves, rankings and interrupted runs, on a tiny model and bundled speech."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from sat_probe.cli import run
from sat_probe.errors import ConfigurationError, CorpusError, ReportError
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.task_curves import task_curves
from sat_probe.studies.corpus_pass.accumulation import Checkpoint
from sat_probe.studies.corpus_pass.processes import Process
from sat_probe.studies.importance import ablation_lab as ablation_points
from sat_probe.studies.importance.ablation_lab import AblationLab, FinishedPoints
from sat_probe.studies.importance.options import (
    Options,
    gradient_importance,
    metric_order,
    random_order,
    utterance_losses,
)
from sat_probe.studies.importance.study import head_importance
from sat_probe.studies.importance.suggestion import Suggestion, advice, confidence, suggest
from sat_probe.studies.probing.features import Ablation, write_features
from sat_probe.studies.probing.prepared import collect, split_by_utterance
from sat_probe.studies.probing.probe import mean_score, score_probe, task_features, train_probe
from sat_probe.studies.probing.tasks import CLASSIFICATIONS, chosen_tasks, task_rows
from tests.models.tiny_models import tiny_model

QUICK = Options(
    tasks=["phones_linear", "speakers_utterance", "reconstruction"],
    rankings=["globalness", "random"],
    spans=[2],
    steps=2,
    random_seeds=1,
    missing_phones="ignore",
)


@pytest.fixture(scope="module")
def model():
    return tiny_model("mockingjay")


@pytest.fixture(scope="module")
def speech():
    return load_corpus("bundled", limit=24)


@pytest.fixture(scope="module")
def prepared(model, speech, tmp_path_factory):
    return collect(model, speech, tmp_path_factory.mktemp("inputs"), missing_phones="ignore")


@pytest.fixture(scope="module")
def report(model, speech, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "out"
    metric = {"mine": lambda report: report.heads["layer"] * 10 + report.heads["head"]}
    return head_importance(model, speech, QUICK, metrics=metric, output=folder, progress=False)


def test_the_table_has_every_point_of_every_curve(report):
    table = report.tables["importance"]
    heads, spans = table[table["kind"] == "heads"], table[table["kind"] == "span"]
    assert set(heads["ranking"]) == {"globalness", "random", "mine"}
    assert sorted(set(heads["removed"])) == [0, 6, 12]
    assert set(spans["span_mode"]) == {"zero", "mask"}
    assert sorted(spans["span"].dropna().unique()) == [2]
    per_point = 2 * 2 + 1  # two classifications in two modes, reconstruction in one
    assert len(table) == per_point * (3 * 3 + 2 * 2)
    assert set(table["task"]) == {"phones_linear", "speakers_utterance", "reconstruction_proxy"}
    measured = table[table["metric"] == "accuracy"]
    assert ((measured["value_low"] <= measured["value"]) & (measured["value"] <= measured["value_high"])).all()
    mine = heads[(heads["ranking"] == "mine") & (heads["removed"] == 6)]["heads"].iloc[0]
    assert mine == "2.3,2.2,2.1,2.0,1.3,1.2"


def test_all_curves_start_at_the_same_score(report):
    table = report.tables["importance"]
    intact = table[(table["removed"] == 0) & table["span"].isna()]
    assert intact.groupby("task")["value"].nunique().eq(1).all()
    changed = table[(table["removed"] == 12) & (table["mode"] == "frozen") & (table["task"] == "phones_linear")]
    assert (changed["value"] != intact[intact["task"] == "phones_linear"]["value"].iloc[0]).all()


def test_interrupted_run_is_resumed(model, speech, report, tmp_path, monkeypatch):
    folder, measured = tmp_path / "out", []
    whole = AblationLab.measure

    def counted(lab, ablation, modes):
        measured.append(ablation.key)
        if len(measured) == 3:
            raise KeyboardInterrupt
        return whole(lab, ablation, modes)

    monkeypatch.setattr(AblationLab, "measure", counted)
    with pytest.raises(KeyboardInterrupt):
        head_importance(model, speech, QUICK, output=folder, progress=False)
    kept = tmp_path / ".out.importance.checkpoint.npz"
    points = FinishedPoints(Process())
    points.load_state_dict({"results": np.load(kept)["points/results"]})
    assert len(points.results) == 2
    with pytest.raises(ReportError, match="belongs to another run, which differs in seed;"):
        head_importance(model, speech, replace(QUICK, seed=5), output=folder, resume=True, progress=False)
    retrained = deepcopy(model)  # of the same name: a folder that was written anew
    next(retrained.parameters()).data.add_(0.001)
    with pytest.raises(ReportError, match="belongs to another run, which differs in weights;"):
        head_importance(retrained, speech, QUICK, output=folder, resume=True, progress=False)
    again = head_importance(model, speech, QUICK, output=folder, resume=True, progress=False)
    assert len(measured) == len(set(measured)) + 1  # the point that was cut off, and no other, is measured twice
    assert not kept.exists()
    expected = report.tables["importance"]
    expected = expected[expected["ranking"] != "mine"].reset_index(drop=True)
    found = again.tables["importance"]
    pd.testing.assert_frame_equal(found.drop(columns="point"), expected.drop(columns="point"))
    assert len(set(zip(found["point"], expected["point"], strict=True))) == found["point"].nunique()
    last = f"total_{expected['point'].max()}"
    counts, before = again.tables["importance_counts"], report.tables["importance_counts"]
    pd.testing.assert_series_equal(
        counts[f"total_{found['point'].max()}"], before[last], check_names=False
    )  # that of the last point, which was measured after the cut
    loaded = HeadReport.load(folder).tables
    pd.testing.assert_frame_equal(loaded["importance"], found, check_dtype=False)
    pd.testing.assert_frame_equal(loaded["importance_counts"], counts)


def test_every_score_is_a_ratio_of_sums_over_the_test_utterances(report, prepared):
    table, counts = report.tables["importance"], report.tables["importance_counts"]
    test = {prepared.ids[index] for index in np.flatnonzero(prepared.in_part("test"))}
    assert set(counts["utterance"]) == test
    assert not counts.duplicated(["utterance", "task", "mode"]).any()
    for row in table.itertuples():
        own = counts[(counts["task"] == row.task) & (counts["mode"] == row.mode)]
        assert own["items"].sum() == row.items
        assert own[f"total_{row.point}"].sum() / row.items == pytest.approx(row.value)
    lengths = dict(zip(prepared.ids, prepared.lengths, strict=True))
    frames = counts[counts["task"] == "reconstruction_proxy"].set_index("utterance")["items"]
    assert frames.to_dict() == {name: lengths[name] for name in test}


def test_points_are_compared_in_pairs(report):
    table, counts = report.tables["importance"], report.tables["importance_counts"]
    for curves in task_curves(table, counts):
        last = curves.removals("globalness")[12]
        value, low, high = curves.gain([curves.intact], [last])
        assert low <= value <= high
        scores = [curves.score([point]) for point in (curves.intact, last)]
        lost = scores[0] - scores[1] if curves.metric == "accuracy" else scores[1] - scores[0]
        assert value == pytest.approx(lost)
        assert curves.gain([last], [last]) == (0.0, 0.0, 0.0)
        assert curves.removals("random")[12] == last  # nothing is left, whatever the order
    found = suggest(table, 0.9, mode="frozen", counts=counts)
    assert set(found.intervals) == set(found.losses)
    for task, (low, high) in found.intervals.items():
        assert low <= found.losses[task] <= high
    assert found.losses == suggest(table, 0.9, mode="frozen").losses


def test_empty_studies_are_refused(model, speech):
    nothing = replace(QUICK, tasks=["reconstruction"], rankings=["gradient"], spans=[])
    with pytest.raises(ConfigurationError, match="nothing to measure: no span, and no ranking"):
        head_importance(model, speech, nothing, progress=False)


def test_gradient_importance_agrees_with_finite_differences(prepared, tmp_path):
    model = tiny_model("mockingjay").double()
    features = write_features(model, prepared_as_double(prepared), tmp_path / "features.npy", Ablation())
    task = CLASSIFICATIONS["phones_hidden"]
    probe = train_probe(task, prepared, features).double()
    corpus = prepared_as_double(prepared)
    expected, count, step = np.zeros((3, 4)), 0, 1e-5
    for loss_of, gate in utterance_losses(model, corpus, task, probe):
        with torch.no_grad():
            for layer in range(3):
                for head in range(4):
                    up, down = gate.detach().double(), gate.detach().double()
                    up[layer, head] += step
                    down[layer, head] -= step
                    expected[layer, head] += abs((loss_of(up) - loss_of(down)).item() / (2 * step))
        count += 1
    found = gradient_importance(model, corpus, task, probe, normalize=False)
    assert count >= 4
    np.testing.assert_allclose(found, expected / count, rtol=1e-4, atol=1e-8)
    normalized = gradient_importance(model, corpus, task, probe)
    np.testing.assert_allclose(np.linalg.norm(normalized, axis=1), 1.0)
    assert all(parameter.requires_grad for parameter in model.parameters())


class prepared_as_double:
    """The corpus with double inputs."""

    def __init__(self, corpus):
        self.corpus = corpus

    def __getattr__(self, name):
        return getattr(self.corpus, name)

    def inputs(self, *device):
        for first, inputs in self.corpus.inputs(*device):
            tensors = {name: t.double() if t.is_floating_point() else t for name, t in inputs.tensors.items()}
            yield first, replace(inputs, tensors=tensors)


def test_features_on_disk_equal_hidden_states(model, prepared, speech, tmp_path):
    ablation = Ablation(frozenset([(0, 1)]), span=3, span_mode="mask")
    features = write_features(model, prepared, tmp_path / "features.npy", ablation, "weighted")
    assert isinstance(features, np.memmap)
    mask = torch.ones(3, 4)
    mask[0, 1] = 0
    index = 5
    first, last = prepared.first_frames[index : index + 2]
    utterance = next(one for one in speech if one.id == prepared.ids[index])
    from sat_probe.audio import read_audio

    output = model.encode(
        [read_audio(utterance.audio)], head_mask=mask, attention_span=3, span_mode="mask", output_hidden_states=True
    )
    for state in range(4):
        np.testing.assert_allclose(features[first:last, state], output.hidden_states[state][0], atol=2e-5)
    labels = utterance.alignment.frame_labels(speech.phone_set, model.frame_grid, int(last - first))
    np.testing.assert_array_equal(prepared.phones[first:last], labels)


def test_probe_reads_labels_from_features_but_not_from_noise(prepared):
    """Labels written into the features are read from test; noise is not."""
    task = CLASSIFICATIONS["phones_linear"]
    noise = np.random.default_rng(0).standard_normal((len(prepared.phones), 1, 24)).astype(np.float32)
    told = noise.copy()
    told[np.arange(len(told)), 0, np.maximum(prepared.phones, 0) % 24] += 8.0
    blind = score_probe(task, prepared, train_probe(task, prepared, noise), noise)
    seeing = score_probe(task, prepared, train_probe(task, prepared, told), told)
    assert seeing.value > blind.value + 0.25
    pooled = task_features(CLASSIFICATIONS["speakers_utterance"], prepared, told)
    first, last = prepared.first_frames[2:4]
    np.testing.assert_allclose(pooled[2], told[first:last].mean(0), rtol=1e-5)


def test_split_has_all_speakers_in_all_parts():
    ids = [f"u{index}" for index in range(40)]
    speakers = [f"s{index % 4}" for index in range(40)]
    parts = split_by_utterance(ids, speakers)
    for speaker in range(4):
        assert np.bincount(parts[speaker::4]).tolist() == [6, 2, 2]
    np.testing.assert_array_equal(parts, split_by_utterance(ids, speakers))
    assert (parts != split_by_utterance(ids, speakers, seed=1)).any()
    with pytest.raises(CorpusError, match="too few utterances to learn from some and test on others, 4 in all"):
        split_by_utterance(ids[:4], speakers[:4])


def test_the_interval_covers_the_mean_of_utterances():
    ids = tuple(f"u{index}" for index in range(200))
    values = np.random.default_rng(0).random(200)
    score = mean_score("task", "accuracy", ids, np.arange(200), values)
    assert score.value == pytest.approx(values.mean())
    assert score.high - score.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(200), rel=0.15)


def test_tasks_that_the_corpus_lacks_labels_for_are_refused(prepared, speech):
    one = replace(prepared, speakers=np.zeros_like(prepared.speakers), speaker_names=("slt",))
    with pytest.raises(CorpusError, match="one speaker only; choose tasks without them"):
        chosen_tasks(None, one)
    silent = replace(prepared, phones=np.full_like(prepared.phones, -1))
    with pytest.raises(CorpusError, match="no alignments; make them with sat-probe align"):
        chosen_tasks(["phones_linear"], silent)
    assert not any(name.startswith("phones") for name in chosen_tasks(None, silent))
    with pytest.raises(ConfigurationError, match="no task 'phone'"):
        chosen_tasks(["phone"], prepared)
    trained = prepared.in_part("train")[prepared.frame_utterances]
    code = speech.phone_set.phones.index("s")
    without = replace(prepared, phones=np.where(trained & (prepared.phones == code), -1, prepared.phones))
    with pytest.raises(CorpusError, match=r"has the phones .*\bs\b.* which occur in test"):
        task_rows(CLASSIFICATIONS["phones_linear"], replace(without, missing_phones="refuse"), "test")
    kept = task_rows(CLASSIFICATIONS["phones_linear"], replace(without, missing_phones="ignore"), "test")
    assert code not in without.phones[kept.rows]


@pytest.mark.parametrize(
    "options, message",
    [
        (Options(rankings=["entropy"]), "no ranking 'entropy'"),
        (Options(tasks=["phones"]), "no task 'phones'; there are reconstruction, phones_linear"),
        (Options(modes=["train"]), "no mode 'train'"),
        (Options(span_modes=["cut"]), "no span mode 'cut'"),
        (Options(steps=0), "steps: 0 is too small, 1 is the least"),
        (Options(spans=(3, -5)), "spans: -5 is too small, 0 is the least"),
        (Options(random_seeds=-1), "random_seeds: -1 is too small"),
        (Options(missing_phones="guess"), "no treatment of missing phones 'guess'"),
    ],
)
def test_unknown_options_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        options.check()


def test_orders(report):
    order = metric_order(report, "globalness")
    by_value = report.heads.set_index(["layer", "head"])["globalness"]
    assert [by_value[head] for head in order] == sorted(by_value, reverse=True)
    weakest = metric_order(report, "weight")[0]
    assert report.heads.set_index(["layer", "head"])["max_weight"].idxmin() == weakest
    with pytest.raises(ConfigurationError, match="one finite number for each of the 12 rows"):
        metric_order(report, lambda report: [1.0, 2.0])
    assert sorted(random_order([[0, 1], [], [3]], 1)) == [(0, 0), (0, 1), (2, 3)]


def test_suggest_takes_the_most_within_the_tolerance():
    rows = [
        ("globalness", 0, 0.60, 0.20), ("globalness", 6, 0.595, 0.21), ("globalness", 12, 0.59, 0.40),
        ("weight", 0, 0.60, 0.20), ("weight", 6, 0.60, 0.20), ("weight", 12, 0.30, 0.20),
        ("random", 0, 0.60, 0.20), ("random", 12, 0.60, 0.20),
    ]  # fmt: skip
    table = pd.DataFrame(
        [
            {
                "kind": "heads", "ranking": ranking, "seed": 0, "removed": removed, "span": np.nan,
                "span_mode": None, "heads": ",".join(f"0.{h}" for h in range(removed)), "task": task,
                "mode": mode, "metric": metric, "value": value,
            }
            for ranking, removed, accuracy, l1 in rows
            for task, mode, metric, value in (
                ("phones_hidden", "retrain", "accuracy", accuracy), ("reconstruction", "frozen", "l1", l1),
            )
        ]
    )  # fmt: skip
    found = suggest(table, 0.01)
    assert (found.ranking, len(found.heads)) == ("weight", 6)  # globalness grows L1 by 5 %
    assert suggest(table, 0.06).ranking == "weight"
    everything = suggest(table, {"phones_hidden": 0.01})
    assert (everything.ranking, len(everything.heads)) == ("globalness", 12)
    assert everything.losses["reconstruction"] == pytest.approx(1.0)
    assert suggest(table[table["ranking"] == "globalness"], 0.001) is None
    with pytest.raises(ConfigurationError, match="no task 'speakers' was measured"):
        suggest(table, {"speakers": 0.1})


def test_finished_points_are_not_measured_again(tmp_path):
    def checkpoint(seed=0):
        return Checkpoint(tmp_path / "points.npz", {"seed": seed})

    points = FinishedPoints(Process(), checkpoint())
    assert points.measure({"a": lambda: 1.5}, "model", "", False) == {"a": 1.5}
    resumed = FinishedPoints(Process(), checkpoint(), resume=True)
    todo = {"a": lambda: pytest.fail("it was measured"), "b": lambda: {"value": float("nan"), "heads": [1]}}
    assert resumed.measure(todo, "model", "", False)["a"] == 1.5
    again = FinishedPoints(Process(), checkpoint(), resume=True).results
    assert np.isnan(again["b"].pop("value"))
    assert again == {"a": 1.5, "b": {"heads": [1]}}
    assert FinishedPoints(Process(), checkpoint()).results == {}
    with pytest.raises(ReportError, match="belongs to another run, which differs in seed; delete it"):
        FinishedPoints(Process(), checkpoint(seed=1), resume=True)
    (tmp_path / "points.npz").write_text("nonsense")
    with pytest.raises(ReportError, match="is no checkpoint of sat-probe .*; delete it to start anew"):
        FinishedPoints(Process(), checkpoint(), resume=True)


def test_interrupt_tells_how_to_continue(tmp_path, capsys, monkeypatch):
    whole = AblationLab.measure

    def cut_off(lab, ablation, modes):
        if ablation.heads:
            raise KeyboardInterrupt
        return whole(lab, ablation, modes)

    monkeypatch.setattr(AblationLab, "measure", cut_off)
    tiny_model("mockingjay").save_pretrained(tmp_path / "tiny")
    quick = ["--task", "speakers_utterance", "--ranking", "weight", "--spans", "", "--steps", "1"]
    arguments = ["importance", str(tmp_path / "tiny"), "--limit", "16", "-o", str(tmp_path / "out"), *quick]
    assert run(arguments) == 130
    assert "add --resume to continue" in capsys.readouterr().err
    assert (tmp_path / ".out.importance.checkpoint.npz").exists()


def test_the_command(tmp_path, capsys):
    tiny_model("mockingjay").save_pretrained(tmp_path / "tiny")
    arguments = ["importance", str(tmp_path / "tiny"), "--limit", "16", "-o", str(tmp_path / "out")]
    quick = ["--task", "speakers_utterance", "--ranking", "weight", "--spans", "", "--steps", "1"]
    assert run([*arguments, *quick, "--mode", "frozen", "--max-loss", "1", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["removed"] for row in printed["importance"]] == [0, 12]
    assert len(printed["suggestion"]["heads"]["heads"]) == 12
    assert run([*arguments, "--ranking", "nothing:here"]) == 2
    assert run([*arguments, "--ranking", "nothing"]) == 1
    assert "no ranking 'nothing'" in capsys.readouterr().err
    assert ablation_points.MODES == ("retrain", "frozen")


def test_advice_states_its_confidence():
    found = Suggestion(((0, 0),), "weight", None, None, {"a": 0.01, "b": 0.0}, {"a": (0.0, 0.03), "b": (-0.1, 0.01)})
    assert "Not sure: a could lose up to +0.030, more than 0.02 (9 test utterances)" in confidence(found, 0.02, 9)
    assert confidence(found, 0.03, 50) == (
        "  Sure for this speech: the upper ends are within 0.03 too (50 test utterances)."
    )
    assert "(9 test utterances; intervals of so few look too narrow)" in confidence(found, 0.03, 9)
    alone = replace(found, intervals={"a": (np.nan, np.nan), "b": (0.0, 0.0)})
    assert confidence(alone, 0.03, 1) == "  Not sure: no interval for a (1 test utterance)."


def test_advice_never_tells_refine_to_remove_all_heads():
    found = Suggestion(((0, 0), (0, 1)), "weight", None, None, {})
    assert "--heads 0.0,0.1" in advice("heads", found, 0.1, all_heads=3)
    told = advice("heads", found, 0.1, all_heads=2)
    assert "All 2 heads can be removed" in told
    assert "--heads" not in told  # sat-probe refine refuses it
