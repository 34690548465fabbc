"""The provenance of a report: one schema, checked when it is read, without paths of a machine."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_probe.errors import ReportError
from sat_probe.reports.provenance import Provenance
from sat_probe.reports.report_folder import plain


def test_mapping_of_known_entries():
    known = Provenance(model="org/model", utterances=0, other={"note": "mine"})
    assert dict(known) == {"model": "org/model", "utterances": 0, "note": "mine"}
    assert known["model"] == known.model
    assert "revision" not in known
    assert known.revision is None
    assert known.replace(revision="abc").revision == "abc"
    with pytest.raises(AttributeError):
        known.model = "another"


def test_json_keeps_unknown_entries():
    known = Provenance(
        model="m", seconds=1.5, limited_span=(3, "zero"), removed_heads={"0": [1]}, other={"tool": {"x": [1, None]}}
    )  # fmt: skip
    assert Provenance.from_mapping(json.loads(json.dumps(plain(known)))) == known
    assert Provenance.from_mapping(known) is known
    assert Provenance.from_mapping({"utterances": np.int64(3), "seconds": 4}).utterances == 3


@pytest.mark.parametrize(
    "entry, value",
    [
        ("model", 5),
        ("utterances", "many"),
        ("utterances", 1.5),
        ("utterances", True),
        ("utterances", -1),
        ("seconds", float("nan")),
        ("leave_out_own_segment", 1),
        ("removed_heads", {"0": ["1"]}),
        ("skipped_files", "a.wav"),
        ("versions", {"torch": 2}),
        ("segmentation", [1]),
        ("layers", 10**9),
        ("heads_per_layer", -1),
    ],
)
def test_wrong_entries_are_one_line(entry, value):
    with pytest.raises(ReportError, match=f"the provenance is damaged: {entry} cannot be") as caught:
        Provenance.from_mapping({entry: value})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "given_value, kept",
    [
        ("/home/me/speech", "speech"),
        ("/home/me/my speech", "my speech"),
        ("~/models/w2v", "w2v"),
        ("C:\\Users\\me\\speech", "speech"),
        ("org/model", "org/model"),
        ("bundled", "bundled"),
    ],
)
def test_names_are_no_paths(given_value, kept):
    known = Provenance(model=given_value, corpus=given_value)
    assert (known.model, known.corpus) == (kept, kept)


def test_paths_inside_other_values_are_cut():
    known = Provenance(
        command="sat-probe analyze --output=/home/me/out -d /data/speech",
        skipped_files=["a: /home/me/a.wav cannot be decoded", "b: '/tmp/x/b.wav' is empty"],
        segmentation={"model": "/home/me/m", "speakers": {"test": ["/home/me/s1"]}},
        other={"source": "file:///home/me/notes.txt", "page": "https://huggingface.co/org/model"},
    )
    assert "/home" not in str(plain(known))
    assert known.command == "sat-probe analyze --output=out -d speech"
    assert known.skipped_files == ["a: a.wav cannot be decoded", "b: 'b.wav' is empty"]
    assert known.other["page"] == "https://huggingface.co/org/model"


PARTS = st.text("abcxyz-_.0189é", min_size=1, max_size=8).filter(lambda part: part.strip("."))


@given(st.lists(PARTS, min_size=2, max_size=5), st.sampled_from(["", "read ", "--to=", "('", "a,"]))
def test_no_absolute_path_remains(parts, before):
    path = "/" + "/".join(parts)
    known = Provenance(command=f"{before}{path}")
    assert known.command == f"{before}{parts[-1]}"
