"""Attention maps of all heads on one recording, as a page shows them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sat_probe.models.attention.probe import AttentionBlock
from sat_probe.reports.example import map_codes


class UtteranceMaps:
    """An observer that keeps every map in 8 bits a weight, and the map of the most diagonal head in full.

    All maps in float32 would take four times as much memory: hundreds of megabytes for twenty seconds.

    Args:
        layers: of the model.
        heads: per layer.

    Attributes:
        codes: (layers, heads, frames, frames), see `map_codes`; empty before the first forward pass.
        scale: (layers, heads) largest weights; NaN for heads that are not there.
        clearest: (layer, head) of the most diagonal head, the first of equals.
        clearest_map: (frames, frames) its weights, rows are queries.
    """

    def __init__(self, layers: int, heads: int) -> None:
        self.codes: NDArray[np.uint8] = np.zeros((layers, heads, 0, 0), np.uint8)
        self.scale: NDArray[np.float32] = np.full((layers, heads), np.nan, np.float32)
        self.clearest = (0, 0)
        self.clearest_map: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._nearest = np.inf  # mean distance of the clearest head
        self._rows: NDArray[np.float32] = self.clearest_map[None]
        self._distance: NDArray[np.float32] = self.clearest_map

    def observe(self, block: AttentionBlock) -> None:
        """Keep the rows of some heads, which come in order; the maps are complete with the last."""
        length, heads = block.length, range(*block.heads.indices(block.heads.stop))
        if self.codes.shape[-1] != length:
            self.codes = np.zeros((*self.scale.shape, length, length), np.uint8)
            moments = np.arange(length, dtype=np.float32)
            self._distance = np.abs(moments[:, None] - moments)
        if block.first_query == 0:
            self._rows = np.empty((len(heads), length, length), np.float32)
        end = block.first_query + block.weights.shape[1]
        self._rows[:, block.first_query : end] = block.weights.float().cpu().numpy()
        if end == length:
            for head, weights in zip(heads, self._rows, strict=True):
                self._keep(block.layer, head, weights)

    def _keep(self, layer: int, head: int, weights: NDArray[np.float32]) -> None:
        self.codes[layer, head], self.scale[layer, head] = map_codes(weights)
        distance = float(np.vdot(weights, self._distance))  # eq. 3, up to a factor that all heads share
        if distance < self._nearest:
            self._nearest, self.clearest, self.clearest_map = distance, (layer, head), weights.copy()
