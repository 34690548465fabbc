"""Phone sets against the counts and rows of Lee & Hon (1989) and CMUdict."""

from __future__ import annotations

import pytest

from sat_probe.errors import AlignmentError, ConfigurationError
from sat_probe.phones.phone_set import PHONE_SETS, phone_set


@pytest.mark.parametrize(
    ("name", "size"), [("timit-61", 61), ("timit-48", 48), ("timit-39", 39), ("arpabet-39", 39), ("arpabet-40", 40)]
)
def test_sizes(name, size):
    phones = phone_set(name)
    assert len(phones) == size == len(set(phones.phones))
    assert phones.phones == tuple(sorted(phones.phones))


@pytest.mark.parametrize(
    ("label", "in_48", "in_39"),
    [
        ("q", None, None), ("bcl", "vcl", "sil"), ("kcl", "cl", "sil"), ("epi", "epi", "sil"), ("h#", "sil", "sil"),
        ("pau", "sil", "sil"), ("ao", "ao", "aa"), ("zh", "zh", "sh"), ("ax-h", "ax", "ah"), ("axr", "er", "er"),
        ("el", "el", "l"), ("em", "m", "m"), ("en", "en", "n"), ("eng", "ng", "ng"), ("nx", "n", "n"),
        ("hv", "hh", "hh"), ("ux", "uw", "uw"), ("ix", "ix", "ih"), ("dx", "dx", "dx"),
    ],
)  # fmt: skip
def test_timit_folding(label, in_48, in_39):
    assert phone_set("timit-61").fold(label) == label
    assert phone_set("timit-48").fold(label) == in_48
    assert phone_set("timit-39").fold(label) == in_39


def test_foldings_cover_all_labels_of_timit():
    labels = set(phone_set("timit-61").phones)
    for name in ("timit-48", "timit-39"):
        assert labels <= set(phone_set(name).folding)
        assert {phone_set(name).fold(label) for label in labels} - {None} == set(phone_set(name).phones)


@pytest.mark.parametrize(
    ("label", "in_39", "in_40"),
    [
        ("AH0", "ah", "ah"), ("AO1", "aa", "ao"), ("ZH", "sh", "zh"), ("iy2", "iy", "iy"), ("HH", "hh", "hh"),
        ("sil", "sil", "sil"), ("sp", "sil", "sil"), ("", "sil", "sil"), ("spn", None, None),
    ],
)  # fmt: skip
def test_arpabet_folding(label, in_39, in_40):
    assert phone_set("arpabet-39").fold(label) == in_39
    assert phone_set("arpabet-40").fold(label) == in_40


def test_arpabet_39_numbers_phones_as_timit_39_does():
    assert phone_set("arpabet-39").phones == phone_set("timit-39").phones


@pytest.mark.parametrize("label", ["N1", "AH3", "Ax", "ɛ", "aa1x"])
def test_unknown_labels_are_refused_by_name(label):
    with pytest.raises(AlignmentError, match="not a label of the phone set arpabet-39"):
        phone_set("arpabet-39").fold(label)


def test_an_unknown_set_is_refused():
    with pytest.raises(ConfigurationError, match=r"'timit-60'; there are: timit-61, .*arpabet-40"):
        phone_set("timit-60")


def test_every_phone_has_a_natural_class():
    for name in PHONE_SETS:
        phones = phone_set(name)
        assert set(phones.classes) == set(phones.phones)
    classes = {phone: phone_set("timit-39").natural_class(phone) for phone in phone_set("timit-39").phones}
    assert classes["sil"] == "silence"
    assert classes["dx"] == "stop"
    assert classes["hh"] == "fricative"
    assert sum(kind == "vowel" for kind in classes.values()) == 14
    assert {phone for phone, kind in classes.items() if kind == "nasal"} == {"m", "n", "ng"}


def test_voicing_pairs():
    phones = phone_set("timit-39")
    for voiced, voiceless in ("bp", "dt", "gk", "zs", "vf"):
        assert phones.is_voiced(voiced)
        assert not phones.is_voiced(voiceless)
        assert phones.natural_class(voiced) == phones.natural_class(voiceless)
