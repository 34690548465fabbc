"""Folders with metadata and LibriSpeech's tree."""

from __future__ import annotations

import json

import pytest

from sat_probe.errors import CorpusError
from sat_probe.phones.corpora.opening import load_corpus

from .speech_files import write_audio


class TestMetadata:
    @pytest.fixture
    def audiofolder(self, tmp_path):
        for split in ("test", "train"):
            write_audio(tmp_path / split / "s1" / "u1.flac")
            (tmp_path / split / "metadata.csv").write_text(
                f"file_name,utterance,speaker,gender,text\ns1/u1.flac,{split}-u1,s1,Female,IT IS\n"
            )
        return tmp_path

    def test_columns(self, audiofolder):
        utterance = load_corpus(audiofolder, split="train")[0]
        assert (utterance.id, utterance.speaker, utterance.gender, utterance.text) == ("train-u1", "s1", "f", "IT IS")

    def test_all_splits(self, audiofolder):
        assert [utterance.id for utterance in load_corpus(audiofolder)] == ["test-u1", "train-u1"]

    def test_jsonl(self, tmp_path):
        write_audio(tmp_path / "u1.flac")
        (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "u1.flac", "transcription": "it is"}))
        assert (load_corpus(tmp_path)[0].id, load_corpus(tmp_path)[0].text) == ("u1", "it is")
        (tmp_path / "metadata.jsonl").write_text('["u1.flac"]\n')
        with pytest.raises(CorpusError, match=r"metadata\.jsonl, line 1: is not a JSON object with file_name"):
            load_corpus(tmp_path)

    def test_malformed_metadata(self, audiofolder):
        table = audiofolder / "train" / "metadata.csv"
        table.write_text("file_name,text\ns1/u2.flac,it\n")
        with pytest.raises(CorpusError, match=r"metadata\.csv, line 2: file_name 's1/u2.flac' is no file"):
            load_corpus(audiofolder, split="train")
        table.write_bytes("file_name,text\ns1/u1.flac,café\n".encode("latin-1"))
        with pytest.raises(CorpusError, match=r"metadata\.csv: cannot be read as UTF-8 text; save it as UTF-8"):
            load_corpus(audiofolder, split="train")
        table.write_text("path,text\ns1/u1.flac,it\n")
        with pytest.raises(CorpusError, match="has no column file_name; its columns: path, text"):
            load_corpus(audiofolder, split="train")
        table.write_text("file_name,id\ns1/u1.flac,x\ns1/u1.flac,x\n")
        with pytest.raises(CorpusError, match="have the same id, x"):
            load_corpus(audiofolder, split="train")

    def test_unknown_split(self, audiofolder):
        with pytest.raises(CorpusError, match="no folder for the split 'dev'; its folders: test, train"):
            load_corpus(audiofolder, split="dev")


class TestLibriSpeech:
    @pytest.fixture
    def librispeech(self, tmp_path):
        chapter = tmp_path / "LibriSpeech" / "test-clean" / "61" / "70968"
        write_audio(chapter / "61-70968-0000.flac")
        (chapter / "61-70968.trans.txt").write_text("61-70968-0000 HE BEGAN\n")
        (tmp_path / "LibriSpeech" / "SPEAKERS.TXT").write_text("; ID | SEX\n61   | M | test-clean | 8.1 | A B\n")
        return tmp_path

    @pytest.mark.parametrize("below", ["", "LibriSpeech", "LibriSpeech/test-clean"])
    def test_tree(self, librispeech, below):
        utterance = load_corpus(librispeech / below)[0]
        assert (utterance.id, utterance.speaker, utterance.text) == ("61-70968-0000", "61", "HE BEGAN")

    def test_named_with_splits(self, librispeech):
        for name, split in (("librispeech", "test-clean"), ("librispeech-clean", "test"), ("librispeech", None)):
            corpus = load_corpus(name, data_dir=librispeech, split=split)
            assert (len(corpus), corpus[0].gender, corpus.name) == (1, "m", name)

    def test_a_transcript_without_audio(self, librispeech):
        next(librispeech.rglob("*.flac")).unlink()
        with pytest.raises(CorpusError, match=r"trans\.txt, line 1: lists 61-70968-0000, but .* is not next to it"):
            load_corpus(librispeech)


def test_a_report_inside_the_corpus_is_no_part_of_it(tmp_path):
    write_audio(tmp_path / "u1.flac")
    write_audio(tmp_path / "sat-probe-report" / "example.flac")
    assert len(load_corpus(tmp_path)) == 2
    for name in ("report.json", "heads.parquet"):
        (tmp_path / "sat-probe-report" / name).write_bytes(b"")
    assert [utterance.id for utterance in load_corpus(tmp_path)] == ["u1"]
