from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import evaluate
import numpy as np
import pytest

from sat_probe import boundary_scores

SPACE = Path(__file__).resolve().parents[2] / "spaces_demo" / "phoneme_boundary"
REFERENCES, PREDICTIONS = [[0.10, 0.20, 0.30], [0.05], []], [[0.11, 0.32], [], [0.4]]


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
    result = metric.compute(
        references=REFERENCES, predictions=PREDICTIONS, counting=counting, tolerance=0.015
    )
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


def test_app_reads_times_and_textgrids(app, tmp_path):
    textgrid = (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n0.5\n<exists>\n1\n'
        '"IntervalTier"\n"phones"\n0\n0.5\n3\n0\n0.1\n"a"\n0.1\n0.3\n"b"\n0.3\n0.5\n"c"\n'
    )
    file = tmp_path / "predicted.TextGrid"
    file.write_text(textgrid, encoding="utf-8")
    table, figure = app.score("0.1, 0.25; 0.3", None, "", str(file), 20, "strict", "phones", False)
    assert list(table["counting"]) == ["rasanen", "strict", "lenient"]
    assert list(table["hits"]) == [2, 2, 2]
    assert "2 of 3 references" in figure.axes[0].get_title()
    with_edges, _ = app.score("0 0.1 0.3 0.5", None, textgrid, None, 20, "strict", "phones", True)
    assert list(with_edges["r_value"]) == [1, 1, 1]


@pytest.mark.parametrize(
    ("text", "message"), [("0.1 abc", "paste times in seconds"), ("0.2 0.1", "comes after a later one")]
)
def test_app_says_what_is_wrong(app, text, message):
    with pytest.raises(app.gr.Error, match=message):
        app.score(text, None, "0.1", None, 20, "strict", "phones", False)


@pytest.mark.browser
def test_app_shows_scores_in_a_browser(app, chromium):
    from playwright.sync_api import sync_playwright

    _, url, _ = app.demo.launch(prevent_thread_lock=True, quiet=True)
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
            )
            page = browser.new_page()
            page.goto(url)
            page.get_by_label("Predicted boundaries").fill("0.12 0.20 0.31 0.40 0.55 0.63")
            page.get_by_role("button", name="Score").click()
            page.get_by_text("1", exact=True).first.wait_for(timeout=20_000)
            page.locator("img[src*='data:image'], .plot-container img").first.wait_for(timeout=20_000)
            assert "rasanen" in page.content()
            browser.close()
    finally:
        app.demo.close()
