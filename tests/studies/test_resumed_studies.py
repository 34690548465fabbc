"""Segmentation and importance: bad files, killed runs, occupied outputs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import soundfile

from sat_probe import analyze_model, head_importance, refine, segment_model
from sat_probe.errors import AudioError, ReportError
from sat_probe.reports.head_report import HeadReport
from sat_probe.studies.corpus_pass import accumulation, batches
from sat_probe.studies.importance.ablation_lab import AblationLab
from sat_probe.studies.importance.options import Options
from sat_probe.studies.segmentation.sources import Settings
from tests.models.tiny_models import tiny_model

SCORING = {"counting": "strict", "settings": Settings(alphas=(0.3,), betas=(1.0, 1.75)), "progress": False}
OPTIONS = Options(
    tasks=["phones_linear", "reconstruction"], rankings=["leave_one_out"], spans=[1], steps=2, missing_phones="ignore"
)


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    """Figures and the page have tests of their own, and take long."""
    save = HeadReport.save
    monkeypatch.setattr(
        HeadReport, "save", lambda report, folder, **options: save(report, folder, pictures=False, **options)
    )


@pytest.fixture
def folder(tmp_path):
    """Seven aligned utterances of noise."""
    generator, audio = np.random.default_rng(0), tmp_path / "audio"
    audio.mkdir()
    for index in range(7):
        samples = 0.1 * generator.standard_normal(6000 + 777 * index)
        soundfile.write(audio / f"{index}.wav", samples, 16_000)
        third, end = len(samples) // 3, len(samples)
        (audio / f"{index}.phn").write_text(f"0 {third} s\n{third} {2 * third} aa\n{2 * third} {end} h#\n")
    return audio


def add_bad_file(folder, name):
    """A file that brings the decoder down, or one whose samples are no numbers."""
    samples = np.full(8000, np.nan if "nan" in name else 0.1)
    soundfile.write(folder / f"{name}.wav", samples, 16_000, "FLOAT")
    middle = len(samples) // 2
    (folder / f"{name}.phn").write_text(f"0 {middle} s\n{middle} {len(samples)} aa\n")


STUDIES = {
    "segment": lambda *inputs, **options: segment_model(*inputs, **SCORING, **options).table,
    "importance": lambda *inputs, **options: head_importance(*inputs, OPTIONS, progress=False, **options).tables[
        "importance"
    ],
}


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
@pytest.mark.parametrize("bad", ["segfault", "nan"])
def test_a_file_that_cannot_be_read_is_skipped(folder, study, bad, deadly_decoder):
    model = tiny_model("mockingjay")
    good = study(model, folder)
    add_bad_file(folder, bad)
    found = study(model, folder)
    if study is STUDIES["importance"]:  # the split depends on the ids
        assert found["value"].notna().all()
    else:
        assert found["references"].notna().all()
    assert len(found) == len(good)
    with pytest.raises(AudioError, match=f"{bad}: .*(died|NaN)"):
        study(model, folder, strict=True)


def test_skipped_files_are_counted_by_segmentation(folder):
    add_bad_file(folder, "0-nan")
    (folder / "0-broken.wav").write_text("no audio, so no alignment is read either")
    found = segment_model(tiny_model("mockingjay"), folder, **SCORING)
    assert (found.provenance["skipped"], found.provenance["unaligned"]) == (1, 1)
    assert sum(found.provenance["utterances"].values()) == 7
    assert "0-nan" not in set(found.counts["utterance"])


@pytest.mark.parametrize("killed_after", [1, 5])
def test_a_killed_segmentation_resumes_to_the_same_tables(folder, tmp_path, monkeypatch, killed_after):
    monkeypatch.setattr(batches, "WINDOW_UTTERANCES", 1)
    monkeypatch.setattr(accumulation, "CHECKPOINT_UTTERANCES", 1)
    add_bad_file(folder, "0-nan")
    model, output = tiny_model("mockingjay"), tmp_path / "out"
    whole = segment_model(model, folder, **SCORING)
    calls, original = [], accumulation.CorpusPass._use

    def killing(*arguments):
        calls.append(1)
        if len(calls) > killed_after:
            raise Killed
        original(*arguments)

    monkeypatch.setattr(accumulation.CorpusPass, "_use", killing)
    with pytest.raises(Killed):
        segment_model(model, folder, output=output, **SCORING)
    assert [path.name for path in tmp_path.glob(".out*")] == [".out.segmentation.checkpoint.npz"]
    with pytest.raises(ReportError, match="differs in tolerance;"):
        segment_model(model, folder, output=output, resume=True, tolerance=0.03, **SCORING)
    with pytest.raises(ReportError, match="differs in limited_span;"):
        segment_model(refine(model, span=2), folder, output=output, resume=True, **SCORING)
    calls.clear()
    monkeypatch.setattr(accumulation.CorpusPass, "_use", lambda *arguments: (calls.append(1), original(*arguments)))
    resumed = segment_model(model, folder, output=output, resume=True, **SCORING)
    analysed = 7
    assert len(calls) == 7 - killed_after + analysed
    for name in ("table", "curve", "counts"):
        pd.testing.assert_frame_equal(getattr(resumed, name), getattr(whole, name))
    for name in ("utterances", "skipped", "skipped_files", "seconds"):
        assert resumed.provenance[name] == whole.provenance[name]
    assert not list(tmp_path.glob(".out*"))
    assert HeadReport.load(output).tables["segmentation"]["r_value"].notna().any()


def test_a_killed_importance_repeats_no_finished_point(folder, tmp_path, monkeypatch):
    model, output, measured = tiny_model("mockingjay"), tmp_path / "out", []
    whole = STUDIES["importance"](model, folder)
    loss = AblationLab.loss

    def killing(lab, ablation, task):
        measured.append(ablation.key)
        if len(measured) == 4:
            raise Killed
        return loss(lab, ablation, task)

    monkeypatch.setattr(AblationLab, "loss", killing)
    with pytest.raises(Killed):
        STUDIES["importance"](model, folder, output=output)
    resumed = STUDIES["importance"](model, folder, output=output, resume=True)
    assert len(measured) == 12 + 1  # the one that was cut off is measured again
    pd.testing.assert_frame_equal(resumed, whole)
    assert not list(tmp_path.glob(".out*"))


def test_reports_of_other_models_are_kept(folder, tmp_path):
    model, output = tiny_model("mockingjay"), tmp_path / "out"
    first = analyze_model(model, folder, output=output, replicates=5, progress=False)
    segment_model(model, folder, output=output, **SCORING)
    report = HeadReport.load(output)
    assert report.provenance["date"] == first.provenance["date"]  # the tables joined the report
    assert "segmentation" in report.tables
    other = tiny_model("mockingjay", seed=1)
    for study in STUDIES.values():
        with pytest.raises(ReportError, match="holds the report of .*--overwrite"):
            study(other, folder, output=output)
    segment_model(other, folder, output=output, overwrite=True, **SCORING)
    assert HeadReport.load(output).provenance["weights"] != report.provenance["weights"]


def test_importance_keeps_the_revision_of_the_model(folder, tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "cache" / "models--org--mock"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text(commit)
    tiny_model("mockingjay").save_pretrained(cached / "snapshots" / commit)
    tiny_model("mockingjay").preprocessor.save_pretrained(cached / "snapshots" / commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(tmp_path / "cache"), raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    report = head_importance("org/mock", folder, OPTIONS, progress=False)
    assert (report.provenance["model"], report.provenance["revision"]) == ("org/mock", commit)
    assert report.provenance["importance"]["tasks"] == ["phones_linear", "reconstruction"]
