"""Make the screenshots in docs/demo.md: the demo in a browser, light, dark, and on a narrow screen.

    python scripts/make_demo_screenshots.py

Needs the extra `test` and Chromium (Debian: apt-get install chromium).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright

from sat_probe.demo.app import serve
from sat_probe.demo.settings import DemoSettings

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
WIDE, TALL = ViewportSize(width=1280, height=1500), ViewportSize(width=1280, height=2180)
NARROW = ViewportSize(width=390, height=844)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]


def analyzed(page: Page, address: str) -> None:
    """Open the demo and analyze its first example."""
    page.goto(address)
    page.frame_locator("#heads iframe").locator("#map .main-svg").first.wait_for()
    page.click("#analyze")
    page.locator("#boundaries figure svg").wait_for()
    page.locator("#boundaries caption").wait_for()
    page.wait_for_timeout(1000)  # until the frame of the saved report is gone
    page.frame_locator("#heads iframe").locator('html[data-ready="true"]').wait_for()


def ablated(page: Page) -> None:
    """Switch all diagonal heads off."""
    page.get_by_role("tab", name="Ablate").click()
    page.locator('#ablate-grid [data-set="diagonal"]').click()
    page.locator("#effect figure svg").first.wait_for()


def shoot(page: Page, name: str, start: str | None = None) -> None:
    """Save a screenshot of the page from its top, or from an element on."""
    if start is None:
        page.evaluate("scrollTo(0, 0)")
    else:
        page.locator(start).scroll_into_view_if_needed()
        page.evaluate("selector => document.querySelector(selector).scrollIntoView()", start)
    page.wait_for_timeout(1500)  # the plots in the frame are drawn a moment later
    page.screenshot(path=FIGURES / f"demo-{name}.png")


def main() -> None:
    """Make all screenshots."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    app = serve(DemoSettings(), block=False, quiet=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for theme in ("light", "dark"):
            page = browser.new_page(viewport=WIDE, color_scheme=theme)
            page.set_default_timeout(120_000)
            analyzed(page, app.local_url)
            shoot(page, f"explore-{theme}")
            page.set_viewport_size(TALL)
            ablated(page)
            shoot(page, f"ablate-{theme}")
            page.close()
        page = browser.new_page(viewport=NARROW, color_scheme="light", has_touch=True)
        page.set_default_timeout(120_000)
        analyzed(page, app.local_url)
        shoot(page, "narrow-explore", "#heads")
        shoot(page, "narrow-boundaries", "#beta")
        ablated(page)
        shoot(page, "narrow-ablate")
        browser.close()
    app.close(verbose=False)


if __name__ == "__main__":
    main()
