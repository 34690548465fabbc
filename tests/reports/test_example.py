"""The utterance that a report keeps with all its maps."""

from __future__ import annotations

import numpy as np
import pytest

from sat_probe.errors import ReportError
from sat_probe.reports.example import load_example, make_example, save_example


def example():
    rng = np.random.default_rng(0)
    attention = rng.dirichlet(np.full(20, 0.2), (2, 3, 20)).astype(np.float32)
    waveform = 0.5 * np.sin(np.arange(6400) / 7)
    made = make_example(
        "spk/é<b>", waveform, 16_000, 0.02 * np.arange(20), attention, [(0.0, 0.2, "sil"), (0.2, 0.4, "aa")]
    )
    return made, attention, waveform


def test_eight_bits_keep_the_weights():
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


def test_a_silent_head_and_wrong_shapes():
    zero = make_example("u", np.zeros(800), 16_000, [0.0, 0.02], np.zeros((1, 1, 2, 2)))
    assert not zero.weights(0, 0).any()
    with pytest.raises(ReportError, match=r"u: attention must be \(layers, heads, 3, 3\)"):
        make_example("u", np.zeros(800), 16_000, [0.0, 0.02, 0.04], np.zeros((1, 1, 2, 2)))
    with pytest.raises(ReportError, match="negative or not finite"):
        make_example("u", np.zeros(800), 16_000, [0.0], np.full((1, 1, 1, 1), np.nan))
