"""Masking: the rows that a Mockingjay must reconstruct, and what it sees in their place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MASK_SHARE = 0.15  # share of the rows, Liu et al. 2020, section 2.2
ZERO_SHARE, REPLACE_SHARE = 0.8, 0.1  # shares of the utterances; the rest is left unchanged


def draw_blocks(
    rows: int, width: int, generator: np.random.Generator, share: float = MASK_SHARE
) -> NDArray[np.int64]:
    """Draw the masked rows of one utterance.

    There are round(rows * share / width) blocks with distinct starts; they may overlap, and none reaches the last row
    unless the utterance is shorter than one block. Overlap and rounding make the true share somewhat smaller.

    Args:
        rows: stacked rows of the utterance.
        width: rows per block, C_num / R.
        generator: random generator.
        share: share of the rows to cover.

    Returns:
        (blocks * width,) row indices, repeated where blocks overlap; none if the utterance is too short for a block.
    """
    last_start = max(rows - width - 1, 0)
    starts = generator.permutation(last_start + 1)[: round(rows * share / width)]
    return np.minimum(starts[:, None] + np.arange(width), rows - 1).ravel()


def mask_rows(
    stacked: NDArray[np.float32], width: int, generator: np.random.Generator, share: float = MASK_SHARE
) -> NDArray[np.bool_]:
    """Mask one utterance in place, as Mockingjay does (Liu et al. 2020, section 2.2, and the authors' later code).

    In 80 % of the utterances all chosen rows become zero, in 10 % they are replaced by as many rows from random blocks
    of the same utterance, and in 10 % they stay. The loss is computed on the chosen rows in all three cases.

    Args:
        stacked: (rows, size * R), changed in place.
        width: rows per block, C_num / R.
        generator: random generator.
        share: share of the rows to choose.

    Returns:
        (rows,) bool, the chosen rows.
    """
    rows = len(stacked)
    chosen = draw_blocks(rows, width, generator, share)
    die = generator.random()
    if die < ZERO_SHARE:
        stacked[chosen] = 0.0
    elif die < ZERO_SHARE + REPLACE_SHARE:
        stacked[chosen] = stacked[draw_blocks(rows, width, generator, share)]
    selected = np.zeros(rows, dtype=np.bool_)
    selected[chosen] = True
    return selected
