"""The LDC's layout of TIMIT, in upper and lower case, and errors."""

from __future__ import annotations

import shutil

import pytest

from sat_probe.errors import CorpusError
from sat_probe.phones.corpora.opening import load_corpus

from .speech_files import write_audio, write_ldc_timit


@pytest.mark.parametrize("upper", [True, False])
def test_layout(tmp_path, upper):
    root = write_ldc_timit(tmp_path / "timit", upper=upper)
    corpus = load_corpus(root)
    assert len(corpus) == 32
    first = corpus[0]
    assert (first.id, first.speaker, first.gender, first.text) == ("fab10-sa1", "fab10", "f", "Be.")
    assert first.alignment.labels == ("h#", "bcl", "b", "iy")
    assert first.alignment.folded(corpus.phone_set).labels == ("sil", "sil", "b", "iy")
    assert [utterance.id[0] for utterance in corpus] == ["f"] * 16 + ["m"] * 16


def test_splits_and_sa_sentences(tmp_path):
    root = write_ldc_timit(tmp_path)
    test = load_corpus("timit", data_dir=root, split="test")
    assert {utterance.gender for utterance in test} == {"m"}
    assert len(test) == 16
    kept = load_corpus("timit", data_dir=root, split="train", drop_sa=True)
    assert [utterance.id for utterance in kept] == [f"fab{region}0-sx{region}" for region in range(1, 9)]


def test_the_folder_above_is_accepted(tmp_path):
    write_ldc_timit(tmp_path / "data" / "TIMIT")
    assert len(load_corpus("timit", data_dir=tmp_path)) == 32


def test_converted_copies_are_not_counted_twice(tmp_path):
    root = write_ldc_timit(tmp_path)
    write_audio(root / "TRAIN" / "DR1" / "FAB10" / "SA1.WAV.wav")
    assert len(load_corpus(root)) == 32


def test_a_missing_region_is_refused(tmp_path):
    root = write_ldc_timit(tmp_path)
    shutil.rmtree(root / "TRAIN" / "DR3")
    with pytest.raises(CorpusError, match="TRAIN lacks DR3; copy TIMIT again"):
        load_corpus(root)


def test_a_missing_split_is_refused(tmp_path):
    root = write_ldc_timit(tmp_path, splits=("TRAIN",))
    with pytest.raises(CorpusError, match="no folder for the split 'test'; found train"):
        load_corpus("timit", data_dir=root, split="test")


def test_regions_divided_between_the_splits_are_accepted(tmp_path):
    write_ldc_timit(tmp_path, regions=range(1, 6), splits=("TRAIN",))
    write_ldc_timit(tmp_path, regions=range(6, 9), splits=("TEST",))
    assert len(load_corpus(tmp_path)) == 16
    shutil.rmtree(tmp_path / "TEST" / "DR8")
    with pytest.raises(CorpusError, match="TRAIN and TEST lacks DR8"):
        load_corpus(tmp_path)


def test_the_nltk_layout_has_no_splits(tmp_path):
    write_audio(tmp_path / "dr1-fvmh0" / "sa1.wav")
    (tmp_path / "dr1-fvmh0" / "sa1.phn").write_text("0 8000 h#\n")
    (tmp_path / "dr1-fvmh0" / "sa1.wrd").write_text("0 100 she\n200 300 had\n")
    corpus = load_corpus(tmp_path)
    assert (corpus[0].id, corpus[0].text, corpus.phone_set.name) == ("fvmh0-sa1", "she had", "timit-39")
    with pytest.raises(CorpusError, match="TRAIN and TEST are not in it"):
        load_corpus(tmp_path, split="train")
