"""A run killed at any moment resumes to the report of an unbroken run."""

from __future__ import annotations

import multiprocessing
import random
import time

import numpy as np
import pandas as pd
import pytest
import soundfile

from sat_probe import HeadReport, analyze_model
from sat_probe.reports import report_folder
from sat_probe.studies.corpus_pass import accumulation, batches, decoder_process
from sat_probe.studies.corpus_pass.decoder_process import AudioDecoder
from tests.models.tiny_models import tiny_model

KILLS = 5


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="needs fork")
def test_run_killed_at_random_moments_is_resumed(tmp_path, monkeypatch):
    audio = tmp_path / "audio"
    audio.mkdir()
    for index in range(12):
        noise = 0.1 * np.random.default_rng(index).standard_normal(8000 + 500 * index)
        soundfile.write(audio / f"{index:02}.wav", noise, 16_000)
    monkeypatch.setattr(batches, "WINDOW_UTTERANCES", 1)
    monkeypatch.setattr(accumulation, "CHECKPOINT_UTTERANCES", 1)
    monkeypatch.setattr("sat_probe.reports.plots.all.drawings", lambda report: iter(()))  # most of the time of a save
    model = tiny_model("mockingjay")

    def study(output, resume):
        monkeypatch.setattr(decoder_process, "_DECODER", AudioDecoder())  # the parent's is not shared
        analyze_model(model, audio, output=output, resume=resume, progress=False, replicates=20)

    begun = time.monotonic()
    study(tmp_path / "whole", resume=False)
    duration = time.monotonic() - begun
    whole = HeadReport.load(tmp_path / "whole")
    chance, forked = random.Random(0), multiprocessing.get_context("fork")
    kept = 0
    for _ in range(KILLS):
        process = forked.Process(target=study, args=(tmp_path / "parts", True))
        process.start()
        process.join(chance.uniform(0.1, 0.9) * duration)
        process.kill()
        process.join()
        kept += any(tmp_path.glob(".parts*.checkpoint.npz"))
    assert kept > 0
    study(tmp_path / "parts", resume=True)
    report = HeadReport.load(tmp_path / "parts")
    pd.testing.assert_frame_equal(report.heads, whole.heads, rtol=1e-9, atol=1e-12)
    for key in ("utterances", "skipped", "seconds"):
        assert report.provenance[key] == whole.provenance[key]
    assert not any(tmp_path.glob(".*.checkpoint.*"))
    assert report_folder.check_destination(tmp_path / "parts")
