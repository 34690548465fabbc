"""The metric Space: an `evaluate` metric, and a page that reads times, TextGrids and .phn files."""

from __future__ import annotations

import importlib.util
import math
import re
from pathlib import Path

import evaluate
import numpy as np
import pandas as pd
import pytest

from sat_probe import boundary_scores
from sat_probe.errors import SatProbeError
from tests.spaces_demo.conftest import NARROW, visiting

SPACE = Path(__file__).resolve().parents[2] / "spaces_demo" / "phoneme_boundary"
REFERENCES, PREDICTIONS = [[0.10, 0.20, 0.30], [0.05], []], [[0.11, 0.32], [], [0.4]]
TEXTGRID = (
    'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n0.5\n<exists>\n1\n'
    '"IntervalTier"\n"phones"\n0\n0.5\n3\n0\n0.1\n"a"\n0.1\n0.3\n"b"\n0.3\n0.5\n"c"\n'
)


@pytest.fixture(scope="module")
def metric():
    return evaluate.load(str(SPACE))


@pytest.fixture(scope="module")
def app():
    spec = importlib.util.spec_from_file_location("phoneme_boundary_app", SPACE / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("counting", ["rasanen", "strict", "lenient"])
def test_metric_equals_the_function(metric, counting):
    result = metric.compute(references=REFERENCES, predictions=PREDICTIONS, counting=counting, tolerance=0.015)
    expected = boundary_scores(REFERENCES, PREDICTIONS, 0.015, counting=counting)
    assert result == {**expected, "counting": counting, "tolerance": 0.015}


def test_batches_and_single_utterances_add_up(metric):
    metric.add_batch(references=REFERENCES[:2], predictions=[np.array(p) for p in PREDICTIONS[:2]])
    metric.add(reference=REFERENCES[2], prediction=PREDICTIONS[2])
    result = metric.compute()
    assert result["counting"] == "rasanen"
    assert result["r_value"] == boundary_scores(REFERENCES, PREDICTIONS, counting="rasanen").r_value
    nothing = metric.compute(references=[[]], predictions=[[]])
    assert nothing["hits"] == 0
    assert math.isnan(nothing["precision"])


def test_metric_refuses_bad_boundaries(metric):
    with pytest.raises(ValueError, match="boundary 0.1 comes after a later one"):
        metric.compute(references=[[0.2, 0.1]], predictions=[[0.1]])


def test_all_formats_give_the_same_boundaries(app, tmp_path):
    for name, text in (
        ("a.TextGrid", TEXTGRID),
        ("a.PHN", "0 1600 a\n1600 4800 b\n4800 8000 c\n"),
        ("a.txt", "[0.1, 0.3]"),
        ("a.csv", "0.1;0.3\r\n"),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert app.boundaries_of("9", str(tmp_path / name), "phones", False, "x").tolist() == [0.1, 0.3], name
    assert app.boundaries_of(TEXTGRID, None, "phones", True, "x").tolist() == [0, 0.1, 0.3, 0.5]
    assert app.boundaries_of(" \n", None, "phones", False, "x").tolist() == []


def test_scores_are_those_of_the_function(app):
    references, predictions = np.array([0.1, 0.25, 0.3]), np.array([0.1, 0.3])
    scores = app.scores_of(references, predictions, 0.02)
    for row in scores.to_dict("records"):
        expected = boundary_scores([references], [predictions], 0.02, counting=row.pop("counting"))
        assert row == dict(expected)
    assert len(scores) == 3


def test_the_rules_differ_on_the_example(app):
    example = [app.boundaries_of(text, None, "phones", False, "x") for text in app.EXAMPLE]
    assert app.scores_of(*example, 0.02)["hits"].is_unique


def test_the_picture_marks_hits_and_misses_and_says_so(app):
    ax, said = app.draw(np.array([0.1, 0.25, 0.3]), np.array([0.1, 0.3]), 0.02, "strict")
    assert said == "strict: 2 of 3 references found within ± 20 ms"
    crosses = [line.get_xdata().tolist() for line in ax.lines if line.get_marker() == "x"]
    assert crosses == [[0.25], []]
    _, said = app.draw(np.arange(1, 1000) / 10, np.array([]), 0.02, "lenient")
    assert said == "lenient: 0 of 999 references found within ± 20 ms; the first 8.00 s are drawn"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.1 abc", "reference: 'abc' is not a time"),
        ("0.2 0.1", "comes after a later one"),
        ("nan", "reference"),
        ("-1 2", "boundary -1.0 is not a time from 0 s on"),
        ("1 " * 1_100_000, "too large; the limit is 2 MB"),
        (" ".join(map(str, range(50_001))), "has 50001 boundaries; the limit is 50000"),
        (TEXTGRID[:90], "reference, line 9: found"),
        (TEXTGRID.replace("phones", "<b>"), "has no tier 'phones'; its tiers: <b>"),
    ],
)
def test_bad_input_is_refused_in_one_line(app, text, message):
    with pytest.raises(SatProbeError, match=message) as raised:
        app.score(text, None, "0.1", None, 20, "strict", "phones", False)
    assert "\n" not in str(raised.value)


def test_a_deleted_file_is_named(app, tmp_path):
    with pytest.raises(SatProbeError, match=r"gone\.TextGrid: has been deleted"):
        app.boundaries_of("", str(tmp_path / "gone.TextGrid"), "phones", False, "x")


@pytest.mark.browser
def test_two_textgrids_are_scored_in_a_browser(browser, metric_space, tmp_path):
    (tmp_path / "reference.TextGrid").write_text(TEXTGRID, encoding="utf-8")
    (tmp_path / "predicted.TextGrid").write_text(TEXTGRID.replace("0.3", "0.26"), encoding="utf-8")
    with visiting(browser, metric_space) as page:
        page.get_by_role("img", name="rasanen: 5 of 8 references").wait_for()
        for name in ("reference", "predicted"):
            page.locator("input[type=file]").first.set_input_files(tmp_path / f"{name}.TextGrid")
            page.get_by_text(f"{name}.TextGrid").first.wait_for()
        page.get_by_label("strict").check()
        page.get_by_role("button", name="Score", exact=True).click()
        page.get_by_role("img", name="strict: 1 of 2 references found within ± 20 ms").wait_for()
        with page.expect_download() as download:
            page.get_by_role("link", name="Save the scores as CSV").click()
        download.value.save_as(tmp_path / "scores.csv")
    scores = pd.read_csv(tmp_path / "scores.csv")
    assert scores["hits"].tolist() == [1, 1, 1]
    assert scores["references"].tolist() == [2, 2, 2]


@pytest.mark.browser
def test_a_narrow_dark_screen_and_an_error_with_markup(browser, metric_space):
    with visiting(browser, metric_space, NARROW, "dark") as page:
        page.get_by_role("img", name="rasanen: 5 of 8 references").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == NARROW
        page.get_by_label("Predicted boundaries", exact=True).fill("0.1 <img/src=x/onerror=document.title=1>")
        page.get_by_role("button", name="Score", exact=True).click()
        page.get_by_text(re.compile("prediction: '<img/src=x.*is not a time")).wait_for()
        assert page.locator("img[src=x]").count() == 0
