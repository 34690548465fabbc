"""The example utterance of a report: packing, segmentation, files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile

from sat_probe.errors import ReportError
from sat_probe.measures.boundaries.kernel_gram import distances, segment
from sat_probe.reports.example import load_example, save_example
from sat_probe.studies.example_utterance import segmented_example
from tests.reports.examples import example_of_weights


def example():
    rng = np.random.default_rng(0)
    attention = rng.dirichlet(np.full(20, 0.2), (2, 3, 20)).astype(np.float32)
    waveform = 0.5 * np.sin(np.arange(6400) / 7)
    made = example_of_weights(
        "spk/é<b>", waveform, 16_000, 0.02 * np.arange(20), attention, [(0.0, 0.2, "sil"), (0.2, 0.4, "aa")]
    )
    return made, attention, waveform


def test_weights_survive_8_bits():
    made, attention, waveform = example()
    assert made.maps.dtype == np.uint8
    for layer, head in np.ndindex(2, 3):
        truth = attention[layer, head]
        np.testing.assert_allclose(made.weights(layer, head), truth, atol=0.004 * truth.max())
    assert made.sampling_rate == 16_000
    np.testing.assert_allclose(made.waveform, waveform, atol=2**-14)


def test_it_survives_the_disk(tmp_path):
    made, _, _ = example()
    paths = save_example(made, tmp_path)
    assert [path.name for path in paths] == ["example.npz", "example.flac"]
    loaded = load_example(tmp_path)
    assert made.equals(loaded)
    assert loaded.phones == ((0.0, 0.2, "sil"), (0.2, 0.4, "aa"))
    assert load_example(tmp_path / "nowhere") is None
    paths[0].write_bytes(b"PK")
    with pytest.raises(ReportError, match=r"example\.npz: not an example of a head report"):
        load_example(tmp_path)


def segmented():
    made, _, _ = example()
    table = pd.DataFrame({"source": ["mfcc", "attention", "attention"], "layer": [None, 1, 0], "head": [None, 2, 1]})
    table = table.assign(alpha=0.5, beta=1.2).astype({"layer": "Int64", "head": "Int64"})
    return segmented_example(made, table, {"upsampling_factor": 2, "attention_features": "rows"})


def test_the_study_segments_the_example(tmp_path):
    made = segmented()
    assert set(made.boundaries) == {(1, 2), (0, 1)}
    assert made.segmented.head == (1, 2), "the best head, which stands first"
    assert made.segmented.similarity.shape == (40, 40), "twice as many frames"
    weights = np.repeat(np.repeat(made.weights(1, 2), 2, axis=0), 2, axis=1) / 2
    minima = segment(weights, 0.5 * distances(weights).mean(), 1.2)
    np.testing.assert_allclose(made.boundaries[1, 2], made.segmented.times[0] + 0.01 * minima)
    save_example(made, tmp_path)
    loaded = load_example(tmp_path)
    assert loaded.equals(made)
    assert not loaded.equals(example()[0])
    assert loaded.segmented.filtered.dtype == bool


def test_without_the_head_there_are_no_boundaries():
    made = segmented()
    absent = replace(made, scale=np.full((2, 3), np.nan, np.float32))
    table = pd.DataFrame({"source": ["attention"], "layer": [1], "head": [2], "alpha": 0.5, "beta": 1.2})
    again = segmented_example(absent, table, {})
    assert again.boundaries == {}
    assert again.segmented is None
    assert segmented_example(None, table, {}) is None
    with pytest.raises(ReportError, match="boundaries of a head that the model does not have"):
        replace(made, boundaries={(2, 0): np.zeros(0)})


def test_examples_of_older_versions_load_without_boundaries(tmp_path):
    made, _, _ = example()
    described = {"id": "old", "sampling_rate": 16_000, "phones": [[0.0, 0.2, "sil"]]}
    np.savez_compressed(
        tmp_path / "example.npz",
        maps=made.maps,
        scale=made.scale,
        times=made.times,
        described=np.frombuffer(json.dumps(described).encode(), dtype=np.uint8),
    )
    soundfile.write(tmp_path / "example.flac", made.samples, 16_000, subtype="PCM_16")
    loaded = load_example(tmp_path)
    assert (loaded.id, loaded.phones, dict(loaded.boundaries)) == ("old", ((0.0, 0.2, "sil"),), {})
    np.testing.assert_array_equal(loaded.samples, made.samples)
    np.testing.assert_array_equal(loaded.maps, made.maps)


@pytest.mark.parametrize(
    "damage",
    [
        lambda arrays: arrays.pop("scale"),
        lambda arrays: arrays.update(maps=arrays["maps"][..., :3]),
        lambda arrays: arrays.update(maps=arrays["maps"].astype(float)),
        lambda arrays: arrays.update(scale=np.full((2, 3), np.inf)),
        lambda arrays: arrays.update(described=np.frombuffer(b"[]", np.uint8)),
        lambda arrays: arrays.update(described=np.frombuffer(b'{"id": "u", "phones": [[0]]}', np.uint8)),
    ],
)
def test_damaged_examples_are_one_line(tmp_path, damage):
    save_example(example()[0], tmp_path)
    with np.load(tmp_path / "example.npz") as stored:
        arrays = dict(stored)
    damage(arrays)
    np.savez_compressed(tmp_path / "example.npz", **arrays)
    with pytest.raises(ReportError, match=r"example\.npz: not an example of a head report") as caught:
        load_example(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_silent_head_and_wrong_shapes():
    zero = example_of_weights("u", np.zeros(800), 16_000, [0.0, 0.02], np.zeros((1, 1, 2, 2)))
    assert not zero.weights(0, 0).any()
    with pytest.raises(ReportError, match=r"u: attention must be \(layers, heads, 3, 3\)"):
        example_of_weights("u", np.zeros(800), 16_000, [0.0, 0.02, 0.04], np.zeros((1, 1, 2, 2)))
    with pytest.raises(ReportError, match="negative or not finite"):
        example_of_weights("u", np.zeros(800), 16_000, [0.0], np.full((1, 1, 1, 1), np.nan))
