"""The Explore tab: its numbers are those of the library, and recordings stay in their session and are deleted."""

from __future__ import annotations

import html
import json
import re
import shutil
from dataclasses import replace

import gradio as gr
import numpy as np
import pytest

from sat_probe import analyze_model
from sat_probe.demo.browse import published
from sat_probe.demo.clips import bundled_clip, example_clip, examples, uploaded_alignment
from sat_probe.demo.explore import tab as explore_tab
from sat_probe.demo.session import Session, categories_of
from sat_probe.demo.settings import DemoSettings
from sat_probe.errors import AlignmentError, AudioError, ConfigurationError
from sat_probe.measures.boundaries.score import boundary_scores
from sat_probe.phones.readers.textgrid import write_textgrid
from sat_probe.studies.choices import ModelChoice
from sat_probe.studies.inputs import open_model
from sat_probe.studies.segmentation.sources import Settings, Source, model_boundaries

SETTINGS = DemoSettings({"bundled": ModelChoice()})
EXAMPLE = next(iter(examples()))


@pytest.fixture(scope="module")
def model():
    return open_model(ModelChoice(device="cpu"))


def content_of(frame: str) -> dict:
    page = html.unescape(re.search(r'srcdoc="(.*?)"', frame, re.DOTALL)[1])
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def analyze(recording=None, alignment=None, session=Session(), settings=SETTINGS):  # noqa: B008 - it is frozen
    return explore_tab.analyze(settings, "bundled", EXAMPLE, recording, alignment, session, 0.3, 1.2)


def upload(tmp_path, name="mine.flac"):
    path = tmp_path / name
    shutil.copy(examples()[EXAMPLE], path)
    return str(path)


def test_the_metrics_are_those_of_analyze_model(tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    shutil.copy(examples()[EXAMPLE], corpus)
    report = analyze_model(None, corpus, device="cpu", progress=False)
    truth = report.heads.sort_values(["layer", "head"])
    session, status, frame, _ = analyze()
    shown = content_of(frame)["heads"]
    for name in ("globalness", "verticality", "diagonality", "max_weight", "mean_offset_ms", "spread_ms"):
        np.testing.assert_allclose([head[name] for head in shown], truth[name], rtol=2e-4, err_msg=name)
    assert [head["category"] for head in shown] == list(truth["category"])
    assert session.categories == categories_of(report)
    assert f"{len(session.clip.waveform) / 16_000:.1f} s" in status


def test_the_boundaries_and_their_scores_are_those_of_the_study(model):
    clip = example_clip(EXAMPLE)
    layer, head = 2, 3
    truth = dict(model_boundaries(model, clip.waveform, Settings(alphas=(0.3,), betas=(1.2,))))
    expected = truth[Source("attention", layer, head)][0]
    assert len(expected), "there is something to compare"
    session = Session(clip, head=(layer, head))
    shown = explore_tab.predict(session, 0.3, 1.2)
    assert f"the {len(expected)} phone boundaries predicted by layer {layer}, head {head}" in shown
    for rule in ("rasanen", "strict", "lenient"):
        scores = boundary_scores([clip.alignment.boundaries()], [expected], 0.02, counting=rule)
        row = re.search(rf'<th scope="row">{rule}</th>(.*?)</tr>', shown)[1]
        cells = re.findall(r"<td>(.*?)</td>", row)
        assert cells[0] == f"{scores.hits} of {scores.references}"
        assert cells[1:3] == [f"{scores.precision:.3f}", f"{scores.recall:.3f}"]
        assert cells[-1] == f"{scores.r_value:.3f}"
    more = explore_tab.predict(session, 0.3, 5.0)
    assert int(re.search(r"the (\d+) phone boundaries", more)[1]) != len(expected), "beta has an effect"


def test_an_upload_is_deleted_and_kept_only_in_its_session(tmp_path):
    path = upload(tmp_path)
    session, *_ = analyze(path)
    assert not list(tmp_path.iterdir())
    assert session.clip.name == "mine.flac"
    again, *_ = analyze(path, session=session)
    assert again.clip is session.clip
    with pytest.raises(AudioError, match=r"mine\.flac: has been deleted"):
        analyze(path)


def test_a_refused_upload_is_deleted_too(tmp_path):
    path = upload(tmp_path)
    with pytest.raises(AudioError, match="too long; the limit is 1 s"):
        analyze(path, settings=replace(SETTINGS, max_seconds=1.0))
    assert not list(tmp_path.iterdir())


def test_phones_that_do_not_fit_are_left_out_with_a_warning(tmp_path):
    file = tmp_path / "a.phn"
    file.write_text("0 100 a\n100 200 b\n")
    path = upload(tmp_path)
    with pytest.warns(UserWarning, match="without its phones. a.phn: ends at"):
        session, status, *_ = analyze(path, str(file))
    assert session.clip.alignment is None
    assert session.sent == (path, None)
    assert "mine.flac" in status
    assert not list(tmp_path.iterdir())


def test_uploads_are_deleted_if_the_model_is_not_offered(tmp_path):
    path = upload(tmp_path)
    with pytest.raises(ConfigurationError):
        explore_tab.analyze(SETTINGS, "org/evil", EXAMPLE, path, None, Session(), 0.3, 1.2)
    assert not list(tmp_path.iterdir())


def test_a_textgrid_gives_scores_and_labels_of_the_axes(tmp_path):
    clip = example_clip(EXAMPLE)
    grid = tmp_path / "mine.TextGrid"
    write_textgrid(grid, clip.alignment)
    path = upload(tmp_path)
    without, *_ = analyze(path)
    _, _, frame, scores = analyze(path, str(grid), session=without)
    assert [label for *_, label in content_of(frame)["example"]["phones"]] == list(clip.alignment.labels)
    assert f"{len(clip.alignment.boundaries())} true boundaries" in scores
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0 100 a\n100 200 b\n", "but mine.flac is"),
        ("", "holds no segment"),
        ("not an alignment", "line 1"),
        ('File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n9\n<exists>\n0\n', "TextGrid"),
    ],
)
def test_alignments_that_do_not_fit_are_refused(tmp_path, content, message):
    file = tmp_path / "a.phn"
    file.write_text(content)
    clip = replace(example_clip(EXAMPLE), name="mine.flac")
    with pytest.raises(AlignmentError, match=message) as raised:
        uploaded_alignment(file, clip, SETTINGS)
    assert str(tmp_path) not in str(raised.value)


def test_markup_in_a_name_stays_text(tmp_path):
    session, status, frame, boundaries = analyze(upload(tmp_path, "<img src=x onerror=alert(1)>.flac"))
    assert session.clip.name.startswith("<img")
    for shown in (status, frame, boundaries):
        assert "<img" not in shown
    page = html.unescape(re.search(r'srcdoc="(.*?)"', frame, re.DOTALL)[1])
    assert "<img" not in page


def test_a_new_session_stands_for_the_bundled_report():
    report = published.bundled_report()
    clip = Session().shown_clip
    assert clip.name == report.example.id
    assert Session().model == ModelChoice()
    assert Session().refinement == ""
    assert Session().categories == categories_of(report)
    assert content_of(explore_tab.saved_page())["example"]["id"] == clip.name


def test_heads_that_do_not_exist_are_refused():
    choose = explore_tab.choose
    session, shown = choose(Session(), 0.3, 1.2, gr.EventData(None, {"layer": 1, "head": 2}))
    assert session.head == (1, 2)
    assert "layer 1, head 2" in shown
    with pytest.raises(ConfigurationError, match="has no head 99 in layer 1"):
        choose(Session(), 0.3, 1.2, gr.EventData(None, {"layer": 1, "head": 99}))
    for sent in ({}, {"layer": "1", "head": 2}, {"layer": 1, "head": None}):
        with pytest.raises(ConfigurationError, match="no head was chosen"):
            choose(Session(), 0.3, 1.2, gr.EventData(None, sent))


def test_the_bundled_report_is_of_the_bundled_model_and_speech(model):
    """Where this fails, the bundled model changed: run scripts/make_demo_report.py."""
    report = published.bundled_report()
    clip = bundled_clip(report.example.id)
    maps = model.encode([clip.waveform], output_attentions=True).attentions
    layer, head = model.num_probed_layers - 1, 0
    kept = report.example.weights(layer, head)
    np.testing.assert_allclose(kept, maps[layer][0, head], atol=0.01)
    size = sum(file.stat().st_size for file in published.bundled_report_folder().iterdir())
    assert size < 1_500_000
