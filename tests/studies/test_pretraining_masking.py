"""Statistics of Mockingjay's masking over many draws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_probe.studies.pretraining.batches import draw_blocks, mask_rows


@pytest.mark.parametrize("width", [1, 2, 3])
def test_share_of_masked_rows(width: int) -> None:
    generator = np.random.default_rng(0)
    shares = [len(np.unique(draw_blocks(200, width, generator))) / 200 for _ in range(400)]
    # blocks may overlap: width 1 covers 15 % exactly, wider ones 1 - (1 - 0.15 / width) ** width on average
    expected = 1 - (1 - 0.15 / width) ** width
    assert np.mean(shares) == pytest.approx(expected, abs=0.003)


@given(rows=st.integers(1, 60), width=st.integers(1, 5), seed=st.integers(0, 1000))
def test_blocks_stay_inside_and_are_whole(rows: int, width: int, seed: int) -> None:
    chosen = draw_blocks(rows, width, np.random.default_rng(seed))
    assert len(chosen) == width * min(round(rows * 0.15 / width), max(rows - width - 1, 0) + 1)
    assert ((chosen >= 0) & (chosen < rows)).all()
    if rows > width:
        blocks = chosen.reshape(-1, width)
        assert (np.diff(blocks, axis=1) == 1).all()
        assert len(np.unique(blocks[:, 0])) == len(blocks)


def test_every_possible_start_is_equally_likely() -> None:
    generator = np.random.default_rng(1)
    counts = np.zeros(20, int)
    for _ in range(6000):
        np.add.at(counts, draw_blocks(20, 1, generator), 1)
    expected = 6000 * 3 / 19
    assert counts[19] == 0  # the authors' code never starts a block in the last row
    assert np.abs(counts[:19] - expected).max() < 5 * np.sqrt(expected)


def test_one_die_per_utterance() -> None:
    """80 % zeroed, 10 % replaced by rows of the same utterance, 10 % untouched."""
    generator = np.random.default_rng(2)
    original = np.arange(1, 41, dtype=np.float32)[:, None].repeat(4, axis=1)
    kinds = {"zero": 0, "replaced": 0, "kept": 0}
    for _ in range(4000):
        stacked = original.copy()
        selected = mask_rows(stacked, 2, generator)
        assert selected.any()
        np.testing.assert_array_equal(stacked[~selected], original[~selected])
        inside = stacked[selected]
        if (inside == 0).all():
            kinds["zero"] += 1
        elif (inside == original[selected]).all():
            kinds["kept"] += 1
        else:
            assert np.isin(inside, original).all()
            kinds["replaced"] += 1
    assert kinds["zero"] / 4000 == pytest.approx(0.8, abs=0.025)
    assert kinds["replaced"] / 4000 == pytest.approx(0.1, abs=0.02)
    assert kinds["kept"] / 4000 == pytest.approx(0.1, abs=0.02)


def test_an_utterance_shorter_than_a_block_has_no_masked_row() -> None:
    stacked = np.ones((3, 2), np.float32)
    assert not mask_rows(stacked, 3, np.random.default_rng(0)).any()
    assert (stacked == 1).all()
