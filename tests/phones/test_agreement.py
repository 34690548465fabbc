"""Agreement of two alignments, with shared boundaries worked out by hand."""

from __future__ import annotations

import numpy as np

from benchmarks.agreement import boundary_errors, count_boundaries, with_whole_stops
from sat_probe.phones.alignment import Alignment
from sat_probe.phones.phone_set import phone_set

TIMIT, ARPABET = phone_set("timit-39"), phone_set("arpabet-39")


def alignment(*rows):
    """Rows are (label, length in units of 160 samples, 10 ms)."""
    edges = np.cumsum([0, *(length * 160 for _, length in rows)])
    return Alignment("u", edges[:-1], edges[1:], tuple(label for label, _ in rows))


def test_closures_join_only_their_bursts():
    joined = with_whole_stops(
        alignment(("h#", 2), ("tcl", 3), ("t", 1), ("kcl", 2), ("dcl", 1), ("jh", 2), ("bcl", 1), ("s", 1))
    )
    assert joined.labels == ("h#", "t", "k", "jh", "b", "s")
    assert (joined.starts // 160).tolist() == [0, 2, 6, 8, 11, 12]


def test_errors_are_signed_seconds_at_shared_boundaries():
    reference = alignment(("h#", 10), ("s", 5), ("iy", 5), ("h#", 10))
    predicted = alignment(("sil", 11), ("S", 2), ("IY1", 7), ("sil", 10))
    np.testing.assert_allclose(boundary_errors(reference, TIMIT, predicted, ARPABET), [0.01, -0.02, 0.0], atol=1e-12)
    assert count_boundaries(reference, TIMIT) == 3


def test_boundaries_next_to_a_missing_phone_are_not_shared():
    reference = alignment(("h#", 10), ("ix", 5), ("n", 5), ("h#", 10))
    predicted = alignment(("sil", 10), ("N", 10), ("sil", 10))
    np.testing.assert_allclose(boundary_errors(reference, TIMIT, predicted, ARPABET), [0.0], atol=1e-12)


def test_substitution_within_a_natural_class_is_preferred():
    # AE stands for the vowel, not for the fricative next to it
    reference = alignment(("h#", 10), ("s", 4), ("ix", 6), ("h#", 10))
    predicted = alignment(("sil", 14), ("AE0", 6), ("sil", 10))
    np.testing.assert_allclose(boundary_errors(reference, TIMIT, predicted, ARPABET), [0.0], atol=1e-12)


def test_neighbours_of_the_same_phone_are_merged():
    reference = alignment(("h#", 5), ("pau", 5), ("s", 10))
    assert count_boundaries(reference, TIMIT) == 1
    assert boundary_errors(reference, TIMIT, reference, TIMIT).tolist() == [0.0]
