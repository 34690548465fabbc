"""The labels of one utterance as matrices that multiply blocks of its attention."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from sat_probe.errors import AlignmentError
from sat_probe.measures.relations.formulas import Array, frame_membership, segment_runs, uniform_distribution


@dataclass(slots=True)
class LabelledUtterance:
    """The labels of one utterance, for the sums of eq. 4.

    Attributes:
        group: the group of utterances that its sums belong to, by a stable hash of its id.
        frames: length of its attention.
        share: (phones,) frames of each phone, in frames of the model, fractional when up-sampled.
        uniform: (phones, phones) P_U of the utterance.
        keys: (T, phones) share of each frame that a phone covers.
        queries: (segments, T) the same for segments: runs of equal labels if the own one is left out, else phones.
        query_phones: (segments,) the phone of each segment.
    """

    name: str
    group: int
    frames: int
    share: Array
    uniform: Array
    keys: torch.Tensor
    queries: torch.Tensor
    query_phones: torch.Tensor
    _rows: dict[Hashable, tuple[torch.Tensor, torch.Tensor]] = field(default_factory=dict)

    def rows_of(self, first: int, count: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """The segments that occur in a block of queries: (segments, count) shares, and their indices."""
        key = (first, count)
        if key not in self._rows:
            if self.keys.device != device:
                self.keys, self.queries = self.keys.to(device), self.queries.to(device)
                self.query_phones = self.query_phones.to(device)
            part = self.queries[:, first : first + count]
            segments = part.any(dim=1).nonzero()[:, 0]
            self._rows[key] = part[segments].contiguous(), segments
        return self._rows[key]


def prepare_labels(
    name: str, labels: NDArray[np.int64] | None, phones: int, factor: int, leave_out_own_segment: bool, groups: int
) -> LabelledUtterance | None:
    """Return the labels (T * factor,) of an utterance as matrices, None if they relate nothing.

    They relate nothing without labels, without a labelled frame, and in a single segment that is left out.

    Raises:
        AlignmentError: if a label is not in -1..phones-1.
    """
    if labels is None or not (labels := np.asarray(labels)[: len(labels) // factor * factor]).size:
        return None
    if labels.max() >= phones or labels.min() < -1:
        raise AlignmentError(f"{name}: labels must lie in -1..{phones - 1}, found {labels.min()}..{labels.max()}")
    keys = frame_membership(labels, phones, factor)
    runs = segment_runs(labels)
    if leave_out_own_segment:
        query_phones = np.array([labels[np.argmax(runs == run)] for run in range(runs.max() + 1)], dtype=np.int64)
        segments = frame_membership(runs, len(query_phones), factor)
        uniform = uniform_distribution(keys, segments, query_phones)
    else:
        query_phones = np.flatnonzero(keys.sum(axis=0))
        segments, uniform = keys[:, query_phones], uniform_distribution(keys)
    if np.isnan(uniform).any():
        return None
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return LabelledUtterance(
        name=name,
        group=int.from_bytes(digest, "little") % groups,
        frames=len(keys),
        share=keys.sum(axis=0),
        uniform=uniform,
        keys=torch.from_numpy(keys).float(),
        queries=torch.from_numpy(np.ascontiguousarray(segments.T)).float(),
        query_phones=torch.from_numpy(query_phones),
    )
