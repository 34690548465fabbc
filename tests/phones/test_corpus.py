"""Folders of audio as corpora: their utterances, order and alignments, and errors."""

from __future__ import annotations

import os
import zipfile

import pytest

from sat_probe.errors import AlignmentError, ConfigurationError, CorpusError
from sat_probe.phones.alignment import Alignment
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.phones.readers.textgrid import write_textgrid

from .speech_files import write_audio

PHN = "0 4000 h#\n4000 8000 iy\n"


@pytest.fixture
def folder(tmp_path):
    for name in ("b/two.flac", "a/one.wav", "three.ogg", "b/.hidden.wav"):
        write_audio(tmp_path / "speech" / name)
    (tmp_path / "speech" / "notes.md").write_text("no audio")
    return tmp_path / "speech"


def with_phn(folder):
    for path in sorted(folder.rglob("*.*")):
        if path.suffix in (".wav", ".flac", ".ogg"):
            path.with_suffix(".phn").write_text(PHN)
    return folder


def test_any_folder_is_read_recursively_in_the_order_of_paths(folder):
    corpus = load_corpus(folder)
    assert [utterance.id for utterance in corpus] == ["a/one", "b/two", "three"]
    assert corpus[1].audio == folder / "b" / "two.flac"
    assert corpus[1].alignment is None
    assert len(corpus) == corpus.missing_alignments == 3
    assert corpus.warnings[0].startswith("3 of 3 utterances of")
    streamed = load_corpus(folder, streaming=True, limit=1)
    assert len(list(streamed)) == 1
    assert streamed.warnings[0].startswith("1 utterance of")


def test_phn_next_to_audio(folder):
    corpus = load_corpus(with_phn(folder))
    assert corpus.phone_set.name == "timit-39"
    assert corpus.missing_alignments == 0
    assert corpus.warnings == []
    assert corpus[0].alignment == Alignment("a/one", [0, 4000], [4000, 8000], ("h#", "iy"))
    assert corpus[0].alignment.duration == 8000


def test_missing_alignments_are_counted_and_reported(folder, caplog):
    with_phn(folder)
    (folder / "b" / "two.phn").unlink()
    for streaming in (False, True):
        caplog.clear()
        corpus = load_corpus(folder, streaming=streaming)
        assert [utterance.alignment is None for utterance in corpus] == [False, True, False]
        assert corpus.missing_alignments == 1
        assert "(the first: b/two)" in corpus.warnings[0]
        assert [record.getMessage() for record in caplog.records if "sat_probe" in record.name] == corpus.warnings


def test_missing_alignments_that_were_asked_for_are_reported(folder, tmp_path, caplog):
    load_corpus(folder)  # any folder of audio promises none
    assert "alignment" not in caplog.text
    load_corpus("timit", data_dir=folder)
    assert "3 of 3 utterances of timit have no alignment" in caplog.text
    caplog.clear()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "other.phn").write_text(PHN)
    load_corpus(folder, alignments=tmp_path / "elsewhere")
    assert "3 of 3 utterances of" in caplog.text


def test_streaming_reads_the_same(folder):
    with_phn(folder)
    assert list(load_corpus(folder, streaming=True)) == list(load_corpus(folder))


def test_a_streamed_corpus_has_no_length(folder):
    corpus = load_corpus(folder, streaming=True)
    assert corpus.missing_alignments is None
    with pytest.raises(TypeError, match="streamed"):
        len(corpus)
    with pytest.raises(TypeError, match="streamed"):
        corpus[0]


@pytest.mark.parametrize("streaming", [False, True])
def test_shards_and_limits(folder, streaming):
    corpus = load_corpus(folder, streaming=streaming)
    assert [utterance.id for utterance in corpus.shard(0, 2)] == ["a/one", "three"]
    assert [utterance.id for utterance in corpus.shard(1, 2)] == ["b/two"]
    assert [utterance.id for utterance in corpus.limit(2)] == ["a/one", "b/two"]
    assert [utterance.id for utterance in load_corpus(folder, streaming=streaming, limit=1)] == ["a/one"]
    with pytest.raises(CorpusError, match="shard 2 of 2 does not exist"):
        corpus.shard(2, 2)


def test_processes_read_the_same(folder):
    with_phn(folder)
    assert list(load_corpus(folder, num_proc=2)) == list(load_corpus(folder))


def test_errors_of_processes_keep_their_message(folder):
    with_phn(folder)
    (folder / "three.phn").write_text("0 100 h#\n50 8000 iy\n")
    with pytest.raises(AlignmentError, match=r"three\.phn, line 2: .* overlap"):
        load_corpus(folder, num_proc=2)


def test_a_changed_file_is_read_again(folder):
    with_phn(folder)
    assert load_corpus(folder)[0].alignment.labels == ("h#", "iy")
    (folder / "a" / "one.phn").write_text("0 8000 h#\n")
    os.utime(folder / "a" / "one.phn", ns=(1, 1))
    assert load_corpus(folder)[0].alignment.labels == ("h#",)


def test_one_utterance_per_stem_wav_first(tmp_path):
    for suffix in ("wav", "flac", "ogg"):
        write_audio(tmp_path / f"one.{suffix}")
    corpus = load_corpus(tmp_path)
    assert [utterance.audio.name for utterance in corpus] == ["one.wav"]


def test_text_next_to_audio(folder):
    (folder / "a" / "one.txt").write_text("Hello  there\n")
    assert [utterance.text for utterance in load_corpus(folder)] == ["Hello there", None, None]
    (folder / "a" / "one.txt").write_bytes("café".encode("latin-1"))
    with pytest.raises(CorpusError, match=r"one\.txt: cannot be read as UTF-8 text; save it as UTF-8"):
        load_corpus(folder)


def test_audio_that_cannot_be_decoded_does_not_stop_the_others(folder):
    with_phn(folder)
    (folder / "a" / "one.wav").write_bytes(b"RIFF nothing")
    corpus = load_corpus(folder)
    assert [utterance.alignment is None for utterance in corpus] == [True, False, False]


def test_textgrids_next_to_audio(folder):
    write_textgrid(folder / "three.TextGrid", Alignment("three", [0, 4000], [4000, 8000], ("sil", "AH0")))
    corpus = load_corpus(folder)
    assert corpus[2].alignment.labels == ("sil", "AH0")
    assert corpus.phone_set.name == "arpabet-39"
    write_textgrid(folder / "three.TextGrid", Alignment("three", [0], [9_700], ("AH0",)))
    with pytest.raises(AlignmentError, match=r"three\.TextGrid: ends at 0.606 s, but the audio of three is 0.500 s"):
        load_corpus(folder)


def test_unknown_phones_name_the_utterance(folder):
    write_textgrid(folder / "b" / "two.TextGrid", Alignment("x", [0], [8000], ("ɛ",)))
    with pytest.raises(AlignmentError, match="b/two: segment 1 is 'ɛ', not a label of the phone set arpabet-39"):
        load_corpus(folder)
    with pytest.raises(AlignmentError, match="b/two: segment 1 is 'ɛ'"):
        list(load_corpus(folder, streaming=True))


class TestAlignmentsElsewhere:
    @pytest.fixture
    def tree(self, folder, tmp_path):
        for name in ("a/one", "b/two"):
            target = tmp_path / "grids" / f"{name}.TextGrid"
            target.parent.mkdir(parents=True, exist_ok=True)
            write_textgrid(target, Alignment(name, [0, 4000], [4000, 8000], ("", "IY1" if name == "a/one" else "spn")))
        return tmp_path / "grids"

    def test_a_tree(self, folder, tree):
        corpus = load_corpus(folder, alignments=tree)
        labels = [utterance.alignment and utterance.alignment.labels for utterance in corpus]
        assert labels == [("", "IY1"), ("", "spn"), None]
        assert corpus[1].alignment.folded(corpus.phone_set).labels == ("sil",)

    @pytest.mark.parametrize("streaming", [False, True])
    def test_an_archive_with_a_folder_of_its_own(self, folder, tree, streaming):
        archive = tree.with_suffix(".zip")
        with zipfile.ZipFile(archive, "w") as packed:
            for path in tree.rglob("*.TextGrid"):
                packed.write(path, f"LibriSpeech/aligned/{path.relative_to(tree)}")
        packed_corpus = load_corpus(folder, alignments=archive, streaming=streaming)
        assert list(packed_corpus) == list(load_corpus(folder, alignments=tree))

    def test_an_archive_of_phn_files(self, folder, tmp_path):
        with zipfile.ZipFile(tmp_path / "phn.zip", "w") as packed:
            packed.writestr("one.phn", PHN)
        corpus = load_corpus(folder, alignments=tmp_path / "phn.zip")
        assert corpus[0].alignment.labels == ("h#", "iy")
        assert (corpus.missing_alignments, corpus.phone_set.name) == (2, "timit-39")

    def test_a_ctm_file(self, folder, tmp_path):
        path = tmp_path / "all.ctm"
        path.write_text("one 1 0 0.25 SIL\none 1 0.25 0.25 IY1\nthree 1 0 0.5 SIL\n")
        corpus = load_corpus(folder, alignments=path)
        assert corpus[0].alignment == Alignment("a/one", [0, 4000], [4000, 8000], ("SIL", "IY1"))
        assert corpus.missing_alignments == 1
        path.write_text("one 1 0 0.25 SIL\none 1 0.25 1.25 IY1\n")
        with pytest.raises(AlignmentError, match=r"a/one: 'IY1' ends at 1.5000 s, but the audio is 0.5000 s long"):
            load_corpus(folder, alignments=path)

    def test_two_files_of_one_name(self, folder, tree):
        (tree / "b" / "two.TextGrid").rename(tree / "b" / "one.TextGrid")
        (tree / "a").rename(tree / "c")
        with pytest.raises(AlignmentError, match="a/one: 2 alignments could be meant"):
            load_corpus(folder, alignments=tree)

    def test_a_file_that_matches_two_utterances(self, folder, tmp_path):
        write_audio(folder / "b" / "one.wav")
        (tmp_path / "flat").mkdir()
        write_textgrid(tmp_path / "flat" / "one.TextGrid", Alignment("x", [0], [8000], ("sil",)))
        with pytest.raises(AlignmentError, match=r"one\.TextGrid: could belong to .*a/one\.wav and to .*b/one\.wav"):
            load_corpus(folder, alignments=tmp_path / "flat")

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("none", "no such file or folder of alignments"),
            ("empty", "holds no alignments"),
            ("broken.zip", "is not a readable zip archive"),
            ("notes.md", "is neither a folder, nor a .zip, .ctm or .parquet file"),
        ],
    )
    def test_places_without_alignments(self, folder, tmp_path, name, message):
        (tmp_path / "empty").mkdir()
        (tmp_path / "broken.zip").write_bytes(b"PK nothing")
        (tmp_path / "notes.md").write_text("nothing")
        with pytest.raises(AlignmentError, match=message):
            load_corpus(folder, alignments=tmp_path / name)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"source": "{folder}/none"}, CorpusError, "no such folder; named corpora: bundled, "),
        ({"source": "{folder}/empty"}, CorpusError, "holds no audio"),
        ({"source": "timit"}, CorpusError, r"timit: cannot be downloaded \(LDC .* name its folder with data_dir"),
        ({"source": "{folder}", "limit": 0}, CorpusError, "a limit of 0"),
        ({"source": "{folder}", "phone_set": "timit-60"}, ConfigurationError, "no phone set is called 'timit-60'"),
        ({"source": "{folder}", "alignments": "hub"}, CorpusError, "names no table of alignments"),
    ],
)
def test_errors(folder, arguments, error, message):
    (folder / "empty").mkdir()
    filled = {key: value.format(folder=folder) if isinstance(value, str) else value for key, value in arguments.items()}
    with pytest.raises(error, match=message):
        load_corpus(**filled)


def test_the_bundled_speech(tmp_path):
    corpus = load_corpus("bundled")
    assert len(corpus) == 40
    assert corpus.missing_alignments == 0
    assert {utterance.gender for utterance in corpus} == {"f", "m"}
    for utterance in corpus:
        phones = utterance.alignment.folded(corpus.phone_set)
        assert phones.labels[0] == "sil"
        assert abs(phones.ends[-1] - phones.duration) < 1600


def test_files_and_two_folders_are_refused(tmp_path):
    (tmp_path / "one.wav").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"one\.wav: is a file; name its folder .* or pass a list of files"):
        load_corpus(tmp_path / "one.wav")
    (tmp_path / "other").mkdir()
    with pytest.raises(CorpusError, match=r"is a folder, and data_dir \(--data-dir\) names another"):
        load_corpus(tmp_path, data_dir=tmp_path / "other")
