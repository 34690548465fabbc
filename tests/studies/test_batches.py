"""Batches of decoded audio: grouping by length, reading ahead, and death of the decoder process."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from importlib.resources import files

import numpy as np
import pytest
import soundfile

from sat_probe import analyze_model
from sat_probe.cli import run
from sat_probe.errors import AudioError, CorpusError
from sat_probe.phones.align_corpus import align_corpus
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.studies.corpus_pass import batches
from sat_probe.studies.corpus_pass.batches import Batching
from sat_probe.studies.corpus_pass.decoder_process import AudioDecoder, read_utterance
from tests.models.tiny_models import tiny_model


@pytest.fixture
def folder(tmp_path):
    audio = tmp_path / "audio"
    audio.mkdir()
    for index, seconds in enumerate([0.5, 2.0, 0.4, 1.8, 0.6]):
        noise = 0.1 * np.random.default_rng(index).standard_normal(int(16_000 * seconds))
        soundfile.write(audio / f"{index}.wav", noise, 16_000)
    return audio


def test_utterances_of_similar_length_share_a_batch(folder, monkeypatch):
    monkeypatch.setattr(batches, "BATCH_SECONDS", 2.0)
    model = tiny_model("mockingjay")
    ((count, found, skipped),) = Batching(model).windows(load_corpus(folder))
    assert (count, skipped) == (5, [])
    assert [[one.id for one in batch.utterances] for batch in found] == [["2", "0", "4"], ["3"], ["1"]]
    assert [batch.seconds for batch in found] == pytest.approx([1.5, 1.8, 2.0], abs=1e-4)
    for batch in found:
        longest = max(tensor.shape[1] for tensor in batch.inputs[0].tensors.values())
        assert len(batch.utterances) * longest * 0.01 <= 2.0 + 0.05


def test_the_next_window_is_decoded_while_the_model_works(folder, monkeypatch):
    monkeypatch.setattr(batches, "WINDOW_UTTERANCES", 2)
    read, ahead = [], AudioDecoder.read

    def noted(self, source, rate, name):
        read.append(name)
        return ahead(self, source, rate, name)

    monkeypatch.setattr(AudioDecoder, "read", noted)
    windows = Batching(tiny_model("mockingjay")).windows(load_corpus(folder))
    next(windows)
    until = time.monotonic() + 20
    while len(read) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    assert read == ["0", "1", "2", "3"]  # its own two and the next two, not the whole corpus
    assert [count for count, _, _ in windows] == [2, 1]


def test_windows_hold_fewer_long_recordings(folder, monkeypatch):
    monkeypatch.setattr(batches, "WINDOW_SECONDS", 2.2)
    windows = Batching(tiny_model("mockingjay")).windows(load_corpus(folder))
    assert [count for count, _, _ in windows] == [2, 2, 1]  # 0.5 + 2.0, 0.4 + 1.8, 0.6 s


@pytest.mark.parametrize("end, fate", [("segfault", "SIGSEGV"), ("exit", "exit status 7")])
def test_death_of_the_decoder_is_reported_with_the_utterance(folder, deadly_decoder, end, fate):
    model = tiny_model("mockingjay")
    good = analyze_model(model, folder, progress=False, replicates=2)
    (folder / f"2-{end}.wav").write_bytes((folder / "2.wav").read_bytes())
    report = analyze_model(model, folder, progress=False, replicates=2)
    assert report.heads.equals(good.heads)
    (skipped,) = report.provenance["skipped_files"]
    assert skipped == f"2-{end}: the process that decodes audio died while it read this file ({fate})"
    with pytest.raises(AudioError, match=rf"2-{end}: .* died while it read this file \({fate}\)"):
        analyze_model(model, folder, strict=True, progress=False, replicates=2)


def test_command_reports_death_of_the_decoder_in_one_line(folder, tmp_path, deadly_decoder, capsys):
    tiny_model("mockingjay").save_pretrained(tmp_path / "tiny")
    (folder / "segfault.wav").write_bytes(b"")
    arguments = ["analyze", str(tmp_path / "tiny"), "--dataset", str(folder), "--json"]
    assert run([*arguments, "--strict"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines()[-1].startswith("Error: segfault: the process that decodes audio died")


def test_next_file_gets_a_new_decoder_after_a_kill(tmp_path):
    """What the kernel does when memory is short; the next file finds a new decoder."""
    decoder = AudioDecoder()
    soundfile.write(tmp_path / "good.wav", np.zeros(1600), 16_000)
    assert len(decoder.read(tmp_path / "good.wav", 16_000, "good")) == 1600
    process = decoder._process
    os.kill(process.pid, signal.SIGSTOP)  # a file that never ends
    threading.Timer(0.3, lambda: os.kill(process.pid, signal.SIGKILL)).start()
    with pytest.raises(AudioError, match=r"endless: .* died .* \(SIGKILL; out of memory\?\)"):
        decoder.read(tmp_path / "good.wav", 16_000, "endless")
    assert len(decoder.read(tmp_path / "good.wav", 8_000, "good")) == 800
    assert decoder._process.pid != process.pid


def test_audio_is_decoded_in_this_process_if_no_other_starts(folder):
    decoder = AudioDecoder()
    decoder.command = ("/no/such/interpreter",)
    assert len(decoder.read(folder / "0.wav", 16_000, "0")) == 8000
    decoder = AudioDecoder()
    decoder.command = (sys.executable, "-c", "print('no decoder')")
    with pytest.raises(AudioError, match="nothing: cannot be decoded"):
        decoder.read(b"nothing", 16_000, "nothing")


def test_corpus_without_usable_audio_is_refused(tmp_path, deadly_decoder):
    (tmp_path / "segfault.wav").write_bytes(b"")
    with pytest.raises(CorpusError, match=r"its only utterance .* segfault: the process that decodes audio died"):
        analyze_model(tiny_model("mockingjay"), tmp_path, progress=False)


def test_a_file_that_kills_the_decoder_does_not_end_an_alignment(deadly_decoder, tmp_path):
    speech = files("sat_probe") / "data" / "speech"
    for name in ("slt-01", "segfault-01"):
        for suffix in ("flac", "txt"):
            (tmp_path / f"{name}.{suffix}").write_bytes((speech / f"slt-01.{suffix}").read_bytes())
    run = align_corpus(load_corpus(tmp_path), tmp_path / "out", read=read_utterance)
    assert run.aligned == 1
    assert "the process that decodes audio died while it read this file (SIGSEGV)" in run.failed["segfault-01"]
