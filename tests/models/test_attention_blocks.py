"""Blocks of attention, whatever their shape: weights, sums and output are those of whole maps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_probe.models.attention import blocks as attention_blocks
from sat_probe.models.attention.blocks import attend
from sat_probe.models.attention.probe import AttentionProbe
from tests.reference import diagonal_sums_slowly

SIZE = 8


def inputs(heads: int, frames: int, seed: int, sharpness: float = 1.0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    query, key, value = torch.randn(3, 1, heads, frames, SIZE, generator=generator, dtype=torch.float64)
    return [sharpness * query, key, value]


class Blocks:
    """Checks each block against the true map of one utterance, and counts the rows it was shown."""

    def __init__(self, maps: torch.Tensor) -> None:
        self.maps = maps
        self.seen = torch.zeros(maps.shape[:2])

    def observe(self, block) -> None:
        queries = block.row_entropy.shape[1]
        rows = slice(block.first_query, block.first_query + queries)
        true = self.maps[block.heads, rows]
        self.seen[block.heads, rows] += 1
        close(block.column_sums, true.sum(1))
        close(block.offset_sums, torch.from_numpy(diagonal_sums_slowly(true)))
        close(block.weights, true)
        close(block.row_maximum, true.amax(-1))
        close(block.row_entropy, torch.special.entr(true).sum(-1))
        one = block.of_head(0, 7)
        assert one.heads == slice(7, 8)
        close(one.weights, true[:1])
        close(one.offset_sums, block.offset_sums[:1])


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(
        found, expected.to(found.dtype), atol=1e-5 if found.dtype == torch.float32 else 1e-12, rtol=1e-6
    )


@given(
    heads=st.integers(1, 4),
    frames=st.integers(1, 40),
    padding=st.integers(0, 9),
    hidden=st.booleans(),
    queries=st.integers(1, 9),
    tile=st.integers(1, 12),
    block=st.integers(1, 2000),
    kept=st.sampled_from([0, 300, 10_000]),
    sharpness=st.sampled_from([0.1, 1.0, 30.0]),
)
@settings(max_examples=120, deadline=None)
def test_every_shape_of_block_shows_the_true_map(heads, frames, padding, hidden, queries, tile, block, kept, sharpness):
    """Padding is hidden by a mask, or attended to all the same (Whisper): it is never shown."""
    query, key, value = inputs(heads, frames + padding, frames, sharpness)
    attended = torch.arange(frames + padding) < (frames if hidden else frames + padding)
    scores = (query @ key.mT).masked_fill(~attended, -torch.inf)
    true = scores[0, :, :frames, :frames].softmax(-1)
    watcher = Blocks(true)
    mask = attended.expand(1, 1, frames + padding, -1) if hidden else None
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(attention_blocks, "_TILE_QUERIES", queries)
        patch.setattr(attention_blocks, "_TILE_ELEMENTS", queries * queries * tile)
        patch.setattr(attention_blocks, "_BLOCK_ELEMENTS", block)
        patch.setattr(attention_blocks, "_KEPT_ELEMENTS", kept)
        probe = AttentionProbe(observers=[watcher], lengths=[frames])
        output, _ = attend(probe, 0, query, key, value, mask)
    assert (watcher.seen == 1).all()
    close(output[:, :, :frames], (scores.softmax(-1) @ value)[:, :, :frames])


def test_weights_far_below_the_smallest_float_are_no_weights():
    query, key, value = torch.zeros(3, 1, 1, 300, SIZE)
    query[..., 0], key[0, 0, :, 0] = 1.0, -torch.linspace(0, 300, 300)
    watcher = Blocks((query @ key.mT)[0].double().softmax(-1))
    with torch.no_grad():
        attend(AttentionProbe(observers=[watcher], lengths=[300]), 0, query, key, value)
    assert watcher.seen.all()


def test_a_row_without_a_key_attends_to_nothing():
    query, key, value = inputs(2, 6, 0)
    mask = torch.ones(1, 1, 6, 6, dtype=torch.bool)
    mask[..., 2, :] = False
    with torch.no_grad():
        output, maps = attend(AttentionProbe(output_attentions=True), 0, query, key, value, mask)
    assert not maps[:, :, 2].any()
    assert not output[:, :, 2].any()
    np.testing.assert_allclose(maps[:, :, 3].sum(-1), 1, rtol=1e-5)
