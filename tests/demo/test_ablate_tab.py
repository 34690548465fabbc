"""The Ablate tab: heads that are off are a head mask, and the effect shown is that of the study."""

from __future__ import annotations

import base64
import io
import re

import gradio as gr
import numpy as np
import pytest
import soundfile
import torch

from sat_probe.demo.ablate import tab as ablate_tab
from sat_probe.demo.ablate.tab import grid_html, heads_off
from sat_probe.demo.clips import example_clip, examples
from sat_probe.demo.session import Session
from sat_probe.errors import ConfigurationError, ModelError
from sat_probe.studies.ablation_effect import ablation_effect
from sat_probe.studies.choices import ModelChoice
from sat_probe.studies.inputs import open_model
from sat_probe.studies.probing.features import Ablation
from sat_probe.studies.probing.reconstruction import pretraining_head
from tests.models.tiny_models import tiny_model

DROP, MASK = ablate_tab.MODES


@pytest.fixture(scope="module")
def clip():
    return example_clip(next(iter(examples())))


def sent(*off):
    return gr.EventData(None, {"off": [list(head) for head in off]})


def test_the_change_of_hidden_states_is_that_of_a_head_mask(clip):
    model = open_model(ModelChoice(device="cpu"))
    mask = torch.ones(model.num_probed_layers, model.num_probed_heads)
    mask[1, 2] = mask[3, 0] = 0
    intact = model.encode([clip.waveform], output_hidden_states=True).hidden_states
    changed = model.encode([clip.waveform], output_hidden_states=True, head_mask=mask).hidden_states
    head = pretraining_head(model)
    effect = ablation_effect(model, clip.waveform, Ablation(frozenset({(1, 2), (3, 0)})), head)
    expected = [float((b - a).norm() / a.norm()) for a, b in zip(intact, changed, strict=True)]
    np.testing.assert_allclose(effect.relative_change, expected, rtol=1e-4, atol=1e-12)
    assert effect.relative_change[:2].max() == 0, "nothing changes before the first head that is off"
    assert effect.relative_change[2:].min() > 0
    np.testing.assert_allclose(effect.cosine[:2], 1)
    with torch.no_grad():
        rows = head(changed[-1][0]).reshape(-1, model.config.target_size)
    np.testing.assert_allclose(effect.changed, rows, atol=1e-5)
    intact_error, changed_error = effect.errors()
    truth = model.preprocessor.extract(clip.waveform)[: len(rows)]
    assert changed_error == pytest.approx(np.abs(rows.numpy() - truth).mean(), rel=1e-5)
    assert intact_error < np.abs(truth).mean(), "a trained model reconstructs better than silence does"


def test_the_tab_shows_and_plays_what_the_study_says(clip):
    session = Session(clip)
    off = frozenset({(0, 0), (0, 1)})
    shown = ablate_tab.ablate(session, off, 12, DROP)
    assert "2 heads off and span ± 12 frames" in shown
    model = open_model(ModelChoice(device="cpu"))
    effect = ablation_effect(model, clip.waveform, Ablation(off, 12, "zero"), pretraining_head(model))
    intact, changed = effect.errors()
    assert f"{intact:.3f} with all heads, {changed:.3f} after the ablation" in shown
    sounds = [
        soundfile.read(io.BytesIO(base64.b64decode(data)))[0]
        for data in re.findall(r'src="data:audio/wav;base64,([^"]+)"', shown)
    ]
    assert len(sounds) == 3
    np.testing.assert_allclose(sounds[0], clip.waveform, atol=1e-4)
    assert np.abs(sounds[1] - sounds[2]).max() > 1e-3
    assert shown.count('role="img" aria-label="') == 3  # spectrograms, phones, layers
    assert shown.count("<audio controls") == shown.count("aria-label") - 3


def test_the_two_meanings_of_a_span_differ(clip):
    session = Session(clip)
    errors = {
        mode: re.search(r"([\d.]+) after the ablation", ablate_tab.ablate(session, frozenset(), 1, mode))[1]
        for mode in (DROP, MASK)
    }
    assert errors[DROP] != errors[MASK]
    with pytest.raises(ConfigurationError, match="no such way"):
        ablate_tab.ablate(session, frozenset(), 1, "something else")


def test_without_heads_off_and_limit_nothing_is_computed(clip):
    session = Session(clip)
    assert ablate_tab.ablate(session, frozenset(), ablate_tab.WIDEST, DROP) == ablate_tab.ASK


def test_the_grid_is_checked_against_the_model(clip):
    session = Session(label="mine", analyzed_heads=(("global", None), ("diagonal", "global")))
    assert heads_off(sent((0, 0), (1, 0)), session) == {(0, 0), (1, 0)}
    assert heads_off(sent(), session) == frozenset()
    for event, message in (
        (sent((2, 0)), "mine has no head 0 in layer 2"),
        (sent((0, 9)), "mine has no head 9 in layer 0"),
        (sent((0, 1)), "head 1 of layer 0 was removed from mine"),
        (sent((0,)), "no list of heads"),
        (sent(("0", 1)), "no list of heads"),
        (gr.EventData(None, {"off": "all"}), "no list of heads"),
        (gr.EventData(None, {}), "no list of heads"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            heads_off(event, session)
    off, shown = ablate_tab.switch_heads(Session(), ablate_tab.WIDEST, DROP, sent((0, 0)))
    assert off == {(0, 0)}
    assert "1 head off" in shown


def test_the_grid_names_every_head():
    grid = grid_html((("global", "vertical"), ("diagonal", "global")))
    labels = re.findall(r'aria-label="(Switch off [^"]+)"', grid)
    assert labels[0] == "Switch off layer 1, head 0, diagonal", "the last layer is at the top"
    assert len(labels) == 4
    assert re.findall(r">([GVD])</button>", grid) == ["D", "G", "G", "V"]


def test_a_model_without_its_own_head_shows_layers_alone(clip):
    model = tiny_model("wav2vec2-layer-norm")
    assert pretraining_head(model) is None
    effect = ablation_effect(model, clip.waveform[:16_000], Ablation(frozenset({(0, 0)})))
    assert effect.errors() is None
    assert effect.relative_change[0] == 0
    assert effect.relative_change[1:].min() > 0
    with pytest.raises(ModelError, match="no head 99 in layer 0"):
        ablation_effect(model, clip.waveform[:16_000], Ablation(frozenset({(0, 99)})))
