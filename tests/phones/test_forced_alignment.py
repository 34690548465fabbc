"""Forced alignment of the bundled speech, for which the phone times are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from benchmarks.agreement import boundary_errors
from sat_probe.audio import read_audio
from sat_probe.cli import run
from sat_probe.cli.align import align
from sat_probe.errors import AlignmentError, CorpusError
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.phones.phone_set import phone_set

from .speech_files import write_audio

pytest.importorskip("pocketsphinx", reason="needs the extra [align]")

from sat_probe.phones.align_corpus import align_corpus, failures
from sat_probe.phones.forced_alignment import ForcedAligner, read_lexicon, split_words


@pytest.fixture(scope="module")
def aligner():
    return ForcedAligner()


@pytest.fixture(scope="module")
def speech():
    return load_corpus("bundled", limit=4)


@pytest.fixture
def small(tmp_path):
    """Two bundled utterances in a folder of their own, with text."""
    for utterance in load_corpus("bundled", limit=2):
        folder = tmp_path / "speech" / utterance.speaker
        folder.mkdir(parents=True, exist_ok=True)
        (folder / utterance.audio.name).write_bytes(utterance.audio.read_bytes())
        (folder / utterance.audio.name).with_suffix(".txt").write_text(utterance.text)
    return tmp_path / "speech"


def test_words_and_phones_cover_the_utterance(aligner, speech):
    utterance = speech[0]
    waveform = read_audio(utterance.audio)
    found = aligner.align(utterance.id, waveform, utterance.text)
    assert list(found.words.labels) == split_words(utterance.text)
    assert (found.phones.starts[0], found.phones.ends[-1]) == (0, len(waveform))
    assert (found.phones.starts[1:] == found.phones.ends[:-1]).all()
    assert set(found.words.boundaries(edges=True)) <= set(found.phones.boundaries(edges=True))
    assert found.phones.labels[0] == "sil"


def test_boundaries_agree_with_the_synthesizer(aligner, speech):
    errors = []
    for utterance in speech:
        found = aligner.align(utterance.id, read_audio(utterance.audio), utterance.text)
        errors.append(
            boundary_errors(utterance.alignment, phone_set("timit-39"), found.phones, phone_set("arpabet-39"))
        )
    errors = np.concatenate(errors)
    assert len(errors) > 80
    assert np.median(np.abs(errors)) < 0.02
    assert abs(np.median(errors)) < 0.01


def test_utterances_do_not_depend_on_those_before(speech):
    waveforms = [read_audio(utterance.audio) for utterance in speech]
    forwards, backwards = ForcedAligner(), ForcedAligner()
    order = range(len(speech))
    one = {i: forwards.align("u", waveforms[i], speech[i].text).phones for i in order}
    other = {i: backwards.align("u", waveforms[i], speech[i].text).phones for i in reversed(order)}
    assert one == other


@pytest.mark.parametrize(
    ("text", "words"),
    [("It’s a well-known 'fact'—isn't it?", ["it's", "a", "well-known", "'fact'", "isn't", "it"]), ("  - ' _ ...", [])],
)
def test_text_is_split_into_words(text, words):
    assert split_words(text) == words


def test_unknown_words_are_refused_by_name(aligner, speech):
    assert aligner.unknown_words("the zyxxy boy saw 7 zyxxys") == ["zyxxy", "7", "zyxxys"]
    with pytest.raises(AlignmentError, match="u: 1 word unknown to the dictionary: zyxxy; give their pronunciations"):
        aligner.align("u", read_audio(speech[0].audio), "the zyxxy")


def test_quoted_and_hyphenated_words_are_known(aligner):
    assert aligner.unknown_words("'boy' boy-girl") == []


def test_a_lexicon_adds_words(tmp_path, speech):
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("ZYXXY\tB OY1\nPYXXY\tF IY1 S\nPYXXY(2)\tB OY1\n")
    text = speech[0].text.lower().replace("boy", "zyxxy")
    assert "zyxxy" in text
    found = ForcedAligner(lexicon).align("u", read_audio(speech[0].audio), text)
    assert "zyxxy" in found.words.labels
    plain = ForcedAligner().align("u", read_audio(speech[0].audio), speech[0].text)
    assert found.phones == plain.phones
    text = text.replace("zyxxy", "pyxxy")
    assert ForcedAligner(lexicon).align("u", read_audio(speech[0].audio), text).phones.labels == plain.phones.labels


@pytest.mark.parametrize(
    ("line", "message"),
    [("WORD B X1", "line 2: 'X1' is not an ARPAbet phone"), ("WORD", "line 2: a word without phones")],
)
def test_malformed_lexicons_are_refused(tmp_path, line, message):
    (tmp_path / "lexicon.txt").write_text(f"A AH0\n{line}\n")
    with pytest.raises(AlignmentError, match=message):
        read_lexicon(tmp_path / "lexicon.txt")


def test_text_that_does_not_fit_is_refused(aligner):
    noise = np.random.default_rng(0).normal(scale=0.01, size=4000).astype(np.float32)
    with pytest.raises(AlignmentError, match=r"u: the text does not fit the audio \(0.25 s\)"):
        aligner.align("u", noise, "a very long sentence that nobody could say within a quarter of a second")
    with pytest.raises(AlignmentError, match="u: has no text to align"):
        aligner.align("u", noise, "...")


def test_a_corpus_is_aligned_and_resumed(small, tmp_path):
    first = align_corpus(load_corpus(small), tmp_path / "out")
    assert (first.aligned, first.present, first.failed) == (2, 0, {})
    assert first.real_time_factor > 0
    written = sorted((tmp_path / "out").rglob("*"))
    assert [path.suffix for path in written if path.is_file()] == [".TextGrid", ".TextGrid"]
    aligned = load_corpus(small, alignments=tmp_path / "out")
    assert aligned.missing_alignments == 0
    written = next(path for path in written if path.is_file())
    written.unlink()
    ticks = []
    again = align_corpus(load_corpus(small), tmp_path / "out", progress=ticks.append)
    assert (again.aligned, again.present, ticks) == (1, 1, [1, 1])
    assert list(load_corpus(small, alignments=tmp_path / "out")) == list(aligned)


def test_processes_write_the_same(small, tmp_path):
    align_corpus(load_corpus(small), tmp_path / "one")
    align_corpus(load_corpus(small), tmp_path / "two", num_proc=2)
    for path in (tmp_path / "one").rglob("*.TextGrid"):
        assert path.read_text() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_text()


def test_a_failed_utterance_does_not_stop_the_others(small, tmp_path):
    write_audio(small / "silent.wav")
    (small / "noise.wav").write_bytes(b"RIFF nothing")
    (small / "noise.txt").write_text("the boy")
    run = align_corpus(load_corpus(small), tmp_path / "out")
    assert run.aligned == 2
    assert set(run.failed) == {"noise", "silent"}
    assert "has no text" in run.failed["silent"]
    assert "cannot be decoded" in run.failed["noise"]
    assert list(failures(run, most=1)) == ["silent: has no text to align", "... and 1 more"]


def test_unknown_words_stop_before_any_work(small, tmp_path):
    next(small.rglob("*.txt")).write_text("zyxxy")
    with pytest.raises(AlignmentError, match="1 word unknown to the dictionary: zyxxy"):
        align_corpus(load_corpus(small), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_corpus_without_text_is_refused(tmp_path):
    write_audio(tmp_path / "one.wav")
    with pytest.raises(CorpusError, match="no utterance has text"):
        align_corpus(load_corpus(tmp_path), tmp_path / "out")
    with pytest.raises(CorpusError, match="load it without streaming"):
        align_corpus(load_corpus(tmp_path, streaming=True), tmp_path / "out")


def test_the_command(small, tmp_path):
    app = typer.Typer()
    app.command()(align)
    arguments = [str(small), "--output", str(tmp_path / "out"), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    assert (printed["aligned"], printed["failed"]) == (2, {})
    again = CliRunner().invoke(app, arguments[:-1])
    assert again.stdout.startswith("0 aligned, 2 kept, 0 failed")


def test_strict_stops_at_the_first_failure(small, tmp_path):
    (small / "noise.wav").write_bytes(b"RIFF nothing")
    (small / "noise.txt").write_text("the boy")
    with pytest.raises(AlignmentError, match="noise: .*cannot be decoded"):
        align_corpus(load_corpus(small), tmp_path / "out", strict=True)
    write_audio(small / "silent.wav")
    with pytest.raises(AlignmentError, match="silent: has no text to align"):
        align_corpus(load_corpus(small), tmp_path / "out", strict=True)


def test_the_command_fails_if_nothing_could_be_aligned(tmp_path, capsys):
    speech = tmp_path / "speech"
    speech.mkdir()
    (speech / "noise.wav").write_bytes(b"RIFF nothing")
    (speech / "noise.txt").write_text("the boy")
    arguments = ["align", str(speech), "--output", str(tmp_path / "out")]
    assert run([*arguments, "--json"]) == 1
    printed = capsys.readouterr()
    assert list(json.loads(printed.out)["failed"]) == ["noise"]
    assert "Not aligned: noise: " in printed.err
    assert printed.err.endswith("Error: speech: no utterance could be aligned\n")
    assert run([*arguments, "--strict"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Error: noise: " in printed.err
