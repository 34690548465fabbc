"""analyze_model from audio files to a report: exact numbers, bad files, interrupted runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from sat_probe.errors import AudioError, ConfigurationError, CorpusError, ModelError, ReportError
from sat_probe.reports.head_report import HeadReport
from sat_probe.studies.corpus_pass import accumulation, batches
from sat_probe.studies.head_analysis import analyze_model
from tests.models.tiny_models import CONFIGURATIONS, tiny_model
from tests.reference import head_metrics_slowly

SECONDS = (0.31, 0.52, 0.25, 0.63, 0.38)


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    """Figures and the page have tests of their own, and take long."""
    save = HeadReport.save
    monkeypatch.setattr(
        HeadReport, "save", lambda report, folder, **options: save(report, folder, pictures=False, **options)
    )


@pytest.fixture
def folder(tmp_path):
    """Five utterances of noise in different formats."""
    generator = np.random.default_rng(0)
    audio = tmp_path / "audio"
    audio.mkdir()
    for index, seconds in enumerate(SECONDS):
        suffix = ("wav", "flac")[index % 2]
        samples = 0.1 * generator.standard_normal(int(16_000 * seconds))
        soundfile.write(audio / f"utterance-{index}.{suffix}", samples, 16_000)
    return audio


def analyze(model, folder, **options):
    return analyze_model(model, folder, progress=False, replicates=30, **options)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_metrics_equal_loops_over_single_utterances(name, folder, monkeypatch):
    monkeypatch.setattr(batches, "BATCH_SECONDS", 2.0)  # several batches, padded
    model = tiny_model(name)
    heads = analyze(model, folder).heads
    slow = []
    for path in sorted(folder.iterdir()):
        samples = soundfile.read(path, dtype="float32")[0]
        maps = torch.cat(model.encode([samples], output_attentions=True).attentions)
        slow.append(head_metrics_slowly(maps.reshape(12, *maps.shape[-2:]).numpy()))
    hop = {"mean_offset": "mean_offset_ms", "spread": "spread_ms"}
    for metric in slow[0]:
        expected = np.mean([one[metric] for one in slow], axis=0)
        if metric in hop:  # frames, up to 46 of them
            found, tolerance = heads[hop[metric]] / (1000 * model.frame_grid.hop_seconds), 5e-4
        else:
            found, tolerance = heads[metric], 1e-5
        np.testing.assert_allclose(found, expected, atol=tolerance)


def test_report_has_provenance(folder):
    model = tiny_model("mockingjay")
    report = analyze(model, folder)
    assert len(report.heads) == 12
    assert set(report.heads["category"]) <= {"global", "vertical", "diagonal"}
    assert report.provenance["utterances"] == 5
    assert report.provenance["skipped"] == 0
    assert report.provenance["seconds"] == pytest.approx(sum(SECONDS), abs=0.01)
    assert report.provenance["architecture"] == "MockingjayModel"
    assert report.provenance["frame_hop_ms"] == 30
    assert report.provenance["versions"]["torch"] == torch.__version__
    assert report.example.maps.shape[:2] == (3, 4)
    assert "relation_maps" not in report.tables


def test_bad_files_are_skipped_and_counted(folder, caplog):
    model = tiny_model("mockingjay")
    good = analyze(model, folder)
    (folder / "utterance-00.wav").write_text("this is no audio")
    soundfile.write(folder / "utterance-7.wav", np.zeros(160), 16_000)
    report = analyze(model, folder)
    pd.testing.assert_frame_equal(report.heads, good.heads)
    assert report.provenance["utterances"] == 5
    assert report.provenance["skipped"] == 2
    assert any("cannot be decoded" in one for one in report.provenance["skipped_files"])
    assert "left out" in caplog.text
    with pytest.raises(AudioError, match=r"utterance-00.*cannot be decoded"):
        analyze(model, folder, strict=True)


def test_audio_too_short_for_the_model_is_skipped(folder):
    model = tiny_model("mockingjay")  # needs 30 ms, three stacked frames
    good = analyze(model, folder)
    soundfile.write(folder / "short.wav", 0.1 * np.ones(410), 16_000)
    report = analyze(model, folder)
    assert report.provenance["skipped"] == 1 - (report.provenance["utterances"] - 5)
    if report.provenance["skipped"]:
        pd.testing.assert_frame_equal(report.heads, good.heads)


def test_corpus_without_usable_audio_is_refused(tmp_path):
    (tmp_path / "one.wav").write_text("no audio")
    with pytest.raises(CorpusError, match="its only utterance cannot be used, one: "):
        analyze(tiny_model("mockingjay"), tmp_path)
    (tmp_path / "two.wav").write_text("no audio")
    with pytest.raises(CorpusError, match="none of its 2 utterances can be used; the first, one: "):
        analyze(tiny_model("mockingjay"), tmp_path)


def test_revision_of_a_local_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="the bundled model has no revision main: only models on the Hub do"):
        analyze_model(revision="main")
    with pytest.raises(ModelError, match=r"the folder .* has no revision abc"):
        analyze_model(tmp_path, revision="abc")


class Killed(BaseException):
    """Stands for a kill: nothing may catch it."""


@pytest.mark.parametrize("killed_after", [1, 2, 4])
def test_resumed_run_gives_the_same_report(folder, tmp_path, monkeypatch, killed_after):
    monkeypatch.setattr(batches, "WINDOW_UTTERANCES", 1)
    monkeypatch.setattr(accumulation, "CHECKPOINT_UTTERANCES", 1)
    (folder / "utterance-1b.wav").write_text("this is no audio")
    model = tiny_model("mockingjay")
    whole = analyze(model, folder, output=tmp_path / "whole")
    calls = []
    original = accumulation.CorpusPass._use

    def killing(*arguments):
        calls.append(1)
        if len(calls) > killed_after:
            raise Killed
        original(*arguments)

    monkeypatch.setattr(accumulation.CorpusPass, "_use", killing)
    with pytest.raises(Killed):
        analyze(model, folder, output=tmp_path / "parts")
    assert not (tmp_path / "parts").exists()
    calls.clear()
    monkeypatch.setattr(accumulation.CorpusPass, "_use", lambda *arguments: (calls.append(1), original(*arguments)))
    resumed = analyze(model, folder, output=tmp_path / "parts", resume=True)
    assert len(calls) == 5 - killed_after
    pd.testing.assert_frame_equal(resumed.heads, whole.heads)
    for key in ("utterances", "skipped", "skipped_files", "seconds"):
        assert resumed.provenance[key] == whole.provenance[key]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audio", "parts", "whole"]


def test_checkpoint_of_another_run_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "WINDOW_UTTERANCES", 1)
    monkeypatch.setattr(accumulation, "CHECKPOINT_UTTERANCES", 1)

    def killed(*arguments, **options):
        raise Killed

    model = tiny_model("mockingjay")
    monkeypatch.setattr(HeadReport, "save", killed)
    with pytest.raises(Killed):
        analyze(model, folder, output=tmp_path / "out")
    with pytest.raises(ReportError, match="belongs to another run, which differs in seed; delete it"):
        analyze(model, folder, output=tmp_path / "out", resume=True, seed=1)
    next(model.parameters()).data.add_(0.001)  # as if its folder had been written anew
    with pytest.raises(ReportError, match="belongs to another run, which differs in weights;"):
        analyze(model, folder, output=tmp_path / "out", resume=True)


def test_model_is_loaded_from_a_folder(folder, tmp_path):
    model = tiny_model("wav2vec2-group-norm")
    model.save_pretrained(tmp_path / "my-model")
    from_folder = analyze(str(tmp_path / "my-model"), folder)
    assert from_folder.provenance["model"] == "my-model"
    pd.testing.assert_frame_equal(from_folder.heads, analyze(model, folder).heads)


def test_unknown_devices_are_refused(folder, tmp_path):
    tiny_model("mockingjay").save_pretrained(tmp_path / "model")
    with pytest.raises(ModelError, match="device 'gpu9' cannot be used"):
        analyze(tmp_path / "model", folder, device="gpu9")


@pytest.mark.shared
def test_real_speech_with_alignments_gives_relation_maps(shared_data):
    report = analyze(tiny_model("mockingjay"), shared_data / "timit-sample", limit=6)
    maps = report.tables["relation_maps"]
    assert len(maps) == 12 * 39**2
    joint = maps.groupby(["layer", "head"])["joint"].sum()
    np.testing.assert_allclose(joint, 1, atol=1e-9)
    assert report.provenance["unaligned"] == 0
    assert report.example.phones


@pytest.mark.shared
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"relation_rate": "Model"}, "unknown relation_rate 'Model': choose one of upsampled, model"),
        ({"replicates": 0}, "replicates must be 1 or more, got 0"),
    ],
)
def test_wrong_options_are_refused_before_loading(options, message):
    with pytest.raises(ConfigurationError, match=message):
        analyze_model("nowhere/at-all", **options)


@pytest.mark.parametrize("options", [{"relation_rate": "model"}, {"leave_out_own_segment": True}])
def test_relation_options_change_the_maps_and_are_recorded(shared_data, options):
    model = tiny_model("mockingjay")
    default = analyze(model, shared_data / "timit-sample", limit=2)
    other = analyze(model, shared_data / "timit-sample", limit=2, **options)
    pd.testing.assert_frame_equal(default.heads, other.heads)
    assert not default.tables["relation_maps"]["joint"].equals(other.tables["relation_maps"]["joint"])
    assert options.items() <= dict(other.provenance).items()
    classes = other.tables["relation_maps_by_class"]
    np.testing.assert_allclose(classes.groupby(["layer", "head"])["joint"].sum(), 1, atol=1e-9)
    assert set(other.tables["relation_maps_by_voicing"]["key_phone"]) == {"voiced", "voiceless", "silence"}
