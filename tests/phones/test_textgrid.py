"""TextGrids: both text formats, exact round trips, comparison with praatio, and errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_probe.errors import AlignmentError
from sat_probe.phones.alignment import Alignment
from sat_probe.phones.readers.textgrid import parse_textgrid, read_textgrid, write_textgrid

LONG = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 0.9
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "words"
        xmin = 0
        xmax = 0.9
        intervals: size = 2
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = "say ""hi"" 7"
        intervals [2]:
            xmin = 0.5
            xmax = 0.9
            text = ""
    item [2]:
        class = "IntervalTier"
        name = "phones"
        xmin = 0
        xmax = 0.9
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 0.25
            text = "HH"
        intervals [2]:
            xmin = 0.25
            xmax = 0.5
            text = "AY1"
        intervals [3]:
            xmin = 0.5
            xmax = 0.9
            text = ""
"""
SHORT = """File type = "ooTextFile"
Object class = "TextGrid"

0
0.9
<exists>
2
"IntervalTier"
"words"
0
0.9
2
0
0.5
"say ""hi"" 7"
0.5
0.9
""
"IntervalTier"
"phones"
0
0.9
3
0
0.25
"HH"
0.25
0.5
"AY1"
0.5
0.9
""
"""


def write(folder, text, encoding="utf-8"):
    path = folder / "u.TextGrid"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("text", [LONG, SHORT, LONG.replace("\n", "\r\n")])
def test_long_and_short_format(tmp_path, text):
    path = write(tmp_path, text)
    phones = read_textgrid(path, "u")
    assert phones == Alignment("u", [0, 4000, 8000], [4000, 8000, 14400], ("HH", "AY1", ""))
    assert phones.duration == 14400
    assert read_textgrid(path, "u", tier="words").labels == ('say "hi" 7', "")


def test_empty_intervals_can_be_left_unlabelled(tmp_path):
    phones = read_textgrid(write(tmp_path, LONG), "u", gaps="unlabelled")
    assert phones.labels == ("HH", "AY1")


def test_point_tiers_and_comments_are_skipped(tmp_path):
    points = '"TextTier"\n"clicks"\n0\n0.9\n1\n0.3\n"!"\n'
    text = SHORT.replace("<exists>\n2\n", "<exists> ! two tiers and 1 more\n3\n" + points)
    assert read_textgrid(write(tmp_path, text), "u").labels == ("HH", "AY1", "")


def test_the_tier_of_a_single_speaker_is_found(tmp_path):
    named = LONG.replace('"words"', '"ann - words"').replace('"phones"', '"ann - phones"')
    assert len(read_textgrid(write(tmp_path, named), "u")) == 3


def test_utf_16_with_a_byte_order_mark_is_read(tmp_path):
    expected = read_textgrid(write(tmp_path, LONG), "u")
    path = write(tmp_path, LONG, "utf-16")
    assert read_textgrid(path, "u") == expected
    path.write_bytes(b"\xfe\xff" + LONG.encode("utf-16-be"))
    assert read_textgrid(path, "u") == expected
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AlignmentError, match=r"u.TextGrid: is damaged or cut off UTF-16 text"):
        read_textgrid(path, "u")


def test_utf_16_without_a_byte_order_mark_is_refused(tmp_path):
    with pytest.raises(AlignmentError, match=r"u.TextGrid: is not text, or UTF-16 without a byte order mark"):
        read_textgrid(write(tmp_path, LONG, "utf-16-le"))


def test_other_encodings_are_refused_with_the_line(tmp_path):
    with pytest.raises(AlignmentError, match="line 18: is not UTF-8"):
        read_textgrid(write(tmp_path, LONG.replace("say", "sé"), "latin-1"))


def test_a_byte_order_mark_is_skipped(tmp_path):
    assert len(read_textgrid(write(tmp_path, LONG, "utf-8-sig"))) == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("            xmin = 0.25\n", "            xmin = 0.2\n", r"line 34 \(tier 'phones'\): 'AY1' .*overlap"),
        ("            xmin = 0.25\n", "            xmin = 0.3\n", r"line 34 .* 'AY1' starts at 0.3 s.* leave a gap"),
        ("            xmax = 0.25\n", "            xmax = -1\n", r"line 30 .* 'HH' ends at -1 s, not after its start"),
        ("xmax = 0.9\n            text", "xmax = 1.9\n            text", "spans 0.5 to 1.9 s, but the file"),
        ('name = "phones"', 'name = "Phonemes"', "has no tier 'phones'; its tiers: words, Phonemes"),
        ('name = "words"', 'name = "phones"', "has 2 tiers called 'phones'"),
        ('class = "IntervalTier"', 'class = "Table"', r"line 10: tier class 'Table' is neither"),
        ('"TextGrid"', '"Sound"', "is not a TextGrid"),
        ("size = 3", "size = 4", "the file ends where an interval's start should be"),
        ("size = 3", "size = 2.5", "found 2.5 where the number of entries of tier 'phones' should be a whole number"),
        ("<exists>", "", "found 2 where <exists> should be"),
    ],
)  # fmt: skip
def test_malformed_files_are_refused_with_file_and_line(tmp_path, old, new, message):
    assert old in LONG
    with pytest.raises(AlignmentError, match=rf"u\.TextGrid.*{message}"):
        read_textgrid(write(tmp_path, LONG.replace(old, new)))


def test_a_tier_of_points_is_refused(tmp_path):
    text = SHORT.split('"IntervalTier"\n"phones"')[0] + '"TextTier"\n"phones"\n0\n0.9\n0\n'
    with pytest.raises(AlignmentError, match="its tier 'phones' holds points, not intervals"):
        read_textgrid(write(tmp_path, text))


@pytest.mark.parametrize("samples", [14400 - 1601, 14400 + 1601])
def test_a_textgrid_of_another_file_is_refused(tmp_path, samples):
    with pytest.raises(
        AlignmentError, match=r"ends at 0.900 s, but the audio of u is .* probably belongs to another file"
    ):
        read_textgrid(write(tmp_path, LONG), "u", duration=samples)
    assert len(read_textgrid(write(tmp_path, LONG), "u", duration=samples - 1 if samples > 14400 else samples + 1)) == 3


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(AlignmentError, match="No such file"):
        read_textgrid(tmp_path / "none.TextGrid")


labels = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r"), max_size=6)


@st.composite
def alignments(draw, contiguous):
    rate = draw(st.sampled_from([8_000, 11_025, 16_000, 44_100]))
    count = draw(st.integers(1, 12))
    steps = draw(st.lists(st.integers(1, 10**6), min_size=2 * count, max_size=2 * count))
    edges = np.cumsum([0, *steps])
    starts, ends = (edges[:count], edges[1 : count + 1]) if contiguous else (edges[:-1:2], edges[1::2])
    named = labels if contiguous else labels.filter(lambda label: label.strip())
    names = draw(st.lists(named, min_size=count, max_size=count))
    return Alignment("u", starts, ends, tuple(names), rate)


@settings(max_examples=60, deadline=None)
@given(alignments(contiguous=True))
def test_round_trip_is_exact(tmp_path_factory, alignment):
    path = tmp_path_factory.mktemp("t") / "u.TextGrid"
    write_textgrid(path, alignment)
    assert read_textgrid(path, "u", sampling_rate=alignment.sampling_rate) == alignment


@settings(max_examples=40, deadline=None)
@given(alignments(contiguous=False))
def test_round_trip_is_exact_with_gaps(tmp_path_factory, alignment):
    path = tmp_path_factory.mktemp("t") / "u.TextGrid"
    write_textgrid(path, alignment)
    assert read_textgrid(path, "u", sampling_rate=alignment.sampling_rate, gaps="unlabelled") == alignment


def test_praatio_reads_what_is_written(tmp_path):
    from praatio import textgrid as praatio

    path = tmp_path / "u.TextGrid"
    phones = Alignment("u", [0, 4001], [4001, 8000], ('"q"', "é"), duration=9000)
    words = Alignment("u", [100], [8000], ("ok",))
    write_textgrid(path, phones, words)
    grid = praatio.openTextgrid(str(path), includeEmptyIntervals=True)
    assert grid.tierNames == ("words", "phones")
    assert grid.maxTimestamp == 9000 / 16_000
    entries = [(entry.start, entry.end, entry.label) for entry in grid.getTier("phones").entries]
    assert entries == [(0, 4001 / 16_000, '"q"'), (4001 / 16_000, 0.5, "é"), (0.5, 0.5625, "")]
    assert [entry.label for entry in grid.getTier("words").entries] == ["", "ok", ""]


def test_what_praatio_writes_is_read(tmp_path):
    from praatio import textgrid as praatio

    write_textgrid(tmp_path / "a.TextGrid", Alignment("u", [0, 4001], [4001, 8000], ("B", "AA1")))
    grid = praatio.openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=True)
    for form in ("short_textgrid", "long_textgrid"):
        grid.save(str(tmp_path / f"{form}.TextGrid"), format=form, includeBlankSpaces=True)
        assert read_textgrid(tmp_path / f"{form}.TextGrid", "u").starts.tolist() == [0, 4001]


def test_words_beyond_the_phones_are_refused(tmp_path):
    with pytest.raises(AlignmentError, match="u: words and phones do not span the same time"):
        write_textgrid(tmp_path / "u.TextGrid", Alignment("u", [0], [10], ("B",)), Alignment("u", [0], [11], ("be",)))


def test_a_grid_without_tiers_is_read():
    text = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1\n<absent>\n'
    assert parse_textgrid(text, "u").interval_tiers == ()
