"""Gradient importance: evaluation mode and hidden states."""

from __future__ import annotations

import numpy as np
import pytest

from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.studies.importance.options import gradient_importance, utterance_losses
from sat_probe.studies.probing.features import Ablation, write_features
from sat_probe.studies.probing.prepared import ProbingCorpus, collect
from sat_probe.studies.probing.probe import dev_loss, train_probe
from sat_probe.studies.probing.tasks import CLASSIFICATIONS
from tests.models.tiny_families import tiny
from tests.models.tiny_models import tiny_model


def test_gradient_importance_is_computed_in_evaluation_mode(tmp_path):
    model = tiny_model("mockingjay")
    prepared = collect(model, load_corpus("bundled", limit=24), tmp_path, missing_phones="ignore")
    features = write_features(model, prepared, tmp_path / "features.npy", Ablation())
    task = CLASSIFICATIONS["phones_linear"]
    probe = train_probe(task, prepared, features)
    expected = gradient_importance(model, prepared, task, probe)
    model.train()  # as a model is that was just made or fine-tuned: with dropout
    found = gradient_importance(model, prepared, task, probe)
    np.testing.assert_array_equal(found, expected)
    assert model.training


def test_gradient_importance_uses_the_hidden_states_of_the_probe(tmp_path):
    model = tiny("qwen2_audio_encoder")  # halves the frames behind its last layer
    noise = np.random.default_rng(0)
    inputs = model.prepare([0.1 * noise.standard_normal(12_000).astype(np.float32) for _ in range(6)])
    lengths = [length for batch in inputs for length in batch.lengths]
    for number, batch in enumerate(inputs):
        tensors = {f"tensor-{name}": tensor.numpy() for name, tensor in batch.tensors.items()}
        np.savez(tmp_path / f"inputs-{number}.npz", lengths=np.array(batch.lengths), **tensors)
    corpus = ProbingCorpus(
        folder=tmp_path, batches=len(inputs), ids=tuple("abcdef"), speakers=np.array([0, 0, 0, 1, 1, 1]),
        speaker_names=("one", "two"), parts=np.array([0, 1, 2, 0, 1, 2]), lengths=np.array(lengths),
        phones=np.full(sum(lengths), -1), phone_names=(),
    )  # fmt: skip
    features = write_features(model, corpus, tmp_path / "features.npy", Ablation())
    task = CLASSIFICATIONS["speakers_frame"]
    probe = train_probe(task, corpus, features)
    losses = [loss_of(gate).item() for loss_of, gate in utterance_losses(model, corpus, task, probe)]
    assert np.mean(losses) == pytest.approx(dev_loss(task, corpus, probe, features), rel=1e-4)
