"""Progress bars and notes of libraries that would drown what a command says itself."""

from __future__ import annotations

import logging
import os


def quiet() -> None:
    """Silence transformers and datasets, but neither their errors nor the progress of downloads."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

    from datasets import disable_progress_bars
    from transformers.utils import logging as transformers_logging

    disable_progress_bars()
    transformers_logging.disable_progress_bar()
    if "HF_HUB_VERBOSITY" not in os.environ:  # who sets it wants to see every try
        logging.getLogger("huggingface_hub.utils._http").addFilter(_retries_once)


_told: list[str] = []


def _retries_once(record: logging.LogRecord) -> bool:
    """Of the two lines that the Hub's client logs per failed try, one in all: that it waits."""
    text = record.getMessage()
    if " thrown while requesting " not in text and not text.startswith("Retrying in"):
        return True  # a wait that the Hub asks for may take minutes
    if _told:
        return False
    _told.append(text)
    record.msg, record.args = "The Hub does not answer; trying again for half a minute.", ()
    return True
