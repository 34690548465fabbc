"""Progress within one utterance: an hour of audio is one step of a bar that counts utterances."""

from __future__ import annotations

import time
from typing import Any

from tqdm.auto import tqdm

from sat_probe.models.attention.probe import AttentionBlock

SHOWN_FROM = 60.0  # seconds of audio; what is shorter is soon over
_INTERVAL = 0.5  # seconds between two looks


class Headway:
    """An observer that writes beside a bar how much of an utterance's attention was seen, and how long the rest takes.

    Args:
        bar: to write on.
        utterance: its id.
        rows: of attention weights in all: layers x heads x frames.
    """

    def __init__(self, bar: tqdm[Any], utterance: str, rows: int) -> None:
        self.bar, self.utterance, self.rows = bar, utterance, rows
        self.seen = 0
        self.begun = self.shown = time.monotonic()

    def observe(self, block: AttentionBlock) -> None:
        """Count the rows of a block."""
        self.seen += block.row_entropy.numel()
        now = time.monotonic()
        if now - self.shown < _INTERVAL:
            return
        self.shown = now
        left = (now - self.begun) * (self.rows / self.seen - 1)
        self.bar.set_postfix_str(
            f"{self.utterance}: {self.seen / self.rows:.0%}, {tqdm.format_interval(left)} left"
        )
