"""Accumulators of what attention heads do: head metrics and phone relation maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sat_probe.frames import FrameGrid
from sat_probe.measures.head_accumulator import HeadMetricsAccumulator
from sat_probe.measures.relations.accumulator import RelationMapAccumulator
from sat_probe.models.attention.probe import Observer
from sat_probe.phones.phone_set import PhoneSet
from sat_probe.studies.corpus_pass.accumulation import Accumulator
from sat_probe.studies.corpus_pass.batches import Batch
from sat_probe.studies.corpus_pass.checkpoint import Stateful


@dataclass(slots=True)
class HeadSums(Accumulator):
    """Head metrics of every utterance."""

    metrics: HeadMetricsAccumulator

    def begin(self, batch: Batch) -> Sequence[Observer]:
        """Start a batch."""
        self.metrics.begin(batch.ids)
        return [self.metrics]

    def end(self, batch: Batch) -> None:
        """Add the batch."""
        self.metrics.end()

    def sums(self) -> Stateful:
        """Return the sums."""
        return self.metrics


@dataclass(slots=True)
class RelationSums(Accumulator):
    """Phone relation maps of the utterances that have an alignment.

    Args:
        maps: the sums.
        phone_set: that labels are folded into.
        grid: frames of the model, at its own rate.
    """

    maps: RelationMapAccumulator
    phone_set: PhoneSet
    grid: FrameGrid

    def begin(self, batch: Batch) -> Sequence[Observer]:
        """Start a batch; utterances without alignment are counted."""
        factor = self.maps.upsampling_factor
        grid = self.grid.upsampled(factor)
        labels = [
            None
            if utterance.alignment is None
            else utterance.alignment.frame_labels(self.phone_set, grid, length * factor)
            for utterance, length in zip(batch.utterances, batch.lengths, strict=True)
        ]
        self.maps.begin(batch.ids, labels)
        return [self.maps] if any(label is not None for label in labels) else []

    def end(self, batch: Batch) -> None:
        """Add the batch."""
        self.maps.end()

    def sums(self) -> Stateful:
        """Return the sums."""
        return self.maps
