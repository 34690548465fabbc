"""Requests to a running Space without Gradio's client, which would check them and share one stream of answers."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Sequence

PATIENCE = 120  # seconds, for machines that do other things too


def asked(url: str, name: str, data: Sequence[object]) -> str:
    """Send a request to an endpoint of the Space at `url`; return the event to listen to.

    Raises:
        urllib.error.HTTPError: if it was refused; its text says why.
    """
    request = urllib.request.Request(
        f"{url}gradio_api/call/{name}", json.dumps({"data": data}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        return str(json.load(answer)["event_id"])


def answer_of(url: str, name: str, event: str) -> str:
    """Return all that is sent for an event, over its own connection: "event: complete" or "event: error", and data."""
    with urllib.request.urlopen(f"{url}gradio_api/call/{name}/{event}", timeout=PATIENCE) as answer:
        return answer.read().decode()


def called(url: str, name: str, data: Sequence[object]) -> str:
    """Send a request and return the answer."""
    return answer_of(url, name, asked(url, name, data))
