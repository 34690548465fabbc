from __future__ import annotations

import numpy as np
import pytest

from sat_probe.errors import ConfigurationError
from sat_probe.measures.boundaries.attention_features import (
    attention_features,
    average_shifted,
    upsampled_map,
    upsampled_states,
)
from sat_probe.measures.boundaries.kernel_gram import distances


def attention(frames, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(frames), size=frames)


def test_upsampled_rows_still_sum_to_one():
    weights = attention(4)
    upsampled = upsampled_map(weights, 3)
    np.testing.assert_allclose(upsampled.sum(axis=1), 1)
    np.testing.assert_allclose(upsampled[3:6, 6:9], weights[1, 2] / 3)
    assert upsampled_states(weights, 3).tolist() == [row for row in weights.tolist() for _ in range(3)]


def test_distances_of_upsampled_maps_are_those_of_the_maps_scaled():
    # why the study may compare rows at the model's own rate
    weights = attention(5)
    expected = distances(weights).repeat(3, axis=0).repeat(3, axis=1) / np.sqrt(3)
    np.testing.assert_allclose(distances(upsampled_map(weights, 3)), expected, atol=1e-7)


def test_columns_are_attention_to_a_frame():
    weights = np.stack([attention(3), attention(3, 1)])
    assert attention_features(weights, "rows").tolist() == weights.tolist()
    both = attention_features(weights, "rows_and_columns")
    assert both.shape == (2, 3, 6)
    np.testing.assert_array_equal(both[1, 0, 3:], weights[1, :, 0])
    with pytest.raises(ConfigurationError, match="unknown attention features 'columns'"):
        attention_features(weights, "columns")


def test_shifted_maps_are_averaged():
    whole = attention(6)
    # the same map seen from one frame later has lost its first frame
    averaged = average_shifted([whole, whole[1:, 1:]], 6, axes=2)
    np.testing.assert_allclose(averaged[1:, 1:], whole[1:, 1:])
    np.testing.assert_allclose(averaged[0, 1:], (whole[0, 1:] + whole[1, 1:]) / 2)


def test_shifted_states_of_different_length():
    states = np.arange(4.0)[:, None]
    averaged = average_shifted([states, states[1:3]], 4, axes=1)
    assert averaged[:, 0].tolist() == [0.5, 1.0, 2.0, 2.5]
