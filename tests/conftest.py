"""What every test relies on: no network but a local Hub, one thread, and the development corpora where they exist."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

from tests import local_hub

# Before any import of transformers or datasets, which read the Hub's address once.
LOCAL_HUB = local_hub.start()
os.environ.update(GRADIO_ANALYTICS_ENABLED="False", TOKENIZERS_PARALLELISM="false", MPLBACKEND="Agg")

torch.set_num_threads(1)

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, with the reason, what this machine cannot run."""
    no_corpora = pytest.mark.skip(reason="needs the development corpora in ../shared/data")
    no_browser = pytest.mark.skip(reason="needs Chromium (Debian: apt-get install chromium)")
    for item in items:
        if item.get_closest_marker("shared") and not SHARED_DATA.is_dir():
            item.add_marker(no_corpora)
        if item.get_closest_marker("browser") and CHROMIUM is None:
            item.add_marker(no_browser)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of development corpora; the test that asks for it carries the marker `shared`."""
    if not SHARED_DATA.is_dir():
        pytest.skip("needs the development corpora in ../shared/data")
    return SHARED_DATA


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the Chromium executable; the test that asks for it carries the marker `browser`."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian: apt-get install chromium)")
    return CHROMIUM
