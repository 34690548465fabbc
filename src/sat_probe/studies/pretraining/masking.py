"""Which rows a Mockingjay must reconstruct, and what it sees in their place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MASK_SHARE = 0.15  # of the rows, Liu et al. 2020, section 2.2
ZERO_SHARE, REPLACE_SHARE = 0.8, 0.1  # of the utterances; the rest is shown as it is


def draw_blocks(
    rows: int, width: int, generator: np.random.Generator, share: float = MASK_SHARE
) -> NDArray[np.int64]:
    """Rows of the blocks drawn for one utterance.

    round(rows * share / width) blocks with distinct starts, which may overlap; no block reaches the last row unless the
    utterance is shorter than one block. Overlap and rounding make the real share somewhat smaller.

    Args:
        rows: stacked rows of the utterance.
        width: rows per block, C_num / R.
        generator: source of chance.
        share: of the rows to cover.

    Returns:
        (blocks * width,) row indices, repeated where blocks overlap; none if the utterance is too short for a block.
    """
    last_start = max(rows - width - 1, 0)
    starts = generator.permutation(last_start + 1)[: round(rows * share / width)]
    return np.minimum(starts[:, None] + np.arange(width), rows - 1).ravel()


def mask_rows(
    stacked: NDArray[np.float32], width: int, generator: np.random.Generator, share: float = MASK_SHARE
) -> NDArray[np.bool_]:
    """Corrupt one utterance in place, as Mockingjay does (Liu et al. 2020, section 2.2; the authors' later code).

    One die per utterance: in 80 % of them all chosen rows become zero, in 10 % they are replaced by equally many rows
    of randomly drawn blocks of the same utterance, in 10 % they stay. The loss looks at the chosen rows in all cases.

    Args:
        stacked: (rows, size * R), changed in place.
        width: rows per block, C_num / R.
        generator: source of chance.
        share: of the rows to choose.

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
