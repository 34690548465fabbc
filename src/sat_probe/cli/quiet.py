"""Progress bars and log messages of libraries, which would hide the output of a command."""

from __future__ import annotations

import gc
import logging
import os


def quiet() -> None:
    """Silence transformers and datasets, except for their errors and the progress of downloads.

    They are imported here with the garbage collector off, which would search the objects of the imports, all of which
    stay, again and again. A short run takes a fifth less processor time.
    """
    gc.disable()
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

    from datasets import disable_progress_bars
    from transformers import modeling_utils  # noqa: F401 - the longest import
    from transformers.utils import logging as transformers_logging

    gc.freeze()
    gc.enable()
    disable_progress_bars()
    transformers_logging.disable_progress_bar()
    if "HF_HUB_VERBOSITY" not in os.environ:  # set by users who want to see every retry
        logging.getLogger("huggingface_hub.utils._http").addFilter(_retries_once)


_told: list[str] = []


def _retries_once(record: logging.LogRecord) -> bool:
    """Replace the two lines that the client of the Hub logs per failed try by a single line for all tries."""
    text = record.getMessage()
    if " thrown while requesting " not in text and not text.startswith("Retrying in"):
        return True  # another message, such as a wait of minutes that the Hub asks for
    if _told:
        return False
    _told.append(text)
    record.msg, record.args = "The Hub does not answer; trying again for half a minute.", ()
    return True
