"""Several visitors at once: everyone gets the numbers of their own recording. How fast is for benchmarks/demo.py."""

from __future__ import annotations

import time

import pytest

from benchmarks.demo import arrivals, visit
from sat_probe.demo.app import serve
from sat_probe.demo.settings import DemoSettings


def test_nobody_gets_the_answer_of_another(explorer, tmp_path):
    visits = visit(arrivals(explorer, 8, 0.5, tmp_path), seconds=3.0)
    assert not visits.failures
    assert visits.mixed_up == 0
    assert len(visits.seconds) >= 8


@pytest.mark.browser
def test_what_a_visitor_saw_leaves_the_memory_with_them(browser):
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
