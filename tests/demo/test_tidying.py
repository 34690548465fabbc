"""What requests leave in memory goes when there are none for a while."""

from __future__ import annotations

import gc
import time
import weakref

import pytest

from sat_probe.demo import memory as tidying
from sat_probe.demo.errors_and_uploads import guarded


class App:
    """As much of an app as is tidied."""

    def __init__(self, *paths: object) -> None:
        self.temp_file_sets = [set(map(str, paths))]


class Figure:
    """Holds itself, as matplotlib's figures do."""

    def __init__(self) -> None:
        self.canvas = self


def waited(until) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if until():
            return True
        time.sleep(0.01)
    return False


def test_gone_uploads_and_figures_are_forgotten(tmp_path):
    (tmp_path / "kept").touch()
    app, seen = App(tmp_path / "kept", tmp_path / "gone"), weakref.ref(Figure())
    gc.disable()
    try:
        seen = weakref.ref(Figure())
        assert seen() is not None
        tidying.tidy(app)
        assert seen() is None
    finally:
        gc.enable()
    assert app.temp_file_sets == [{str(tmp_path / "kept")}]
    tidying.tidy(None)


@pytest.mark.parametrize("fails", [False, True])
def test_it_is_done_after_a_request_and_not_before(tmp_path, monkeypatch, fails):
    monkeypatch.setattr(tidying, "QUIET", 0.05)
    tidying._worked.clear()
    app = App(tmp_path / "gone")
    tidying.keep_tidy(app)
    time.sleep(0.2)
    assert app.temp_file_sets[0], "nobody asked for anything yet"

    def answer() -> str:
        return str(1 / (not fails))

    try:
        guarded(answer)()
    except Exception:
        assert fails
    assert waited(lambda: not app.temp_file_sets[0])


def test_it_is_done_although_requests_never_cease(tmp_path, monkeypatch):
    monkeypatch.setattr(tidying, "QUIET", 0.05)
    app = App(tmp_path / "gone")
    tidying.keep_tidy(app)

    def busy() -> bool:
        tidying.worked()
        return not app.temp_file_sets[0]

    assert waited(busy)
