"""Small recogniser of the control: it learns, and a killed training resumes to the same weights."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from sat_probe.errors import ConfigurationError, CorpusError
from sat_probe.paper import ctc
from sat_probe.paper.ctc import edit_distance, train_ctc
from sat_probe.paper.plan import SmallCTC
from sat_probe.phones.corpora.opening import load_corpus

SHAPE = SmallCTC(hidden_size=16, layers=1, heads=2, steps=6, batch=2, learning_rate=5e-3, utterances=6)


@pytest.fixture(scope="module")
def speech():
    return load_corpus("bundled", limit=6)


@pytest.mark.parametrize(
    "first, second, edits", [([], [], 0), ([1, 2], [], 2), ([1, 2, 3], [1, 3], 1), ([1, 2], [2, 1], 2), ([4], [5], 1)]
)
def test_edit_distance(first, second, edits):
    assert edit_distance(first, second) == edits
    assert edit_distance(second, first) == edits


def test_a_killed_training_resumes_to_the_same_weights(tmp_path, speech, monkeypatch):
    monkeypatch.setattr(ctc, "CHECKPOINT_STEPS", 2)
    train_ctc(speech, tmp_path / "whole", SHAPE, 0, False)
    run = json.loads((tmp_path / "whole" / "run.json").read_text())
    assert run["loss"] < run["first_loss"]
    assert run["utterances"] + run["held_out_utterances"] == 6
    assert run["character_error_rate"] > 0

    batches, steps = ctc._tensors, []

    def killed(spelled, batch, device):
        steps.append(batch)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return batches(spelled, batch, device)

    monkeypatch.setattr(ctc, "_tensors", killed)
    with pytest.raises(KeyboardInterrupt):
        train_ctc(speech, tmp_path / "killed", SHAPE, 0, False)
    monkeypatch.setattr(ctc, "_tensors", batches)
    with pytest.raises(ConfigurationError, match="checkpoint.pt: belongs to a training with other settings"):
        train_ctc(speech, tmp_path / "killed", replace(SHAPE, learning_rate=1e-3), 0, False)
    train_ctc(speech, tmp_path / "killed", SHAPE, 0, False)
    weights = [ctc.new_ctc(SHAPE, 1).from_pretrained(tmp_path / name) for name in ("whole", "killed")]
    for one, other in zip(*(model.parameters() for model in weights), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert not (tmp_path / "killed" / "checkpoint.pt").exists()


def test_speech_without_transcripts_is_refused(tmp_path, speech):
    class Silent(list):
        name = "silent"

    with pytest.raises(CorpusError, match="silent: 0 utterances have a transcript"):
        train_ctc(Silent([SimpleNamespace(text=None)]), tmp_path, SHAPE, 0, False)
