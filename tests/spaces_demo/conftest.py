"""Both Spaces, each run as on the Hub: `python app.py` in its own folder and process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from benchmarks.demo import Space, running
from sat_probe.reports.head_report import push_report
from tests.conftest import LOCAL_HUB
from tests.hub.made_reports import made_report
from tests.local_hub import TOKEN

NARROW = 390  # pixels
PUBLISHED = "me/heads-to-browse"
STRANGE = 'org/<img src=x onerror="document.title=1">{{name}}'


@pytest.fixture(scope="session")
def explorer() -> Iterator[Space]:
    """The head explorer with a published dataset of reports of two models, one of them with markup in its name."""
    LOCAL_HUB.reset()
    for seed, model in enumerate(("org/plain", STRANGE)):
        push_report(made_report(model, seed=seed), PUBLISHED, pictures=False, token=TOKEN)
    with running("head_explorer", REPORTS=PUBLISHED, HF_TOKEN=TOKEN, OMP_NUM_THREADS="1") as space:
        yield space


@pytest.fixture(scope="session")
def metric_space() -> Iterator[Space]:
    """The metric Space."""
    with running("phoneme_boundary") as space:
        yield space


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """One Chromium for all tests, which open their own pages."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield launched
        launched.close()


@contextmanager
def visiting(browser: Browser, space: Space, width: int = 1200, theme: str = "light") -> Iterator[Page]:
    """Open a page of a Space; it fails if the page asks another host or writes an error to the console."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)  # type: ignore[arg-type]
    page.set_default_timeout(60_000)
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        page.goto(f"{space.url}?__theme={theme}")
        yield page
        foreign = [url for url in asked if not url.startswith((space.url, "data:", "blob:"))]
        assert not foreign
        assert not said
    finally:
        page.close()


def open_tab(page: Page, name: str) -> None:
    """Choose a tab, which may be in the overflow menu."""
    page.locator("[role=tablist]").first.wait_for()
    tab = page.get_by_role("tab", name=name)
    menu = page.locator(".overflow-menu > button")
    chosen = page.get_by_role("tab", name=name, selected=True)
    tab.or_(menu).first.wait_for()
    for _ in range(5):  # a click is lost if the row of tabs is being laid out again
        if not tab.count():
            menu.click()
            page.locator(".overflow-dropdown button", has_text=name).click()
            return
        tab.first.click()
        with suppress(PlaywrightTimeout):
            chosen.first.wait_for(timeout=5000)
            return
    raise AssertionError(f"the tab {name!r} does not open")
