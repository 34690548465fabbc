"""The head explorer in a browser: recordings, heads, ablation, a narrow screen; no other host is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import soundfile

from sat_probe.demo.clips import examples
from tests.spaces_demo.conftest import open_tab

SPACE = Path(__file__).parents[2] / "spaces_demo" / "head_explorer"
PATIENCE = 120_000  # ms, for machines that do other things too

pytestmark = pytest.mark.browser


@pytest.fixture
def address(explorer):
    """Where the Space runs."""
    return explorer.url


@pytest.fixture
def visit(browser, address):
    """Open the app and wait for the saved report; errors in the browser fail the test at its end."""
    troubles, contexts = [], []

    def opened(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        inside = (address, "data:", "blob:", "about:")
        page.on("request", lambda request: None if request.url.startswith(inside) else troubles.append(request.url))
        page.goto(address)
        heads(page).locator("#map .main-svg").first.wait_for()
        return page

    opened.expected = ()
    yield opened
    for context in contexts:
        context.close()
    assert [trouble for trouble in troubles if trouble not in opened.expected] == []


def heads(page):
    return page.frame_locator("#heads iframe")


def analyzed(page, name):
    """Press the button, and wait until the recording with this name is shown."""
    page.click("#analyze")
    page.locator("#status", has_text=name).wait_for()
    heads(page).locator("#map-note", has_text=name).wait_for()
    page.locator("#boundaries figure").wait_for()


def test_heads_of_the_saved_report_can_be_opened(visit):
    page = visit()
    assert "A saved report" in page.inner_text("#status")
    assert page.locator("#boundaries figure").count() == 0, "no model has been run"
    title = heads(page).locator("#detail-title")
    heads(page).locator("#grid button").nth(1).focus()
    page.keyboard.press("Enter")
    page.locator("#boundaries figure svg[role=img]").wait_for()
    head = title.inner_text().split(":")[0].lower()
    assert head in page.locator("#boundaries svg").get_attribute("aria-label")
    assert page.locator("#boundaries tbody tr").count() == 3, "the phones of the example are known"


def test_beta_moves_the_boundaries(visit):
    page = visit()
    heads(page).locator("#next").click()
    figure = page.locator("#boundaries svg[role=img]")
    figure.wait_for()
    before = figure.get_attribute("aria-label")
    slider = page.locator("#beta input[type=range]")
    slider.focus()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    page.keyboard.up("ArrowRight")
    page.locator("#beta input[type=number]").fill("5")
    slider.dispatch_event("pointerup")
    page.wait_for_function(
        "before => document.querySelector('#boundaries svg').getAttribute('aria-label') !== before", arg=before
    )


@pytest.mark.parametrize("kind", ["wav", "flac", "mp3"])
def test_an_uploaded_recording_is_analyzed_and_played(visit, tmp_path, kind):
    samples, rate = soundfile.read(next(iter(examples().values())))
    file = tmp_path / f"mine.{kind}"
    soundfile.write(file, samples, rate)
    page = visit()
    page.set_input_files("#recording input[type=file]", file)
    page.locator("#recording").get_by_label("Play").first.wait_for()
    analyzed(page, file.name)
    seconds = heads(page).locator("#audio").evaluate("audio => audio.duration")
    assert seconds == pytest.approx(len(samples) / rate, abs=0.1)
    heads(page).locator("#audio").evaluate("audio => { audio.muted = true; audio.currentTime = 0.5; }")
    heads(page).locator("#playhead-key").wait_for(state="visible")
    analyzed(page, file.name)  # again, although the upload is deleted by now


def test_heads_are_switched_off_with_the_keyboard(visit):
    page = visit(color_scheme="dark")
    assert "dark" in page.locator("body").get_attribute("class")
    assert heads(page).locator("html").get_attribute("data-theme") == "dark"
    page.get_by_role("tab", name="Ablate").click()
    first = page.locator("#ablate-grid [data-head]").first
    first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.locator("#effect h3", has_text="1 head off").wait_for()
    assert page.locator('#ablate-grid [aria-pressed="true"]').get_attribute("data-head") == "1"
    page.locator('#ablate-grid [data-set="global"]').click()
    page.locator("#effect h3", has_text="heads off").wait_for()
    assert page.locator("#effect audio").count() == 3
    durations = page.locator("#effect audio").evaluate_all("players => players.map((player) => player.duration)")
    assert min(durations) > 1
    assert page.locator("#effect svg[role=img][aria-label]").count() == 3  # spectrograms, phones, layers
    page.locator('#ablate-grid [data-set="none"]').click()
    page.locator("#effect", has_text="Switch heads off").wait_for()


def test_everything_fits_on_a_narrow_screen(visit):
    page = visit(viewport={"width": 390, "height": 844}, has_touch=True)
    analyzed(page, "awb-01")
    heads(page).locator("#grid button").nth(2).tap()
    open_tab(page, "Ablate")
    page.locator("#ablate-grid [data-head]").nth(3).tap()
    page.locator("#effect figure svg").first.wait_for()
    for scope in (page, *page.frames[1:]):
        overhang = scope.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overhang <= 1, "nothing needs sideways scrolling"


def test_a_refusal_is_one_line_and_the_next_request_works(visit, tmp_path):
    visit.expected = ("Waveform load error: MediaError",)  # the player of the browser cannot read it either
    page = visit()
    file = tmp_path / "<img src=x onerror=document.title='owned'>.wav"
    file.write_text("this is no audio")
    page.set_input_files("#recording input[type=file]", file)
    page.wait_for_timeout(1000)
    page.click("#analyze")
    toast = page.locator(".toast-body")
    toast.wait_for()
    assert "cannot be read as audio" in toast.inner_text()
    assert "/" not in toast.inner_text().replace("WAV/", "")
    assert page.title() != "owned"
    badges = page.locator("[data-testid=status-tracker] .error")
    assert badges.count()
    assert not any(badge.is_visible() for badge in badges.all()), "they would cover the outputs"
    page.locator("#recording").get_by_label("Clear").click()
    analyzed(page, "awb-01")


def test_other_files_are_not_served(address, browser):
    context = browser.new_context()
    page = context.new_page()
    package = Path(examples()[next(iter(examples()))])
    for path in ("/etc/passwd", SPACE / "app.py", package, package.parents[2] / "__init__.py", "../../etc/passwd"):
        assert page.request.get(f"{address}gradio_api/file={path}").status in (403, 404), path
    context.close()
