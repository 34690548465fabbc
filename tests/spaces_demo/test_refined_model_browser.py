"""The head explorer in a browser with a model that lost heads: only the heads that are left are offered."""

from __future__ import annotations

import pytest

from sat_probe import refine
from sat_probe.demo.ablate.tab import REMOVED
from sat_probe.demo.app import serve
from sat_probe.demo.settings import DemoSettings, named_models
from tests.spaces_demo.conftest import open_tab

PATIENCE = 120_000  # ms, for machines that do other things too
GONE = [(0, 0), (0, 1), *((3, head) for head in range(6))]

pytestmark = pytest.mark.browser


@pytest.fixture
def page(browser, tmp_path):
    """The demo, whose only model lacks two heads of layer 0 and all of layer 3, after an analysis."""
    refine(None, remove=GONE).save_pretrained(tmp_path / "smaller")
    app = serve(DemoSettings(named_models([str(tmp_path / "smaller")])), block=False, quiet=True)
    errors = []
    opened = browser.new_page()
    opened.set_default_timeout(PATIENCE)
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    try:
        opened.goto(app.local_url)
        opened.frame_locator("#heads iframe").locator("#map .main-svg").first.wait_for()
        opened.click("#analyze")
        opened.locator("#status", has_text="8 of 36 heads were removed").wait_for()
        yield opened
        assert not errors
    finally:
        opened.close()
        app.close(verbose=False)


def test_explore_and_ablate_offer_only_present_heads(page):
    heads = page.frame_locator("#heads iframe")
    heads.locator("#grid button").nth(28).wait_for(state="detached")
    assert heads.locator("#grid button").count() == 28
    heads.locator("#grid button").last.click()  # layer 0, head 5: the grid starts with the last layer
    page.locator("#boundaries svg[aria-label*='layer 0, head 5']").wait_for()

    open_tab(page, "Ablate")
    page.locator("#ablate-grid .sat-absent").first.wait_for()
    assert page.locator("#ablate-grid [data-head]").count() == 28
    absent = page.locator("#ablate-grid .sat-absent")
    assert absent.count() == 8
    assert page.get_by_text(REMOVED).is_visible()
    absent.first.click()
    assert page.locator('#ablate-grid [aria-pressed="true"]').count() == 0

    focused = "[document.activeElement.dataset.layer, document.activeElement.dataset.head].join('.')"
    page.locator('#ablate-grid [data-layer="4"][data-head="0"]').focus()
    for key, place in (("Down", "2.0"), ("Down", "1.0"), ("Down", "0.2"), ("Left", "0.2"), ("Up", "1.2")):
        page.keyboard.press(f"Arrow{key}")
        assert page.evaluate(focused) == place
    page.keyboard.press("Space")
    page.locator("#effect h3", has_text="1 head off").wait_for()
    assert page.locator("#effect svg[role=img][aria-label]").count() >= 1
