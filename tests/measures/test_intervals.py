"""Intervals: differences of scores against a loop over resampled corpora, and medians."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sat_probe.errors import ReportError
from sat_probe.measures.intervals import median_interval, paired_difference


def counted(utterances=12, points=1, seed=0):
    """Items of each utterance, and how many of them each of two sides gets right at each point."""
    rng = np.random.default_rng(seed)
    items = rng.integers(1, 40, utterances)
    first, second = (rng.binomial(items[:, None], share, (utterances, points)) for share in (0.7, 0.5))
    return first, second, items


@pytest.mark.parametrize("points", [1, 3])
def test_against_a_loop_over_resampled_corpora(points):
    first, second, items = counted(points=points)
    value, low, high = paired_difference(first, second, items, replicates=300, seed=3)

    def score(side, chosen):
        return np.mean([side[chosen, point].sum() / items[chosen].sum() for point in range(points)])

    draws = np.random.default_rng(3).multinomial(12, np.full(12, 1 / 12), 300)
    slow = []
    for draw in draws:
        chosen = np.repeat(np.arange(12), draw)
        slow.append(score(first, chosen) - score(second, chosen))
    everything = np.arange(12)
    assert value == pytest.approx(score(first, everything) - score(second, everything))
    assert (low, high) == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])))


def test_difficulty_that_both_sides_share_cancels():
    """A steady lead on utterances that differ widely is sure, though the scores themselves are not."""
    rng = np.random.default_rng(0)
    items = np.full(30, 100.0)
    second = rng.uniform(0, 90, 30)
    assert paired_difference(second + 2, second, items) == pytest.approx((0.02, 0.02, 0.02))
    shuffled = paired_difference(second + 2, rng.permutation(second), items)
    assert shuffled[1] < 0 < shuffled[2]


def test_the_interval_of_a_mean_is_the_normal_one():
    first = np.random.default_rng(1).normal(0.1, 1.0, 400)
    value, low, high = paired_difference(first, np.zeros(400), np.ones(400), replicates=4000)
    assert value == pytest.approx(first.mean())
    assert high - low == pytest.approx(2 * 1.96 * first.std() / 20, rel=0.1)


def test_relative_to_the_second_side():
    intact, changed = np.array([10.0, 20.0, 30.0]), np.array([11.0, 22.0, 33.0])
    assert paired_difference(changed, intact, intact) == pytest.approx((0.1, 0.1, 0.1))


totals = arrays(np.float64, (7, 2), elements=st.floats(0, 1e6, width=32))


@given(totals, totals, arrays(np.int64, 7, elements=st.integers(0, 50)), st.integers(0, 5))
def test_the_same_points_differ_by_nothing_and_sides_can_be_swapped(first, second, items, seed):
    same = paired_difference(first, first.copy(), items, seed=seed, replicates=50)
    assert set(same) <= {0.0} if items.sum() else np.isnan(same[0])
    value, low, high = paired_difference(first, second, items, seed=seed, replicates=50)
    swapped = paired_difference(second, first, items, seed=seed, replicates=50)
    np.testing.assert_allclose(swapped, (-value, -high, -low), rtol=1e-9, atol=1e-9)


@given(totals, arrays(np.int64, 7, elements=st.integers(1, 50)), st.permutations(range(2)))
def test_the_order_of_points_does_not_matter(first, items, order):
    value = paired_difference(first, first[:, :1], items, replicates=50)
    again = paired_difference(first[:, order], first[:, :1], items, replicates=50)
    np.testing.assert_allclose(value, again, rtol=1e-9, atol=1e-6)


def test_without_items_all_is_nan():
    value, low, high = paired_difference([3], [1], [4])
    assert value == 0.5
    assert np.isnan([low, high]).all()
    assert np.isnan(paired_difference([0, 0], [0, 0], [0, 0])).all()


@pytest.mark.parametrize("first", [[1, 2], np.zeros((3, 0)), np.zeros((3, 1, 1))])
def test_other_utterances_are_refused(first):
    with pytest.raises(ReportError, match=r"totals must be \(utterances,\) or \(utterances, points\) of 3"):
        paired_difference(first, [1, 2, 3], [1, 1, 1])


@pytest.mark.parametrize("count, ends", [(6, (1, 6)), (8, (1, 8)), (9, (2, 8)), (20, (6, 15))])
def test_ends_of_the_median_are_those_of_the_sign_test(count, ends):
    assert median_interval(np.arange(count, 0, -1)) == ((count + 1) / 2, *ends)


@pytest.mark.parametrize("count", [6, 11])
def test_the_interval_covers_the_median_of_a_skewed_distribution(count):
    draws = np.random.default_rng(0).exponential(size=(2000, count))
    covered = [low <= np.log(2) <= high for _, low, high in map(median_interval, draws)]
    assert np.mean(covered) >= 0.94


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_values_have_no_interval_of_the_median(count):
    median, low, high = median_interval(np.arange(count))
    assert np.isnan([low, high]).all()
    assert np.isnan(median) == (count == 0)
