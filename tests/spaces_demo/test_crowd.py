"""More requests at once than the queue takes: each is answered or refused, and the next visitor is served."""

from __future__ import annotations

import json
import threading
import urllib.error
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.demo import MODEL, analyzed, recording
from sat_probe.demo.app import serve
from sat_probe.demo.browse import tab as report_tab
from sat_probe.demo.settings import DemoSettings
from tests.spaces_demo.plain_requests import answer_of, asked, called

CROWD = 100
FULL = "Queue is full"


def enter(url: str) -> str | None:
    """Ask for the report; return the event, or None if the queue was full."""
    try:
        return asked(url, "report", [MODEL, None])
    except urllib.error.HTTPError as error:
        if error.code == 503 and FULL in error.read().decode():
            return None
        raise


def stay(url: str, event: str) -> str:
    """Wait for the report and return it."""
    answer = answer_of(url, "report", event)
    assert answer.startswith("event: complete"), answer[:200]
    (shown,) = json.loads(answer.split("data: ", 1)[1])
    assert "MockingjayModel" in shown
    return shown


@pytest.fixture
def pool():
    with ThreadPoolExecutor(CROWD) as pool:
        yield pool


def test_a_hundred_requests_at_once(explorer, pool, tmp_path):
    together = threading.Barrier(CROWD, timeout=60)

    def visitor(_: int) -> str | None:
        together.wait()
        event = enter(explorer.url)
        return event and stay(explorer.url, event)

    shown = [page for page in pool.map(visitor, range(CROWD)) if page is not None]
    assert len(shown) >= DemoSettings().queue_size, "these may wait; none of them was refused"
    status, _ = analyzed(explorer.client(), recording(tmp_path, 0.5, 2))
    assert "visitor-2.wav" in status


def test_a_full_queue_refuses_requests_and_answers_all_others(monkeypatch, pool):
    """The first request waits until all have been sent, so the number of refusals does not depend on timing."""
    settings = DemoSettings(queue_size=10, concurrency=1)
    everyone_asked = threading.Event()

    def slow(report: object) -> str:
        assert everyone_asked.wait(120)
        return "MockingjayModel"

    monkeypatch.setattr(report_tab, "report_html", slow)
    app = serve(settings, block=False, quiet=True)
    try:
        url = app.local_url
        events = [event for event in pool.map(lambda _: enter(url), range(CROWD)) if event is not None]
        everyone_asked.set()
        assert settings.queue_size <= len(events) <= settings.queue_size + settings.concurrency
        assert len(list(pool.map(lambda event: stay(url, event), events))) == len(events)
        assert called(url, "report", [MODEL, None]).startswith("event: complete")
    finally:
        everyone_asked.set()
        app.close(verbose=False)
