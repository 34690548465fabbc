"""Attention maps in a page: resolution and accuracy."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from sat_probe.reports.example import make_example
from sat_probe.reports.page import content
from sat_probe.reports.spectrogram import average_blocks

FRAMES = 150


def example_of_maps(sparse: bool):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (3, 4, FRAMES, FRAMES), dtype=np.uint8)
    if sparse:  # a head that looks at few frames packs well
        codes[rng.random(codes.shape) < 0.98] = 0
    codes[..., 0, 0] = 255
    return make_example("u", np.zeros(800), 16_000, 0.02 * np.arange(FRAMES), codes, rng.random((3, 4)) + 0.1)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("budget", [10_000, 60_000, 10_000_000])
def test_maps_are_as_fine_as_the_budget_allows(monkeypatch, sparse, budget):
    monkeypatch.setattr(content, "MAPS_BUDGET", budget)
    example = example_of_maps(sparse)
    packed, scale, factor = content.packed_maps(example)
    finest = 1
    while len(gzip.compress(content._averaged(example, finest)[0].tobytes(), 1)) * 4 / 3 > budget:
        finest += 1
    side = -(-FRAMES // factor)
    assert factor == finest or side <= content.SMALLEST
    codes = np.frombuffer(gzip.decompress(packed), np.uint8).reshape(3, 4, side, side)
    for place in np.ndindex(3, 4):
        truth = average_blocks(example.weights(*place), factor)
        shown = (codes[place] / 255) ** 2 * scale[place]
        np.testing.assert_allclose(shown, truth, atol=0.005 * truth.max())
