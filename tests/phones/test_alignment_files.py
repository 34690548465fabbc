""".phn and CTM files: round trips, and errors with file and line."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_probe.errors import AlignmentError
from sat_probe.phones.alignment import Alignment
from sat_probe.phones.phone_set import phone_set
from sat_probe.phones.readers.phn_ctm import read_ctm, read_phn

segments = st.lists(
    st.tuples(st.integers(1, 10**6), st.sampled_from(phone_set("timit-61").phones)), min_size=1, max_size=20
)


@settings(max_examples=40, deadline=None)
@given(segments)
def test_phn_round_trip_is_exact(tmp_path_factory, steps):
    edges = np.cumsum([0, *(length for length, _ in steps)])
    alignment = Alignment("u", edges[:-1], edges[1:], tuple(label for _, label in steps))
    path = tmp_path_factory.mktemp("t") / "u.phn"
    rows = zip(alignment.starts, alignment.ends, alignment.labels, strict=True)
    path.write_text("".join(f"{start} {end} {label}\n" for start, end, label in rows))
    assert read_phn(path, "u") == alignment


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "0 100 h#\n90 200 b\n",
            r"line 2: 'b' starts at sample 90, before the end of 'h#' at sample 100: the segments overlap",
        ),
        (
            "0 100 h#\n\n110 200 b\n",
            r"line 3: 'b' starts at sample 110, after the end of 'h#' at sample 100: the segments leave a gap",
        ),
        ("0 100 h#\n100 100 b\n", r"line 2: 'b' ends at sample 100, not after its start at sample 100"),
        ("0 100 h#\n100 0.5 b\n", r"line 2: expected 'start end label' with times in samples, found '100 0.5 b'"),
        ("0 100\n", r"line 1: expected 'start end label'"),
        ("", "holds no segment"),
    ],
)
def test_malformed_phn_is_refused(tmp_path, lines, message):
    path = tmp_path / "u.phn"
    path.write_text(lines)
    with pytest.raises(AlignmentError, match=rf"u\.phn.*{message}"):
        read_phn(path)


def test_gaps_option_of_phn(tmp_path):
    path = tmp_path / "u.phn"
    path.write_text("0 100 sh\n200 300 iy\n")
    assert read_phn(path, "u", gaps="unlabelled").labels == ("sh", "iy")
    filled = read_phn(path, "u", gaps="silence", duration=400)
    assert (filled.labels, filled.starts.tolist()) == (("sh", "sil", "iy", "sil"), [0, 100, 200, 300])
    path.write_text("0 100 sh\n90 300 iy\n")
    with pytest.raises(AlignmentError, match="the segments overlap"):
        read_phn(path, "u", gaps="silence")


def test_phn_beyond_the_audio_is_refused(tmp_path):
    path = tmp_path / "u.phn"
    path.write_text("0 100 h#\n100 4000 b\n")
    with pytest.raises(AlignmentError, match=r"spk-1: 'b' ends at 0.2500 s, but the audio is 0.1000 s long"):
        read_phn(path, "spk-1", duration=1600)


CTM = """;; utterance channel start duration label confidence
a 1 0.00 0.10 SIL
b 1 0.00 0.30 SIL 0.9
a 1 0.10 0.05 AH0

b 1 0.30 0.10 B 0.8
"""


def test_ctm_groups_segments_by_utterance(tmp_path):
    path = tmp_path / "all.ctm"
    path.write_text(CTM)
    found = read_ctm(path)
    assert list(found) == ["a", "b"]
    assert found["a"] == Alignment("a", [0, 1600], [1600, 2400], ("SIL", "AH0"))
    assert found["b"] == Alignment("b", [0, 4800], [4800, 6400], ("SIL", "B"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "a 1 0.12 0.1 B",
            r"line 7: 'B' starts at 0.1200 s, before the end of 'AH0' at 0.1500 s: the segments overlap",
        ),
        ("a 1 0.15 0 B", r"line 7: 'B' starts at 0.15 s and lasts 0 s"),
        ("a 1 0.15 nan B", r"line 7: 'B' starts at 0.15 s and lasts nan s"),
        ("a 1 -0.15 1 B", r"line 7: 'B' starts at -0.15 s"),
        ("a 1 zero 0.1 B", r"line 7: expected 'utterance channel start duration label'"),
        ("a 1 0.2", r"line 7: expected 'utterance channel start duration label'"),
        (
            "a 1 0.25 0.1 B",
            r"line 7: 'B' starts at 0.2500 s, after the end of 'AH0' at 0.1500 s: the segments leave a gap",
        ),
    ],
)
def test_malformed_ctm_is_refused(tmp_path, line, message):
    path = tmp_path / "all.ctm"
    path.write_text(CTM + line + "\n")
    with pytest.raises(AlignmentError, match=rf"all\.ctm.*{message}"):
        read_ctm(path)


def test_ctm_gaps_can_be_silence(tmp_path):
    path = tmp_path / "all.ctm"
    path.write_text(CTM + "a 1 0.25 0.1 B\n")
    assert read_ctm(path, gaps="silence")["a"].labels == ("SIL", "AH0", "sil", "B")
