"""Pre-training: it learns, resumes after SIGKILL, and refuses impossible settings."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sat_probe.cli import run as run_command
from sat_probe.errors import ConfigurationError, ModelError
from sat_probe.models.mockingjay import MockingjayFeatureExtractor, MockingjayForPreTraining
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.studies.pretraining import run as pretraining
from sat_probe.studies.pretraining.batches import MaskedBatches
from sat_probe.studies.pretraining.card import model_card, names_speech
from sat_probe.studies.pretraining.recipe import (
    DataCredits,
    ModelShape,
    block_width,
    feature_extractor,
    load_recipe,
    model_config,
    recipe_commit,
)
from sat_probe.studies.pretraining.run import PretrainingResult, pretrain
from sat_probe.studies.pretraining.trainer import newest_checkpoint

from .pretraining_corpus import TINY, tiny, write_toy_corpus

_KILLED_RUN = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from sat_probe.studies.pretraining.batches import MaskedBatches
from sat_probe.studies.pretraining.run import pretrain
from tests.studies.pretraining_corpus import TINY

audio, output, cache, last = sys.argv[1:]
plain = MaskedBatches.__getitem__

def deadly(batches, number):
    if number == int(last) and batches.count == TINY.steps:
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(batches, number)

MaskedBatches.__getitem__ = deadly
pretrain(audio, TINY, 3, Path(output), cache=Path(cache))
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_toy_corpus(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def unbroken(corpus: Corpus, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pretrain(corpus, TINY, 3, tmp_path_factory.mktemp("runs") / "unbroken", cache=cache).folder


def curve(folder: Path) -> list[list[float | None]]:
    with (folder / "loss.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["step", "loss", "held_out_loss", "learning_rate", "gradient_norm"]
    return [[float(value) if value else None for value in row] for row in rows[1:]]


def test_a_killed_run_resumes_to_the_same_curve_and_weights(
    corpus: Corpus, cache: Path, unbroken: Path, tmp_path: Path
) -> None:
    last = 15  # between two checkpoints, and between two points of the curve
    audio = corpus[0].audio.parent
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED_RUN, str(audio), str(tmp_path / "run"), str(cache), str(last)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "run" / "model.safetensors").exists()
    newest = newest_checkpoint(tmp_path / "run" / "checkpoints")
    assert newest is not None
    (newest.parent / "checkpoint-999").mkdir()  # as if it had died while writing one

    result = pretrain(corpus, TINY, 3, tmp_path / "run", resume=True, cache=cache)
    assert result.steps == TINY.steps
    for row, expected in zip(curve(result.folder), curve(unbroken), strict=True):
        assert row == pytest.approx(expected, abs=1e-6)
    expected = load_file(unbroken / "model.safetensors")
    for name, weights in load_file(result.folder / "model.safetensors").items():
        torch.testing.assert_close(weights, expected[name], atol=1e-6, rtol=0, msg=name)


def test_result_loads_and_card_matches_the_run(unbroken: Path, corpus: Corpus) -> None:
    model = MockingjayForPreTraining.from_pretrained(unbroken)
    assert model.config.feature_size == 20
    extractor = MockingjayFeatureExtractor.from_pretrained(unbroken)
    assert (extractor.feature_size, extractor.downsample_rate) == (20, 3)
    run = json.loads((unbroken / "run.json").read_text(encoding="utf-8"))
    assert run["c_num"] == 3
    assert run["steps"] == TINY.steps
    assert run["data"]["utterances"] == len(corpus)
    assert run["data"]["held_out_utterances"] == 2
    assert run["loss"] == curve(unbroken)[-1][1]
    card = (unbroken / "README.md").read_text(encoding="utf-8")
    assert f"{run['loss']:.4f}" in card
    assert f"{run['parameters']:,} parameters" in card
    assert "C_num = 3" in card
    assert (unbroken / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in unbroken.iterdir()} == {
        "README.md", "checkpoints", "config.json", "loss.csv", "loss.png", "model.safetensors",
        "preprocessor_config.json", "run.json",
    }  # fmt: skip


def test_card_credits_only_the_speech_it_was_trained_on(unbroken: Path) -> None:
    run = json.loads((unbroken / "run.json").read_text(encoding="utf-8"))
    credits = {"name": "Toy-Speech, train", "language": "de", "licence": "CC0", "attribution": "Me.", "source": "x"}
    run["recipe"]["data"] = credits
    assert run["of_credited_speech"] is False  # the toy recipe credits nobody
    other = model_card(run)
    assert "meant for other speech than this (Toy-Speech, train)" in other
    assert "language:" not in other
    assert "CC0" not in other
    own = model_card(run | {"of_credited_speech": True})
    assert "Licence of the data: CC0" in own
    assert "language: de" in own
    assert "on 1 thread of" in own.replace("\n", " ")


def test_credited_speech_is_recognised_by_name_or_folder(tmp_path: Path) -> None:
    credits = DataCredits("Toy-Speech, train", "de", "CC0", "Me.", "x")
    assert names_speech(credits, SimpleNamespace(name="toy-speech", folder=None))
    assert names_speech(credits, SimpleNamespace(name="train", folder=tmp_path / "toy-speech" / "train"))
    assert not names_speech(credits, SimpleNamespace(name="recordings", folder=tmp_path))


def test_command_prints_both_losses_and_how_to_resume(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cut_off(*arguments: object, **options: object) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "run.json").write_text("{}")
        raise KeyboardInterrupt

    arguments = ["pretrain", "-d", "bundled", "--limit", "2", "--c-num", "3", "-o", str(tmp_path / "out")]
    result = PretrainingResult(tmp_path / "out", 24, 0.5, 0.625, 1000.0)
    monkeypatch.setattr(pretraining, "pretrain", lambda *_, **__: result)
    assert run_command(arguments) == 0
    assert "24 steps, masked L1 0.5000 (held out 0.6250), 1000 frames/s" in capsys.readouterr().out
    monkeypatch.setattr(pretraining, "pretrain", cut_off)
    assert run_command(arguments) == 130
    assert "add --resume to continue" in capsys.readouterr().err


def test_the_loss_goes_down(corpus: Corpus, cache: Path, tmp_path: Path) -> None:
    recipe = tiny(steps=100, learning_rate=5e-3, log_steps=10, checkpoint_steps=50)
    pretrain(corpus, recipe, 3, tmp_path / "run", cache=cache)
    points = curve(tmp_path / "run")
    training = [row[1] for row in points if row[1] is not None]
    held_out = [row[2] for row in points if row[2] is not None]
    assert training[-1] < 0.7 * training[0]
    assert held_out[-1] < 0.7 * held_out[0]


def test_a_larger_c_num_masks_wider_blocks(
    corpus: Corpus, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths = []
    plain = MaskedBatches.__init__
    monkeypatch.setattr(
        MaskedBatches,
        "__init__",
        lambda self, *args, **settings: widths.append(settings["width"]) or plain(self, *args, **settings),
    )
    pretrain(corpus, tiny(steps=2), 9, tmp_path / "run", cache=cache)
    assert set(widths) == {3}


def test_training_depends_on_the_seed_only(corpus: Corpus, cache: Path, tmp_path: Path, unbroken: Path) -> None:
    torch.manual_seed(99)
    again = pretrain(corpus, TINY, 3, tmp_path / "again", cache=cache)
    assert curve(again.folder) == curve(unbroken)
    other = pretrain(corpus, replace(TINY, seed=8), 3, tmp_path / "other", cache=cache)
    assert curve(other.folder) != curve(unbroken)


def test_a_folder_with_another_run_is_refused(corpus: Corpus, cache: Path, tmp_path: Path, unbroken: Path) -> None:
    with pytest.raises(ConfigurationError, match="already holds a pre-training run; continue it with --resume"):
        pretrain(corpus, TINY, 3, unbroken, cache=cache)
    with pytest.raises(ConfigurationError, match="is finished"):
        pretrain(corpus, TINY, 3, unbroken, resume=True, cache=cache)
    with pytest.raises(ConfigurationError, match="holds no pre-training run to resume"):
        pretrain(corpus, TINY, 3, tmp_path / "new", resume=True, cache=cache)
    assert not (tmp_path / "new").exists()
    facts = json.loads((unbroken / "run.json").read_text(encoding="utf-8"))
    started = {name: facts[name] for name in ("c_num", "recipe", "data", "configuration_commit")}
    (tmp_path / "run.json").write_text(json.dumps(started), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"differs in c_num, recipe\.learning_rate"):
        pretrain(corpus, tiny(learning_rate=1e-3), 6, tmp_path, resume=True, cache=cache)
    started["data"]["digest"] = "of another corpus"
    (tmp_path / "run.json").write_text(json.dumps(started), encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"differs in data\.digest; choose"):
        pretrain(corpus, TINY, 3, tmp_path, resume=True, cache=cache)


def test_another_model_is_not_replaced(corpus: Corpus, cache: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_text("years of work")
    with pytest.raises(ConfigurationError, match=r"holds 'model.safetensors' and no pre-training run"):
        pretrain(corpus, TINY, 3, tmp_path, cache=cache)
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]
    with pytest.raises(ConfigurationError, match="is a file, not a folder"):
        pretrain(corpus, TINY, 3, tmp_path / "model.safetensors", cache=cache)


def test_a_diverged_run_ends_with_advice(corpus: Corpus, cache: Path, tmp_path: Path) -> None:
    recipe = tiny(learning_rate=1e30, clip_norm=1e30, warmup_share=0.0)
    with pytest.raises(ModelError, match=r"the training has diverged; lower learning_rate or clip_norm"):
        pretrain(corpus, recipe, 3, tmp_path / "run", cache=cache)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"learning_rate": -1.0}, "learning_rate must be positive, got -1"),
        ({"warmup_share": 1.0}, r"warmup_share must be in \[0, 1\), got 1"),
        ({"checkpoint_steps": 5}, r"checkpoint_steps \(5\) must be a multiple of log_steps \(2\)"),
        ({"longest_frames": 2}, "less than one stacked row"),
        ({"seed": -1}, "must not be negative"),
    ],
)
def test_impossible_recipes_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        tiny(**changes)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (ModelShape(hidden_size=100, num_attention_heads=6), "must be a multiple of num_attention_heads"),
        (ModelShape(feature_kind="online_log_mell"), "unknown feature_kind 'online_log_mell'"),
        (ModelShape(feature_size=40, target_size=80), "target_kind must be set"),
    ],
)
def test_impossible_models_are_refused(shape: ModelShape, message: str, corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=message):
        pretrain(corpus, tiny(model=shape), 3, tmp_path / "run", cache=tmp_path)
    assert not (tmp_path / "run").exists()


def test_the_hop_of_the_features_can_be_chosen() -> None:
    config = model_config(replace(TINY.model, hop_length=100))
    assert config.hop_length == 100
    second = feature_extractor(config).extract(np.random.default_rng(0).normal(size=16_000))
    assert second.shape == (159, 20)  # 161 frames, of which 3 fill a row
    assert model_config(TINY.model).hop_length == 160


def test_c_num_must_be_a_multiple_of_r() -> None:
    assert [block_width(c_num, 3) for c_num in (3, 6, 9)] == [1, 2, 3]
    for wrong in (0, -3, 4):
        with pytest.raises(ConfigurationError, match=f"--c-num must be a positive multiple of 3, got {wrong}"):
            block_width(wrong, 3)


def test_recipe_files(tmp_path: Path) -> None:
    assert load_recipe("large").model.num_attention_heads == 12
    small = load_recipe("small")
    assert small.data is not None
    assert small.model.num_hidden_layers == 6
    path = tmp_path / "own.yaml"
    path.write_text("model: {hiden_size: 5}\nsteps: 5\nbatch_frames: 10\nlearning_rate: 1e-3\n")
    with pytest.raises(ConfigurationError, match=r"unknown key model\.hiden_size; did you mean model\.hidden_size"):
        load_recipe(path)
    path.write_text("model: {}\nsteps: many\nbatch_frames: 10\nlearning_rate: 1e-3\n")
    with pytest.raises(ConfigurationError, match="steps must be a whole number, found 'many'"):
        load_recipe(path)
    assert recipe_commit(path) is None
