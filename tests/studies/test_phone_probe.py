"""Phone probes: saving, loading, and the model that they fit."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from sat_probe.errors import ModelError
from sat_probe.studies.ablation_effect import ablation_effect
from sat_probe.studies.choices import ModelChoice
from sat_probe.studies.inputs import open_model, weights_digest
from sat_probe.studies.probing.features import Ablation
from sat_probe.studies.probing.phone_probe import (
    DESCRIPTION,
    WEIGHTS,
    PhoneProbe,
    bundled_phone_probe,
    load_phone_probe,
    phone_probe_folder,
)
from sat_probe.studies.probing.probe import Probe
from tests.models.tiny_models import tiny_model

WAVEFORM = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)


def probe_of(model, hidden=None, layer=-1):
    torch.manual_seed(0)
    states = model.num_probed_layers + 1 if layer == "weighted" else 1
    probe = Probe(states, model.config.hidden_size, 4, hidden).requires_grad_(False)
    return PhoneProbe(probe, ("aa", "m", "s", "sil"), layer, weights_digest(model), {"accuracy": 0.5})


@pytest.mark.parametrize("hidden", [None, 7])
@pytest.mark.parametrize("layer", [-1, 1, "weighted"])
def test_saved_probe_gives_the_same_posteriors(tmp_path, hidden, layer):
    model = tiny_model("wav2vec2-layer-norm")
    made = probe_of(model, hidden, layer)
    made.save(tmp_path)
    kept = load_phone_probe(tmp_path)
    states = model.encode([WAVEFORM], output_hidden_states=True).hidden_states
    read = kept.log_posteriors(states)
    np.testing.assert_array_equal(read, made.log_posteriors(states))
    np.testing.assert_allclose(np.exp(read).sum(1), 1)
    assert (kept.phones, kept.layer, kept.made) == (made.phones, layer, made.made)
    assert kept.fits(model)


def test_probe_fits_only_its_own_weights():
    model = tiny_model("wav2vec2-layer-norm")
    probe = probe_of(model)
    assert not probe.fits(tiny_model("wav2vec2-layer-norm", seed=1))
    assert not probe.fits(open_model(ModelChoice(device="cpu"))), "of another size"
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1e-6
    assert not probe.fits(model)


@pytest.mark.parametrize("damage", ["gone", "no json", "other shape", "no key", "no weights"])
def test_damaged_probe_is_refused(tmp_path, damage):
    probe_of(tiny_model("wav2vec2-layer-norm")).save(tmp_path)
    described = json.loads((tmp_path / DESCRIPTION).read_text())
    match damage:
        case "gone":
            (tmp_path / DESCRIPTION).unlink()
        case "no json":
            (tmp_path / DESCRIPTION).write_text("{")
        case "other shape":
            (tmp_path / DESCRIPTION).write_text(json.dumps({**described, "size": 5}))
        case "no key":
            (tmp_path / DESCRIPTION).write_text(json.dumps({"phones": ["aa"]}))
        case "no weights":
            (tmp_path / WEIGHTS).write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="no phone probe that can be read"):
        load_phone_probe(tmp_path)


def test_ablation_effect_has_posteriors_of_both_models():
    model = tiny_model("wav2vec2-layer-norm")
    probe = probe_of(model)
    ablation = Ablation(frozenset({(0, 1), (1, 0)}))
    read = ablation_effect(model, WAVEFORM, ablation, probe=probe).phones
    intact = model.encode([WAVEFORM], output_hidden_states=True).hidden_states
    ablated = model.encode([WAVEFORM], output_hidden_states=True, **ablation.arguments(model)).hidden_states
    np.testing.assert_allclose(read, [probe.log_posteriors(intact), probe.log_posteriors(ablated)], atol=1e-5)
    assert np.abs(read[0] - read[1]).max() > 1e-3
    assert ablation_effect(model, WAVEFORM, ablation).phones is None


def test_bundled_probe_fits_the_bundled_model(tmp_path):
    """Where this fails, the bundled model changed: run scripts/make_phone_probe.py."""
    probe = bundled_phone_probe()
    assert probe.fits(open_model(ModelChoice(device="cpu")))
    assert len(set(probe.phones)) == len(probe.phones) > 30
    page = (phone_probe_folder() / "README.md").read_text()
    assert "Zhang et al." in page
    for frames in ("all", "speech"):
        made = probe.made[f"strangers_{frames}"]
        assert made["low"] < made["accuracy"] < made["high"]
        assert made["low"] > made["constant"], "it knows more than one phone"
        assert f"{made['accuracy']:.1%}" in page
    size = sum(file.stat().st_size for file in phone_probe_folder().iterdir())
    assert size < 300_000
    shutil.copytree(phone_probe_folder(), tmp_path / "copy")
    assert load_phone_probe(tmp_path / "copy").model_digest == probe.model_digest
