"""Fixtures of the tests that talk to the local Hub with the real clients."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace

import huggingface_hub
import pytest

from tests.conftest import LOCAL_HUB
from tests.local_hub import TOKEN, LocalHub


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any name but loopback is refused: a client that asks the world fails the test that made it ask."""
    genuine = socket.getaddrinfo

    def guarded(host: object, *arguments: object, **options: object) -> object:
        if host not in {"127.0.0.1", "localhost", b"127.0.0.1", b"localhost", None}:
            raise socket.gaierror(f"the tests may not ask for {host!r}")
        return genuine(host, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", guarded)


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits the Hub client and the retry around it would have slept, in seconds; nobody sleeps them."""
    waits: list[float] = []
    shim = SimpleNamespace(**{name: getattr(time, name) for name in ("time", "monotonic", "perf_counter")})
    shim.sleep = waits.append
    monkeypatch.setattr("huggingface_hub.utils._http.time", shim)
    monkeypatch.setattr("huggingface_hub.file_download.time", shim)
    monkeypatch.setattr("sat_probe.hub.commit.time", shim)
    monkeypatch.setattr("sat_probe.hub.failures.time", shim)
    return waits


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, sleeps: list[float]) -> Iterator[LocalHub]:
    """An empty local Hub, cold caches, and the token of its owner in the environment."""
    LOCAL_HUB.reset()
    for cache in ("hub", "datasets", "modules", "metrics", "evaluate"):
        shutil.rmtree(LOCAL_HUB.folder / "home" / cache, ignore_errors=True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr("datasets.config.USE_PARQUET_EXPORT", False)  # else load_dataset asks datasets-server.127.0.0.1
    huggingface_hub.HfFileSystem.clear_instance_cache()
    yield LOCAL_HUB
    LOCAL_HUB.reset()


@pytest.fixture(params=["lfs", "xet"])
def lane(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways in which large files travel."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", request.param == "lfs")
    return str(request.param)
