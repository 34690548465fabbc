"""Several visitors at once: each gets the numbers of their own recording (benchmarks/demo.py measures the time)."""

from __future__ import annotations

import time

import pytest

from benchmarks.demo import arrivals, visit
from sat_probe.demo.app import serve
from sat_probe.demo.settings import DemoSettings


def test_answers_are_not_mixed_up(explorer, tmp_path):
    visits = visit(arrivals(explorer, 8, 0.5, tmp_path), seconds=3.0)
    assert not visits.failures
    assert visits.mixed_up == 0
    assert len(visits.seconds) >= 8


@pytest.mark.browser
def test_memory_is_freed_when_a_visitor_leaves(browser):
    app = serve(DemoSettings(), block=False, quiet=True)
    try:
        page = browser.new_page()
        page.goto(app.local_url)
        page.frame_locator("#heads iframe").locator("#map .main-svg").first.wait_for(timeout=120_000)
        (state,) = app.state_holder.session_data.values()
        assert sum(len(str(values)) for values in state.config_values.values()) > 100_000
        page.close()
        deadline = time.monotonic() + 30
        while state.config_values and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not state.config_values
    finally:
        app.close(verbose=False)
