"""Numbered, masked batches for pre-training: each depends on the seed and its number alone, so that runs resume."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import pad

from sat_probe.studies.pretraining.features import FeatureStore

Batch = dict[str, torch.Tensor]

_ORDER, _MASKS = 0, 1  # independent random streams
JITTER = 0.05  # largest relative change of a length before sorting
MASK_SHARE = 0.15  # share of the rows, Liu et al. 2020, section 2.2
ZERO_SHARE, REPLACE_SHARE = 0.8, 0.1  # shares of the utterances; the rest is left unchanged


class LengthBuckets:
    """Batches of utterances of similar length, each with about the same number of frames (padding included).

    Every epoch jitters the lengths before sorting, so that the same utterances do not always meet, and shuffles the
    batches.

    Args:
        lengths: (utterances,) frames per utterance.
        batch_frames: largest number of frames per batch, padding included; a longer utterance gets its own batch.
        seed: random seed of the order.
    """

    def __init__(self, lengths: NDArray[np.int64], batch_frames: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_frames = batch_frames
        self.seed = seed
        self._epoch_starts = [0]
        self._epoch: tuple[int, list[NDArray[np.int64]]] = (-1, [])

    def epoch(self, number: int) -> list[NDArray[np.int64]]:
        """Return the batches of one pass over the corpus: arrays of utterance indices."""
        if self._epoch[0] != number:
            generator = np.random.default_rng([self.seed, _ORDER, number])
            shaken = self.lengths * generator.uniform(1 - JITTER, 1 + JITTER, len(self.lengths))
            batches = self._cut(np.argsort(shaken, kind="stable"))
            generator.shuffle(batches)
            self._epoch = (number, batches)
        return self._epoch[1]

    def __getitem__(self, number: int) -> NDArray[np.int64]:
        """Return the utterances of a batch; batches are numbered across epochs."""
        while self._epoch_starts[-1] <= number:
            self._epoch_starts.append(self._epoch_starts[-1] + len(self.epoch(len(self._epoch_starts) - 1)))
        epoch = bisect_right(self._epoch_starts, number) - 1
        return self.epoch(epoch)[number - self._epoch_starts[epoch]]

    def _cut(self, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        batches: list[NDArray[np.int64]] = []
        first, longest = 0, 0
        for position, utterance in enumerate(order):
            longest = max(longest, int(self.lengths[utterance]))
            if position > first and longest * (position - first + 1) > self.batch_frames:
                batches.append(order[first:position])
                first, longest = position, int(self.lengths[utterance])
        batches.append(order[first:])
        return batches


class MaskedBatches(torch.utils.data.Dataset[Batch]):
    """Numbered batches of masked utterances, ready for `MockingjayForPreTraining`.

    Args:
        store: features of the corpus.
        utterances: indices of the utterances to use.
        batch_frames: largest number of frames per batch.
        width: rows per masked block, C_num / R.
        downsample_rate: R.
        seed: random seed for order, crops and masks.
        count: number of batches; None for one epoch.
        longest_frames: longer utterances are cropped at a random place.
        random_phase: skip up to R - 1 frames at the start, so that a stacked row may begin at any frame.
    """

    def __init__(
        self,
        store: FeatureStore,
        utterances: Sequence[int] | NDArray[np.int64],
        *,
        batch_frames: int,
        width: int,
        downsample_rate: int,
        seed: int,
        count: int | None = None,
        longest_frames: int = 1500,
        random_phase: bool = False,
    ) -> None:
        self.store = store
        self.utterances = np.asarray(utterances, dtype=np.int64)
        self.width = width
        self.rate = downsample_rate
        self.seed = seed
        self.longest = longest_frames // downsample_rate * downsample_rate
        self.random_phase = random_phase
        lengths = np.minimum(store.lengths[self.utterances], self.longest)
        self.buckets = LengthBuckets(lengths, batch_frames, seed)
        self.count = len(self.buckets.epoch(0)) if count is None else count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Batch:
        if not 0 <= number < self.count:
            raise IndexError(number)
        generator = np.random.default_rng([self.seed, _MASKS, number])
        chosen = self.buckets[number]
        frames = int(self.buckets.lengths[chosen].max())
        inputs = np.zeros((len(chosen), frames, self.store.size), np.float32)
        labels = np.zeros((len(chosen), frames, self.store.target_size), np.float32)
        attention_mask = np.zeros((len(chosen), frames), np.int64)
        selected = np.zeros((len(chosen), frames // self.rate), np.bool_)
        for place, utterance in enumerate(self.utterances[chosen]):
            start, stop = self._crop(int(self.store.lengths[utterance]), generator)
            length, rows = stop - start, (stop - start) // self.rate
            inputs[place, :length] = self.store.inputs(utterance)[start:stop]
            labels[place, :length] = self.store.targets(utterance)[start:stop]
            attention_mask[place, :length] = 1
            stacked = inputs[place, :length].reshape(rows, -1)  # a view: masking changes `inputs`
            selected[place, :rows] = mask_rows(stacked, self.width, generator)
        batch = {"input_features": inputs, "mask_positions": selected, "labels": labels}
        if not attention_mask.all():
            batch["attention_mask"] = attention_mask
        return {name: torch.from_numpy(array) for name, array in batch.items()}

    def frames(self, number: int) -> int:
        """Return the frames of one batch without padding (a random phase may drop up to R more per utterance)."""
        return int(self.buckets.lengths[self.buckets[number]].sum())

    def _crop(self, length: int, generator: np.random.Generator) -> tuple[int, int]:
        """Return the first and last frame (exclusive) of the part of an utterance to use; a multiple of R frames."""
        if length > self.longest:
            start = int(generator.integers(length - self.longest + 1))
            return start, start + self.longest
        if not self.random_phase or length <= self.rate:
            return 0, length
        start = int(generator.integers(self.rate))
        return start, start + (length - start) // self.rate * self.rate


def draw_blocks(rows: int, width: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Draw the masked rows of one utterance.

    There are round(0.15 * rows / width) blocks with distinct starts; they may overlap, and none reaches the last row
    unless the utterance is shorter than one block. Overlap and rounding make the true share somewhat smaller.

    Args:
        rows: stacked rows of the utterance.
        width: rows per block, C_num / R.
        generator: random generator.

    Returns:
        (blocks * width,) row indices, repeated where blocks overlap; none if the utterance is too short for a block.
    """
    last_start = max(rows - width - 1, 0)
    starts = generator.permutation(last_start + 1)[: round(rows * MASK_SHARE / width)]
    return np.minimum(starts[:, None] + np.arange(width), rows - 1).ravel()


def mask_rows(stacked: NDArray[np.float32], width: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    """Mask one utterance in place, as Mockingjay does (Liu et al. 2020, section 2.2, and the authors' later code).

    In 80 % of the utterances all chosen rows become zero, in 10 % they are replaced by as many rows from random blocks
    of the same utterance, and in 10 % they stay. The loss is computed on the chosen rows in all three cases.

    Args:
        stacked: (rows, size * R), changed in place.
        width: rows per block, C_num / R.
        generator: random generator.

    Returns:
        (rows,) bool, the chosen rows.
    """
    rows = len(stacked)
    chosen = draw_blocks(rows, width, generator)
    die = generator.random()
    if die < ZERO_SHARE:
        stacked[chosen] = 0.0
    elif die < ZERO_SHARE + REPLACE_SHARE:
        stacked[chosen] = stacked[draw_blocks(rows, width, generator)]
    selected = np.zeros(rows, dtype=np.bool_)
    selected[chosen] = True
    return selected


def join_batches(batches: Sequence[Batch]) -> Batch:
    """Join the batches of one step, padded to the longest; there are several only with several devices per process."""
    if len(batches) == 1:
        return batches[0]
    joined = {}
    for batch in batches:
        batch.setdefault("attention_mask", torch.ones(batch["input_features"].shape[:2], dtype=torch.int64))
    for name in batches[0]:
        longest = max(batch[name].shape[1] for batch in batches)
        joined[name] = torch.cat(
            [
                pad(batch[name], (0, 0) * (batch[name].ndim - 2) + (0, longest - batch[name].shape[1]))
                for batch in batches
            ]
        )
    return joined
