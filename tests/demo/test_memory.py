"""Memory is freed after requests, when there are none for a while."""

from __future__ import annotations

import gc
import time
import weakref

import pytest

from sat_probe.demo import memory
from sat_probe.demo.errors import guard


class App:
    """The part of an app that `free_memory` uses."""

    def __init__(self, *paths: object) -> None:
        self.temp_file_sets = [set(map(str, paths))]


class Figure:
    """Refers to itself, as figures of matplotlib do."""

    def __init__(self) -> None:
        self.canvas = self


def happens(condition) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def test_deleted_uploads_and_figures_are_forgotten(tmp_path):
    (tmp_path / "kept").touch()
    app, seen = App(tmp_path / "kept", tmp_path / "gone"), weakref.ref(Figure())
    gc.disable()
    try:
        seen = weakref.ref(Figure())
        assert seen() is not None
        memory.free_memory(app)
        assert seen() is None
    finally:
        gc.enable()
    assert app.temp_file_sets == [{str(tmp_path / "kept")}]
    memory.free_memory(None)


@pytest.mark.parametrize("fails", [False, True])
def test_memory_is_freed_after_a_request_and_not_before(tmp_path, monkeypatch, fails):
    monkeypatch.setattr(memory, "QUIET", 0.05)
    memory._requested.clear()
    app = App(tmp_path / "gone")
    memory.free_memory_when_idle(app)
    time.sleep(0.2)
    assert app.temp_file_sets[0], "there was no request yet"

    def answer() -> str:
        return str(1 / (not fails))

    try:
        guard(answer)()
    except Exception:
        assert fails
    assert happens(lambda: not app.temp_file_sets[0])


def test_memory_is_freed_even_if_requests_never_pause(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "QUIET", 0.05)
    app = App(tmp_path / "gone")
    memory.free_memory_when_idle(app)

    def busy() -> bool:
        memory.request_done()
        return not app.temp_file_sets[0]

    assert happens(busy)
