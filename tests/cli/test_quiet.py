"""Log messages of libraries: an unreachable Hub is reported once per command, not twice per try."""

from __future__ import annotations

import logging.handlers

from sat_probe.cli import quiet


def test_retries_are_told_once_and_other_warnings_always(monkeypatch):
    monkeypatch.setattr(quiet, "_told", [])
    monkeypatch.delenv("HF_HUB_VERBOSITY", raising=False)
    quiet.quiet()
    logger = logging.getLogger("huggingface_hub.utils._http")
    shown = logging.handlers.BufferingHandler(100)
    logger.addHandler(shown)
    try:
        for attempt in (1, 2):
            logger.warning("'unknown' thrown while requesting HEAD https://hub/config.json")
            logger.warning(f"Retrying in 1s [Retry {attempt}/5].")
        logger.warning("Rate limited. Waiting 240.0s before retry [Retry 1/5].")
    finally:
        logger.removeHandler(shown)
        logger.removeFilter(quiet._retries_once)
    assert [record.getMessage() for record in shown.buffer] == [
        "The Hub does not answer; trying again for half a minute.",
        "Rate limited. Waiting 240.0s before retry [Retry 1/5].",
    ]
