"""Head metrics of a corpus in one pass, as sums that can be merged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat_probe.measures.block import Block
from sat_probe.measures.bootstrap import PoissonBootstrap, percentile_interval, ratio
from sat_probe.measures.head_metrics import (
    METRICS,
    RANKED,
    categories,
    diagonality,
    globalness,
    mean_offset,
    present_heads,
    ranks,
    sink_share,
    spread,
    verticality,
)


@dataclass(slots=True)
class HeadMetrics:
    """Head metrics of a corpus, each (layers, heads).

    Attributes:
        present: whether the model has the head. All values of an absent head are NaN, and it takes no rank from others.
        values: float64 by name, see METRICS; offsets and spread in frames.
        low: lower ends of the 95 % bootstrap intervals over utterances, by name.
        high: upper ends.
        ranks: 1 = highest, for the three metrics of the paper.
        category: one of CATEGORIES; "" for an absent head.
        category_stability: share of bootstrap replicates in which the head has the same category; NaN with one
            utterance.
        utterances: how many were averaged.
    """

    present: NDArray[np.bool_]

    values: dict[str, NDArray[np.float64]]
    low: dict[str, NDArray[np.float64]]
    high: dict[str, NDArray[np.float64]]
    ranks: dict[str, NDArray[np.float64]]
    category: NDArray[np.str_]
    category_stability: NDArray[np.float64]
    utterances: int


class _LayerSums:
    """Sums over the queries of one layer in one utterance."""

    def __init__(self, heads: int, length: int) -> None:
        self.length = length
        self.seen = np.zeros(heads, dtype=bool)
        self.entropies = np.zeros((heads, length), dtype=np.float32)
        self.maxima = np.zeros((heads, length), dtype=np.float32)
        self.columns = np.zeros((heads, length))
        self.offsets = np.zeros((heads, 2 * length - 1))

    def add(self, block: Block) -> None:
        """Add a block of queries of some heads."""
        heads, queries = block.heads, block.row_entropy.shape[1]
        rows = slice(block.first_query, block.first_query + queries)
        # row q sees keys from -q on
        first_offset = self.length - rows.stop
        self.seen[heads] = True
        self.entropies[heads, rows] = block.row_entropy.cpu().numpy()
        self.maxima[heads, rows] = block.row_maximum.cpu().numpy()
        self.columns[heads] += block.column_sums.cpu().numpy()
        self.offsets[heads, first_offset : first_offset + self.length + queries - 1] += block.offset_sums.cpu().numpy()

    def metrics(self) -> NDArray[np.float64]:
        """(metrics, heads), in the order of METRICS; NaN where a metric is undefined."""
        length = self.length
        per_log_length = 1 / np.log(length) if length > 1 else np.nan
        entropy = globalness(self.entropies.sum(1, dtype=np.float64), length)
        focus = verticality(self.columns, length)
        return np.stack(
            [
                entropy,
                focus,
                diagonality(self.offsets, length),
                self.maxima.max(1).astype(np.float64),
                mean_offset(self.offsets, length),
                spread(self.offsets, length),
                entropy * per_log_length,
                focus * per_log_length,
                sink_share(self.columns, length),
            ]
        )


class HeadMetricsAccumulator:
    """Sums of the head metrics over utterances; memory does not grow with the corpus.

    Call :meth:`begin` with the ids of a batch, pass the accumulator to the model as an observer, then call :meth:`end`.
    Heads that the model has lost are never observed and count as absent.

    Args:
        layers: layers of the model.
        heads: heads per layer of the intact model.
        bootstrap: how to resample utterances.

    Attributes:
        utterances: how many were added.
        seen: (layers, heads) in how many of them a head was observed: in all, or in none if the head is absent.
    """

    def __init__(self, layers: int, heads: int, bootstrap: PoissonBootstrap | None = None) -> None:
        self.bootstrap = bootstrap or PoissonBootstrap()
        shape = (len(METRICS), layers, heads)
        self.utterances = 0
        self.seen = np.zeros((layers, heads), dtype=np.int64)
        self.sums = np.zeros(shape)
        self.counts = np.zeros(len(METRICS))  # utterances in which a metric is defined
        self.replicate_sums = np.zeros((self.bootstrap.replicates, *shape))
        self.replicate_counts = np.zeros((self.bootstrap.replicates, len(METRICS)))
        # one entry per utterance of the batch
        self._values: list[NDArray[np.float64]] = []  # (metrics, layers, heads)
        self._seen: list[NDArray[np.bool_]] = []  # (layers, heads)
        self._weights: list[NDArray[np.float64]] = []
        self._open: dict[tuple[int, int], _LayerSums] = {}

    def begin(self, utterance_ids: Sequence[str]) -> None:
        """Start a batch, discarding an unfinished one."""
        self._open.clear()
        self._values = [np.full(self.sums.shape, np.nan) for _ in utterance_ids]
        self._seen = [np.zeros(self.seen.shape, dtype=bool) for _ in utterance_ids]
        self._weights = [self.bootstrap.weights(utterance_id) for utterance_id in utterance_ids]

    def observe(self, block: Block) -> None:
        """Add one block of attention."""
        key = (block.utterance, block.layer)
        sums = self._open.get(key)
        if sums is None:
            self._close(lambda layer: layer != block.layer)
            sums = self._open[key] = _LayerSums(self.sums.shape[-1], block.length)
        sums.add(block)

    def end(self) -> None:
        """Add the finished batch to the sums."""
        self._close(lambda layer: True)
        for values, seen, weights in zip(self._values, self._seen, self._weights, strict=True):
            defined = np.asarray(np.isfinite(values[:, seen]).all(axis=1))
            values = np.where(defined[:, None, None] & seen, values, 0.0)
            self.utterances += 1
            self.seen += seen
            self.sums += values
            self.counts += defined
            self.replicate_sums += weights[:, None, None, None] * values
            self.replicate_counts += weights[:, None] * defined
        self._values, self._seen, self._weights = [], [], []

    def _close(self, which: Callable[[int], bool]) -> None:
        for utterance, layer in [key for key in self._open if which(key[1])]:
            sums = self._open.pop((utterance, layer))
            self._values[utterance][:, layer] = sums.metrics()
            self._seen[utterance][layer] = sums.seen

    def merge(self, other: HeadMetricsAccumulator) -> None:
        """Add another accumulator's sums; the result is that of one accumulator over both corpora.

        Raises:
            ValueError: if it belongs to a model of another size, or uses another bootstrap.
        """
        if self.sums.shape != other.sums.shape or self.bootstrap != other.bootstrap:
            raise ValueError("only accumulators of the same model and the same bootstrap can be merged")
        self.utterances += other.utterances
        for name in _SUMS:
            getattr(self, name)[...] += getattr(other, name)

    def state_dict(self) -> dict[str, NDArray[Any]]:
        """The sums, for a checkpoint."""
        return {"utterances": np.array(self.utterances), **{name: getattr(self, name) for name in _SUMS}}

    def load_state_dict(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Continue from the sums of :meth:`state_dict`.

        Raises:
            ValueError: if they belong to a model of another size or to another number of replicates.
        """
        for name, mine in self.state_dict().items():
            found = np.shape(state[name]) if name in state else None
            if found != mine.shape:
                raise ValueError(f"saved sums do not fit: {name!r} has shape {found}, not {mine.shape}")
        self.utterances = int(state["utterances"])
        for name in _SUMS:
            getattr(self, name)[...] = state[name]

    def compute(self) -> HeadMetrics:
        """Means over utterances, ranks, categories and 95 % bootstrap intervals.

        Raises:
            ValueError: if no utterance was seen.
            ModelError: if a head was observed in some utterances only.
        """
        if not self.utterances:
            raise ValueError("no utterance was seen, there is nothing to compute")
        present = present_heads(self.seen, self.utterances)
        means = ratio(self.sums, self.counts[:, None, None])
        replicates = ratio(self.replicate_sums, self.replicate_counts[:, :, None, None])
        means[:, ~present] = np.nan
        replicates[:, :, ~present] = np.nan
        if self.utterances < 2:
            replicates[:] = np.nan
        low, high = percentile_interval(replicates)
        category = categories(means[: len(RANKED)])
        drawn = np.isfinite(replicates[:, : len(RANKED), present]).all(axis=(1, 2))
        stability = np.full(category.shape, np.nan)
        if drawn.any():
            same = categories(replicates[drawn, : len(RANKED)].swapaxes(0, 1)) == category
            stability = np.where(present, same.mean(axis=0), np.nan)
        return HeadMetrics(
            present=present,
            values=dict(zip(METRICS, means, strict=True)),
            low=dict(zip(METRICS, low, strict=True)),
            high=dict(zip(METRICS, high, strict=True)),
            ranks={name: ranks(means[index]) for index, name in enumerate(RANKED)},
            category=category,
            category_stability=stability,
            utterances=self.utterances,
        )


_SUMS = ("seen", "sums", "counts", "replicate_sums", "replicate_counts")
