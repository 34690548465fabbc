"""Attention maps of the example, averaged until they fit into a page."""

from __future__ import annotations

import gzip
import math
import zlib

import numpy as np
from numpy.typing import NDArray

from sat_probe.reports.example import Example
from sat_probe.reports.spectrogram import average_blocks

MAPS_BUDGET = 2_400_000  # bytes that the maps of the example may take in the page
SMALLEST = 16  # pixels a side below which no map is averaged
SAMPLED = 6  # heads that are packed to estimate the size of all


def packed_maps(example: Example) -> tuple[bytes, NDArray[np.float64], int]:
    """Maps of all heads for the page.

    Returns:
        gzip of (layers, heads, side, side) uint8 codes, roots of the weights in 255ths of the head's largest root;
        (layers, heads) largest weights, NaN for heads that are not there; and how many frames were averaged into one.
    """
    factor = _first_factor(example.maps)
    while True:
        codes, scale = _averaged(example, factor)
        packed = gzip.compress(codes.tobytes(), 1, mtime=0)  # 6 takes twice as long for 2 %
        if len(packed) * 4 / 3 <= MAPS_BUDGET or codes.shape[-1] <= SMALLEST:
            return packed, scale, factor
        factor += 1


def _first_factor(maps: NDArray[np.uint8]) -> int:
    """A factor to start from; packing all maps of a long recording at full size takes seconds."""
    heads = maps.reshape(-1, maps.shape[2] * maps.shape[3])
    sample = np.ascontiguousarray(heads[:: math.ceil(len(heads) / SAMPLED)])
    share = len(zlib.compress(sample.data, 1)) / sample.nbytes
    too_large = share * maps.nbytes * 4 / 3 / MAPS_BUDGET  # averaged maps pack worse than these, not better
    return max(1, math.ceil(math.sqrt(0.9 * too_large)))


def _averaged(example: Example, factor: int) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Codes and scales of the maps with `factor` x `factor` weights averaged into one."""
    layers, heads, frames = example.maps.shape[:3]
    side = math.ceil(frames / factor)
    codes = np.zeros((layers, heads, side, side), dtype=np.uint8)
    scale = np.full((layers, heads), np.nan)
    for layer, head in np.argwhere(np.isfinite(example.scale)):
        weights = average_blocks(example.weights(layer, head), factor)
        scale[layer, head] = max(float(weights.max()), 1e-30)
        codes[layer, head] = np.rint(255 * np.sqrt(weights / scale[layer, head]))
    return codes, scale
