"""A misspelt model does not wait for a Hub that is not there, and a Hub that is there is asked as ever."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from sat_probe.errors import ModelError
from sat_probe.studies import hub_reach
from sat_probe.studies.hub_reach import require_hub


@pytest.fixture
def lookups(monkeypatch) -> list[str]:
    """Names that were looked up, all in vain; no proxy."""
    asked: list[str] = []

    def unknown(host, port):
        asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(hub_reach, "getproxies", dict)
    monkeypatch.setattr(hub_reach.socket, "getaddrinfo", unknown)
    return asked


def test_a_hub_that_is_not_found_twice_is_said(lookups):
    with pytest.raises(ModelError, match="org/misspelt: no folder here is called so, and the Hub cannot"):
        require_hub("org/misspelt", pause=0.0)
    assert len(lookups) == 2


def test_a_name_found_at_the_second_try_is_enough(lookups, monkeypatch):
    failing = hub_reach.socket.getaddrinfo

    def second(host, port):
        return [] if lookups else failing(host, port)

    monkeypatch.setattr(hub_reach.socket, "getaddrinfo", second)
    require_hub("org/model", pause=0.0)
    assert len(lookups) == 1


@pytest.mark.parametrize("name", ["/no/such/folder", "./here", "a/b/c"])
def test_what_is_no_name_on_the_hub_is_not_looked_up(name, lookups):
    require_hub(name)
    assert lookups == []


def test_folders_cached_models_and_proxies_are_left_to_the_client(lookups, monkeypatch, tmp_path):
    require_hub(str(tmp_path))
    monkeypatch.setattr(hub_reach, "try_to_load_from_cache", lambda *_, **__: "/cache/config.json")
    require_hub("org/cached")
    monkeypatch.undo()
    monkeypatch.setattr(hub_reach, "getproxies", lambda: {"https": "http://proxy"})
    require_hub("org/model")
    assert lookups == []


def test_a_misspelt_model_without_network_is_one_line():
    environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        [sys.executable, "-m", "sat_probe", "analyze", "--json", "facebook/hubert-bse-ls960"],
        env={**environment, "HF_ENDPOINT": "http://nowhere.invalid"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "Error: facebook/hubert-bse-ls960: no folder here is called so, and the Hub cannot be reached; check the "
        "name, or the network\n"
    )
