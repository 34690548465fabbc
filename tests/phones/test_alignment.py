"""Alignments: errors, and labels and boundaries worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sat_probe.errors import AlignmentError
from sat_probe.frames import FrameGrid
from sat_probe.phones.alignment import Alignment
from sat_probe.phones.phone_set import phone_set


def alignment(*segments, duration=None):
    starts, ends, labels = zip(*segments, strict=True)
    return Alignment("spk-1", starts, ends, labels, duration=duration)


SPOKEN = alignment((0, 320, "h#"), (320, 800, "b"), (800, 1000, "q"), (1000, 1600, "ao"), (1600, 1920, "pau"))


def test_boundaries_in_seconds():
    np.testing.assert_array_equal(SPOKEN.boundaries(), np.array([320, 800, 1000, 1600]) / 16_000)
    np.testing.assert_array_equal(SPOKEN.boundaries(edges=True), np.array([0, 320, 800, 1000, 1600, 1920]) / 16_000)
    gappy = alignment((0, 100, "b"), (150, 200, "d"))
    np.testing.assert_array_equal(gappy.boundaries(), np.array([100, 150]) / 16_000)


def test_folding_deletes_q_and_keeps_segments():
    folded = SPOKEN.folded(phone_set("timit-39"))
    assert folded.labels == ("sil", "b", "aa", "sil")
    assert folded.starts.tolist() == [0, 320, 1000, 1600]


def test_merging_joins_adjacent_segments():
    merged = alignment((0, 5, "sil"), (5, 9, "sil"), (9, 12, "b"), (13, 20, "b")).merged()
    assert merged.labels == ("sil", "b", "b")
    assert merged.starts.tolist() == [0, 9, 13]
    assert merged.ends.tolist() == [9, 12, 20]


def test_frame_labels_follow_the_centre_and_leave_q_unlabelled():
    grid = FrameGrid(hop=160, first_centre=160.0)
    phones = phone_set("timit-39")
    names = [phones.phones[i] if i >= 0 else None for i in SPOKEN.frame_labels(phones, grid, 13)]
    # centres 160, 320, ..., 2080: a centre on an edge belongs to the segment that starts there
    assert names == ["sil", "b", "b", "b", None, None, "aa", "aa", "aa", "sil", "sil", None, None]


def test_frame_labels_at_another_rate_are_refused():
    with pytest.raises(AlignmentError, match=r"spk-1: .*16000 Hz samples, the frames 8000 Hz"):
        SPOKEN.frame_labels(phone_set("timit-39"), FrameGrid(80, 0.0, 8_000), 3)


def test_unknown_label_names_the_utterance():
    with pytest.raises(AlignmentError, match="spk-1: 'xx'"):
        alignment((0, 10, "xx")).folded(phone_set("timit-39"))


@pytest.mark.parametrize(
    ("segments", "duration", "message"),
    [
        ([(0, 10, "b"), (9, 20, "d")], None, r"spk-1: segment 2, 'd' starts .* overlap"),
        ([(0, 10, "b"), (10, 10, "d")], None, r"segment 2, 'd' ends at 0.0006 s, not after its start"),
        ([(-5, 10, "b")], None, "before the audio"),
        ([(0, 20_000, "b")], 16_000, "ends at 1.2500 s, but the audio is 1.0000 s long"),
    ],
)
def test_malformed_segments_are_refused(segments, duration, message):
    with pytest.raises(AlignmentError, match=message):
        alignment(*segments, duration=duration)


def test_an_end_up_to_a_tenth_of_a_second_late_is_accepted():
    assert len(alignment((0, 17_600, "b"), duration=16_000)) == 1


def test_arrays_of_different_length_and_no_segment_are_refused():
    with pytest.raises(AlignmentError, match="2 starts, 1 ends and 1 labels"):
        Alignment("u", [0, 1], [1], ("b",))
    with pytest.raises(AlignmentError, match="no segment"):
        Alignment("u", [], [], ())


def test_input_is_copied_and_the_copy_read_only():
    starts = np.array([0, 10])
    kept = Alignment("u", starts, [10, 20], ("b", "d"))
    starts[0] = 5
    assert kept.starts.tolist() == [0, 10]
    with pytest.raises(ValueError, match="read-only"):
        kept.starts[0] = 1


class TestFromSeconds:
    def test_gap_policies(self):
        arguments = ("u", [0.1, 0.3], [0.2, 0.4], ["AA1", "B"])
        with pytest.raises(
            AlignmentError, match=r"segment 2, 'B' starts at 0.3000 s, after the end of 'AA1' at 0.2000 s"
        ):
            Alignment.from_seconds(*arguments, gaps="refuse")
        assert Alignment.from_seconds(*arguments, gaps="unlabelled").labels == ("AA1", "B")
        filled = Alignment.from_seconds(*arguments, gaps="silence", duration=8_000)
        assert filled.labels == ("sil", "AA1", "sil", "B", "sil")
        assert filled.starts.tolist() == [0, 1600, 3200, 4800, 6400]
        assert filled.ends[-1] == 8_000

    def test_rounded_boundaries_meet(self):
        kept = Alignment.from_seconds("u", [0, 0.333], [0.3334, 0.5], ["AA1", "B"], gaps="refuse")
        assert kept.ends[0] == kept.starts[1] == round(0.333 * 16_000)

    def test_overlap_and_nan_are_refused(self):
        with pytest.raises(AlignmentError, match="overlap"):
            Alignment.from_seconds("u", [0, 0.3], [0.4, 0.5], ["AA1", "B"], gaps="unlabelled")
        with pytest.raises(AlignmentError, match="NaN"):
            Alignment.from_seconds("u", [0, float("nan")], [0.4, 0.5], ["AA1", "B"], gaps="unlabelled")
