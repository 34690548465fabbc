"""Progress bars and notes of libraries that would drown what a command says itself."""

from __future__ import annotations

import os


def quiet() -> None:
    """Silence transformers and datasets, but neither their errors nor the progress of downloads."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

    from datasets import disable_progress_bars
    from transformers.utils import logging

    disable_progress_bars()
    logging.disable_progress_bar()
