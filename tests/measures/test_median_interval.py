"""The interval of a median covers it as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from sat_probe.measures.median_interval import median_interval


@pytest.mark.parametrize("count, ends", [(6, (1, 6)), (8, (1, 8)), (9, (2, 8)), (20, (6, 15))])
def test_ends_are_those_of_the_table_of_the_sign_test(count, ends):
    assert median_interval(np.arange(count, 0, -1)) == ((count + 1) / 2, *ends)


@pytest.mark.parametrize("count", [6, 11])
def test_it_covers_the_median_of_a_skewed_distribution(count):
    draws = np.random.default_rng(0).exponential(size=(2000, count))
    covered = [low <= np.log(2) <= high for _, low, high in map(median_interval, draws)]
    assert np.mean(covered) >= 0.94


@pytest.mark.parametrize("count", [0, 1, 5])
def test_few_values_have_no_interval(count):
    median, low, high = median_interval(np.arange(count))
    assert np.isnan([low, high]).all()
    assert np.isnan(median) == (count == 0)
