"""One recording: its maps are the model's, and the head shown first is the most diagonal one."""

from __future__ import annotations

import numpy as np
import pytest

from sat_probe.models.attention import blocks as attention_blocks
from sat_probe.studies.utterance_analysis import analyze_utterance, head_boundaries, map_boundaries
from tests.models.tiny_models import tiny_model

WAVEFORM = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)


@pytest.mark.parametrize("elements", [384 * 1024, 40 * 49])  # maps in one block, and rows in several
def test_all_maps_are_kept_and_one_as_it_was(monkeypatch, elements):
    monkeypatch.setattr(attention_blocks, "_BLOCK_ELEMENTS", elements)
    model = tiny_model("wav2vec2-layer-norm")
    report, (layer, head), weights = analyze_utterance(model, WAVEFORM)
    maps = model.encode([WAVEFORM], output_attentions=True).attentions
    assert report.example.maps.shape == (len(maps), *maps[0].shape[1:])
    for place in np.ndindex(report.example.scale.shape):
        truth = maps[place[0]][0, place[1]].numpy()
        np.testing.assert_allclose(report.example.weights(*place), truth, atol=0.004 * truth.max())
    np.testing.assert_allclose(weights, maps[layer][0, head], atol=1e-6)
    clearest = report.heads.loc[report.heads["diagonality"].idxmax()]
    assert (layer, head) == (clearest["layer"], clearest["head"])
    expected = head_boundaries(model, WAVEFORM, layer, head, 0.5, 1.0)
    np.testing.assert_array_equal(map_boundaries(model, weights, 0.5, 1.0), expected)
