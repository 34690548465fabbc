from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sat_probe.errors import ConfigurationError
from sat_probe.measures.boundaries.kernel_gram import (
    curve_minima,
    distances,
    filtered_matrix,
    minima_by_row,
    score_curve,
    score_curves,
    segment,
)
from tests.reference import curve_minima_slow, kernel_gram_curve_slow

ALPHAS, BETAS = (0.3, 1.0, 4.0), (0.5, 1.0, 1.1, 2.0)


def steps(seed, frames=40, dimensions=5, noise=0.2):
    """Features that stay near one value for a few frames, then jump."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(frames, dimensions))[np.cumsum(rng.random(frames) < 0.2)]
    return values + noise * rng.normal(size=values.shape)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("factor", [1, 3])
def test_curves_equal_the_loops(seed, factor):
    features = steps(seed, frames=13)
    curves = score_curves(distances(features), ALPHAS, BETAS, factor)
    assert curves.shape == (len(ALPHAS), len(BETAS), 13 * factor)
    for a, alpha in enumerate(ALPHAS):
        for b, beta in enumerate(BETAS):
            expected = kernel_gram_curve_slow(features, alpha, beta, factor)
            np.testing.assert_array_equal(curves[a, b], expected)
            np.testing.assert_array_equal(curve_minima(curves[a, b]), curve_minima_slow(expected))


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("beta", BETAS)
def test_curves_equal_the_matrices(alpha, beta):
    features = steps(7, frames=90)
    filtered = filtered_matrix(np.exp(-distances(features) / alpha), beta)
    curve = score_curve(filtered)
    assert curve.max() > 0
    np.testing.assert_array_equal(score_curves(distances(features), [alpha], [beta])[0, 0], curve)
    np.testing.assert_array_equal(segment(features, alpha, beta), curve_minima(curve))


def test_runs_longer_than_the_first_band():
    features = np.repeat([[0.0], [5.0]], 120, axis=0)
    curve = score_curves(distances(features), [1.0], [0.5])[0, 0]
    np.testing.assert_array_equal(curve, score_curve(filtered_matrix(np.exp(-distances(features)), 0.5)))
    # the runs of both halves end at the step: the curve falls towards it from both sides
    assert segment(features, 1.0, 0.5).tolist() == [119.5]


@given(arrays(np.int64, st.tuples(st.integers(1, 3), st.integers(1, 12)), elements=st.integers(0, 3)))
def test_minima_equal_the_loop(curves):
    for found, curve in zip(minima_by_row(curves), curves, strict=True):
        np.testing.assert_array_equal(found, curve_minima_slow(curve))


def test_plateaus_by_hand():
    assert curve_minima([3, 1, 1, 2, 2, 3, 0, 4]).tolist() == [1.5, 6.0]
    # falling to the edge, or flat, is no minimum
    assert curve_minima([3, 2, 1]).size == curve_minima([0, 0, 1]).size == curve_minima([5, 5]).size == 0


@settings(max_examples=30)
@given(arrays(np.float64, (7, 3), elements=st.floats(-100, 100)), st.floats(-1e4, 1e4))
def test_distances(features, offset):
    expected = np.linalg.norm(features[:, None] - features[None], axis=-1)
    np.testing.assert_allclose(distances(features + offset), expected, atol=1e-4)
    batch = distances(np.stack([features, -features]))
    np.testing.assert_allclose(batch[0], batch[1], atol=1e-12)


def test_scale_of_features_and_alpha_cancel():
    features = steps(3)
    np.testing.assert_array_equal(
        score_curves(distances(8 * features), [8.0], BETAS), score_curves(distances(features), [1.0], BETAS)
    )


@pytest.mark.parametrize("name", ["alpha", "beta"])
@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf])
def test_parameters_are_checked(name, value):
    with pytest.raises(ConfigurationError, match="must be positive and finite"):
        segment(np.eye(3), **{"alpha": 1.0, "beta": 1.0, name: value})


@pytest.mark.parametrize("features", [np.zeros(3), np.zeros((0, 3)), np.full((3, 2), np.nan)])
def test_features_are_checked(features):
    with pytest.raises(ConfigurationError, match="finite matrix"):
        distances(features)
