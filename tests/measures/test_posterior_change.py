"""Divergence of predictions, against a loop and its mathematical properties."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_probe.measures.posterior_change import changed, divergence, runs


def log_posteriors(seed: int, frames: int = 6, classes: int = 5):
    return np.log(np.random.default_rng(seed).dirichlet(np.full(classes, 0.3), frames) + 1e-300)


def test_divergence_against_a_loop():
    before, after = log_posteriors(0), log_posteriors(1)
    for frame, found in enumerate(divergence(before, after)):
        truth = sum(math.exp(p) * (p - q) for p, q in zip(before[frame], after[frame], strict=True) if math.exp(p) > 0)
        assert found == pytest.approx(truth)


@given(st.integers(0, 10_000))
def test_divergence_is_not_negative_and_zero_for_equal_predictions(seed):
    before, after = log_posteriors(seed), log_posteriors(seed + 1)
    assert (divergence(before, after) >= 0).all()
    np.testing.assert_array_equal(divergence(before, before), 0)
    assert not changed(before, before).any()
    np.testing.assert_array_equal(changed(before, after), changed(after, before))


@given(st.lists(st.integers(0, 3), max_size=30))
def test_runs_cover_all_frames_in_order(classes):
    found = runs(np.array(classes, dtype=np.int64))
    assert [code for start, end, code in found for _ in range(start, end)] == classes
    assert all(one[2] != other[2] for one, other in pairwise(found))
