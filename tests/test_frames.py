"""One rule for which frame belongs to which interval."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_probe.errors import ConfigurationError
from sat_probe.frames import FrameGrid, label_frames


def test_wav2vec2_frames_start_at_12_5_ms():
    grid = FrameGrid(hop=320, first_centre=200.0)
    np.testing.assert_allclose(grid.times(3), [0.0125, 0.0325, 0.0525])
    assert grid.hop_seconds == 0.02


@given(st.integers(1, 12), st.integers(1, 6), st.floats(-500, 500))
def test_upsampling_undoes_stacking(hop, factor, first):
    grid = FrameGrid(hop=hop, first_centre=first)
    back = grid.stacked(factor).upsampled(factor)
    assert back.hop == grid.hop
    assert back.first_centre == pytest.approx(first)


def test_a_stacked_frame_is_centred_on_its_middle():
    assert FrameGrid(160, 0.0).stacked(3) == FrameGrid(480, 160.0)
    assert FrameGrid(160, 0.0).stacked(2).first_centre == 80.0


def test_intervals_hold_their_start_and_not_their_end():
    labels = label_frames([100, 200, 400], [200, 300, 500], [7, 8, 9], [99.5, 100, 199.5, 200, 299, 300, 400, 500])
    assert labels.tolist() == [-1, 7, 7, 8, 8, -1, 9, -1]


def test_no_interval_labels_nothing():
    assert label_frames([], [], [], [1.0, 2.0]).tolist() == [-1, -1]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=8), st.lists(st.floats(-10, 400), max_size=20).map(sorted))
def test_labels_equal_a_loop(durations, centres):
    ends = np.cumsum(durations)
    starts = ends - durations
    expected = [next((i for i, (a, b) in enumerate(zip(starts, ends, strict=True)) if a <= c < b), -1) for c in centres]
    assert label_frames(starts, ends, range(len(starts)), centres).tolist() == expected


def test_nearest_frame_of_a_moment():
    grid = FrameGrid(hop=320, first_centre=200.0)
    assert grid.frame_at([0.0, 0.0125, 0.0225, 0.0324, 1.0]).tolist() == [0, 0, 1, 1, 49]


@pytest.mark.parametrize(("hop", "rate"), [(0, 16_000), (160, 0), (-1, 1)])
def test_impossible_grids_are_refused(hop, rate):
    with pytest.raises(ConfigurationError, match="must be positive"):
        FrameGrid(hop, 0.0, rate)


def test_a_hop_that_cannot_be_divided_is_refused():
    with pytest.raises(ConfigurationError, match="cannot be divided into 3"):
        FrameGrid(320, 0.0).upsampled(3)
