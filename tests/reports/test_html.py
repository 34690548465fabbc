"""The page of a report: size, content, and behaviour in a browser."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.page.render import PLOTLY, render_page
from sat_probe.studies.example_utterance import segmented_example
from tests.reports.report_to_draw import RATE, head_table, report_to_draw


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    return write_page(report_to_draw(), tmp_path_factory.mktemp("page"))


def write_page(report: HeadReport, folder: Path) -> Path:
    page = folder / "report.html"
    page.write_text(render_page(report), encoding="utf-8")
    return page


PLOTLY_SHA256 = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"  # of scripts/vendor_plotly.py


def test_plotly_is_what_npm_has():
    packed = (files("sat_probe") / "reports" / "page" / PLOTLY).read_bytes()
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() == PLOTLY_SHA256


def content_of(page: str) -> dict:
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_page_is_self_contained_and_escapes_markup_in_names(page_file):
    page = page_file.read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert not re.search(r'(?:src|href)="(?!#|data:)', page), "everything is inside the page"
    assert "<b>model</b>" not in page
    assert "org/&lt;b&gt;model&lt;/b&gt; &amp; {{data}}</title>" in page
    content = content_of(page)
    assert content["provenance"]["model"] == "org/<b>model</b> & {{data}}"
    assert len(content["heads"]) == 6
    assert content["relations"][0]["phones"] == ["sil", "aa", "s", "t"]
    assert content["example"]["shape"] == [2, 3, 60]


def test_a_page_of_144_heads_stays_under_5_mb():
    from tests.reports.examples import example_of_weights

    rng = np.random.default_rng(0)
    frames = 199  # 4 s of a model with 20 ms frames
    weights = rng.dirichlet(np.full(frames, 0.3), (12, 12, frames)).astype(np.float32)
    report = report_to_draw(12, 12, frames=40)
    cells = report.tables["relation_maps"]
    phones = [f"p{index}" for index in range(39)]
    index = cells.iloc[np.repeat(np.arange(0, len(cells), 16), 39 * 39)].reset_index(drop=True)
    index["query_phone"] = np.tile(np.repeat(phones, 39), 144)
    index["key_phone"] = np.tile(phones, 144 * 39)
    for column in ("relation", "low", "high"):
        index[column] = rng.normal(0, 2, len(index))
    report.tables["relation_maps"] = index
    audio = 0.3 * rng.standard_normal(4 * RATE)  # noise: no real speech is larger
    example = example_of_weights("noise", audio, RATE, 0.0125 + 0.02 * np.arange(frames), weights)
    report = replace(report, example=example)
    page = render_page(report)
    content = content_of(page)
    assert len(page.encode()) < 5_000_000
    side = content["example"]["shape"][2]
    assert content["example"]["averaged"] == -(-frames // side) > 1
    assert len(content["example"]["times"]) == side


def test_page_without_alignments():
    content = content_of(render_page(report_to_draw(aligned=False)))
    assert content["relations"] == []
    assert content["example"]["phones"] == []


def segmented_report():
    """The report with settings and scores of segmentation for each head, as the study adds them."""
    report = report_to_draw()
    heads = head_table()[["layer", "head"]].astype("Int64")
    scores = heads.assign(source="attention", alpha=0.5, beta=1.2, r_value=[0.5, 0.8, 0.3, 0.2, 0.6, 0.1])
    table = pd.concat([scores, pd.DataFrame([{"source": "mfcc", "r_value": 0.7}])])
    described = {"upsampling_factor": 1, "attention_features": "rows"}
    return replace(
        report,
        tables={**report.tables, "segmentation": table},
        provenance=report.provenance.replace(segmentation=described),
        example=segmented_example(report.example, table, described),
    )


def test_segmentation_scores_are_shown_with_their_head():
    content = content_of(render_page(segmented_report()))
    assert [head["r_value"] for head in content["heads"]] == [0.5, 0.8, 0.3, 0.2, 0.6, 0.1]
    assert content["example"]["boundaries"]["0.0"] == [], "all its rows are the same"
    predicted = np.array(content["example"]["boundaries"]["0.1"])
    edges = np.array([start for start, _, _ in content["example"]["phones"][1:]])
    assert len(predicted)
    assert np.abs(predicted[:, None] - edges).min(axis=1).max() <= 0.021, "an identity head sees phones begin"


def test_provenance_of_a_study_is_shown_without_repetition():
    report = segmented_report()
    settings = {"speakers": {"test": [f"s{n}" for n in range(40)]}, "split": None, "r_value": 0.61127064951}
    segmentation = {**settings, "model": report.provenance["model"]}
    report = replace(report, provenance=report.provenance.replace(segmentation=segmentation))
    shown = content_of(render_page(report))["provenance"]["segmentation"]
    assert shown == (
        "speakers (test [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, ... 40 in all]), r_value 0.6113"
    )


def open_page(browser, file: Path, **options):
    """A page whose errors and requests are collected."""
    page = browser.new_context(**options).new_page()
    page.troubles = []
    note = page.troubles.append
    page.on("console", lambda message: note(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: note(str(error)))
    inside = ("file:", "data:", "blob:")
    page.on("request", lambda request: None if request.url.startswith(inside) else note(request.url))
    page.goto(file.as_uri())
    page.wait_for_selector('html[data-ready="true"]')
    return page


def wait_until(page, condition: str) -> None:
    """The page's own security policy forbids the browser's way of waiting for an expression."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"the page never came to {condition}")


@pytest.mark.browser
def test_table_sorts_and_filters(browser, page_file):
    page = open_page(browser, page_file)
    page.click("#table thead >> text=globalness")
    shown = [float(text) for text in page.locator("#table tbody tr td:nth-child(3)").all_inner_texts()]
    expected = sorted(head_table()["globalness"].round(3), reverse=True)
    assert shown == pytest.approx(expected, abs=1e-3)
    page.click("#table thead >> text=globalness")
    assert [float(text) for text in page.locator("#table tbody tr td:nth-child(3)").all_inner_texts()] == shown[::-1]
    page.fill("#find", "to sil")
    assert page.locator("#table tbody tr").count() == 2
    assert page.inner_text("#count") == "2 of 6 heads"
    page.fill("#find", "")
    page.uncheck('input[value="global"]')
    assert page.locator("#table tbody tr").count() == 4
    assert page.troubles == []


def hover_over(plot, across, down):
    """Move the mouse over a plot, once it is in view and no longer moves."""
    plot.scroll_into_view_if_needed()
    plot.hover(trial=True)
    box = plot.bounding_box()
    for step in (0.0, 0.03):
        plot.hover(position={"x": box["width"] * (across + step), "y": box["height"] * (down + step)})


@pytest.mark.browser
def test_click_opens_a_head_and_hover_shows_phones(browser, page_file):
    page = open_page(browser, page_file)
    page.click('#grid button[aria-label="layer 0, head 1, vertical"]')
    assert page.inner_text("#detail-title") == "Layer 0, head 1: vertical"
    assert "identity" in page.inner_text("#operations")
    hover_over(page.locator('#map .nsewdrag[data-subplot="xy"]'), 0.5, 0.55)
    page.wait_for_selector("#map .hovertext")
    phone = "(sil|aa|s|t)"
    hover = page.text_content("#map .hovertext")
    assert re.search(rf"query \d\.\d+ s {phone}key \d\.\d+ s {phone}weight \d", hover), hover
    hover_over(page.locator("#relation .nsewdrag").first, 0.3, 0.3)
    page.wait_for_selector("#relation .hovertext")
    assert re.search(r"query \w+ → key \w+relation -?\d+\.\d\d \(95 %", page.text_content("#relation .hovertext"))
    page.click("#next")
    assert page.inner_text("#detail-title") == "Layer 0, head 2: diagonal"
    assert page.troubles == []


@pytest.mark.browser
def test_boundaries_of_a_head_are_drawn_on_the_spectrogram(browser, tmp_path):
    page = open_page(browser, write_page(segmented_report(), tmp_path))
    assert page.is_visible("#boundaries-note")
    assert "R-value" in page.inner_text("#table thead")
    assert page.evaluate("byName('map').layout.shapes.filter((shape) => shape.xref === 'x3').length") > 4
    assert page.troubles == []


@pytest.mark.browser
def test_the_playhead_moves_along_both_axes(browser, page_file):
    page = open_page(browser, page_file)
    wait_until(page, "byName('audio').readyState >= 1")
    places = []
    for moment in (0.3, 0.9):
        page.evaluate(f"byName('audio').currentTime = {moment}")
        wait_until(page, f"!byName('audio').seeking && Math.abs(byName('audio').currentTime - {moment}) < 0.05")
        page.wait_for_timeout(150)
        boxes = [page.locator(f"#playhead-{axis}").bounding_box() for axis in ("key", "query")]
        places.append(boxes)
    (key, query), (later_key, later_query) = places
    assert later_key["x"] > key["x"] + 20
    assert later_query["y"] > query["y"] + 20
    assert page.troubles == []


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_works_on_a_phone_and_with_the_keyboard(browser, page_file, scheme):
    page = open_page(browser, page_file, viewport={"width": 390, "height": 844}, has_touch=True, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.focus('#grid button[aria-label="layer 1, head 0, global"]')
    page.keyboard.press("Enter")
    assert page.inner_text("#detail-title") == "Layer 1, head 0: global"
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(20, 23, 26)") == (scheme == "dark")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != paper
    assert page.troubles == []


@pytest.mark.browser
def test_page_without_alignments_says_how_to_add_them(browser, tmp_path):
    page = open_page(browser, write_page(report_to_draw(aligned=False), tmp_path))
    assert "sat-probe align" in page.inner_text(".missing")
    assert page.troubles == []
