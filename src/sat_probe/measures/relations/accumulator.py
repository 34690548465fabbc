"""Sums of phoneme relation maps (Yang, Liu, Lee 2020, eq. 4-6), collected in the same pass as the head metrics.

Attention is summed block by block and no attention map is kept; the formulas are in `relations.formulas`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from sat_probe.errors import AlignmentError, ConfigurationError, ModelError
from sat_probe.measures.block import Block
from sat_probe.measures.head_metrics import present_heads
from sat_probe.measures.relations.labels import LabelledUtterance, prepare_labels
from sat_probe.measures.relations.result import RelationMaps, fold_sums


@dataclass(slots=True)
class _Pending:
    """Sums of some heads of one layer and utterance until all its queries were seen."""

    flow: torch.Tensor  # (heads, phones, T) attention of the queries of each phone
    own: torch.Tensor  # (heads, phones) the part of it within the query's own segment, if that is left out
    queries: int = 0  # how many were seen


class RelationMapAccumulator:
    """Sums of eq. 4 over utterances for every head; the merged parts of a corpus equal the whole.

    A stable hash of its id assigns each utterance to one of `groups` groups, and sums are kept per group. Bootstrap
    intervals resample the groups, so they too are the same for any split of a corpus. Heads that the model has lost are
    never observed and count as absent.

    Args:
        layers, heads: shape of the intact model.
        phones: names of the classes that labels index.
        upsampling_factor: labels come at this multiple of the model's frame rate (supplement 1); 1 for its own rate.
        leave_out_own_segment: drop pairs whose query and key lie in the same run of equal labels, from the head's
            map and from the uniform map alike (Shim et al. 2022); without it, neighbours dominate the diagonal.
        groups: how many groups of utterances sums are kept for.

    Attributes:
        utterances: with labels; unlabelled: without.
        seen: (layers, heads) in how many labelled utterances a head was observed: in all, or in none if it is absent.
    """

    def __init__(
        self,
        layers: int,
        heads: int,
        phones: Sequence[str],
        *,
        upsampling_factor: int = 1,
        leave_out_own_segment: bool = False,
        groups: int = 32,
    ) -> None:
        if upsampling_factor < 1 or groups < 1 or not phones:
            raise ConfigurationError(
                f"relation maps need phones, upsampling_factor >= 1 and groups >= 1; got {len(phones)} phones, "
                f"upsampling_factor={upsampling_factor}, groups={groups}"
            )
        self.layers, self.heads, self.phones = layers, heads, tuple(phones)
        self.upsampling_factor, self.leave_out_own_segment = upsampling_factor, leave_out_own_segment
        classes = len(self.phones)
        self.joint = np.zeros((groups, layers, heads, classes, classes))
        self.uniform = np.zeros((groups, classes, classes))
        # frames of the rarer phone of a cell, over utterances that have both
        self.frames = np.zeros((classes, classes))
        self.cell_utterances = np.zeros((classes, classes), dtype=np.int64)
        self.seen = np.zeros((layers, heads), dtype=np.int64)
        self.utterances = 0
        self.unlabelled = 0
        self._batch: list[LabelledUtterance | None] = []
        self._pending: dict[tuple[int, int, int], _Pending] = {}
        self._flows: list[tuple[int, int, slice, torch.Tensor]] = []

    def begin(self, utterance_ids: Sequence[str], labels: Sequence[np.ndarray | None]) -> None:
        """Open a batch: ids and the labels (T * upsampling_factor,) of each utterance, None where there are none."""
        if len(utterance_ids) != len(labels):
            raise AlignmentError(f"{len(utterance_ids)} utterances but labels for {len(labels)}")
        self._pending, self._flows = {}, []
        self._batch = [
            prepare_labels(
                name, found, len(self.phones), self.upsampling_factor, self.leave_out_own_segment, len(self.joint)
            )
            for name, found in zip(utterance_ids, labels, strict=True)
        ]

    def observe(self, block: Block) -> None:
        """Add one block of attention rows: one matrix product, (segments x Q) times (heads, Q, T)."""
        utterance = self._batch[block.utterance]
        if utterance is None:
            return
        if block.length != utterance.frames:
            raise AlignmentError(
                f"{utterance.name}: labels cover {utterance.frames} frames but the attention has {block.length}; "
                f"label the grid of the model, up-sampled by {self.upsampling_factor}"
            )
        weights = block.weights
        heads, count, length = weights.shape
        rows, segments = utterance.rows_of(block.first_query, count, weights.device)
        key = (block.utterance, block.layer, block.heads.start)
        if key not in self._pending:
            flow = weights.new_zeros((heads, len(self.phones), length))
            self._pending[key] = _Pending(flow, weights.new_zeros((heads, len(self.phones))))
        pending = self._pending[key]
        pending.queries += count
        if len(segments):
            flow = rows @ weights
            phones = utterance.query_phones[segments]
            pending.flow.index_add_(1, phones, flow)
            if self.leave_out_own_segment:
                pending.own.index_add_(1, phones, (flow * utterance.queries[segments]).sum(-1))
        if pending.queries == length:
            # all queries of these heads were seen: fold keys into phones and drop the (phones, T) sums
            del self._pending[key]
            folded = pending.flow @ utterance.keys
            folded.diagonal(dim1=-2, dim2=-1).sub_(pending.own)
            self._flows.append((block.utterance, block.layer, block.heads, folded))

    def end(self) -> None:
        """Close the batch: normalise each utterance's maps and add them to the sums of its group."""
        if self._pending:
            index, layer, _ = next(iter(self._pending))
            raise ModelError(
                f"utterance {index} of the batch: the attention of layer {layer} lacks some of its queries"
            )
        for index, layer, heads, flow in self._flows:
            utterance = self._batch[index]
            assert utterance is not None
            self.seen[layer, heads] += 1
            pairs = flow.cpu().double().clamp_(min=0).numpy()
            mass = pairs.sum(axis=(-2, -1), keepdims=True)
            self.joint[utterance.group, layer, heads] += np.divide(
                pairs, mass, out=np.zeros_like(pairs), where=mass > 0
            )
        for utterance in self._batch:
            if utterance is None:
                self.unlabelled += 1
                continue
            shared = utterance.uniform > 0
            self.utterances += 1
            self.uniform[utterance.group] += utterance.uniform
            self.cell_utterances += shared
            self.frames += shared * np.minimum.outer(utterance.share, utterance.share)
        self._batch, self._flows = [], []

    def merge(self, other: RelationMapAccumulator) -> None:
        """Add the sums of another part of the corpus.

        Raises:
            ConfigurationError: if the other part was summed for another model shape, phone set or option.
        """
        for name in ("layers", "heads", "phones", "upsampling_factor", "leave_out_own_segment"):
            if (mine := getattr(self, name)) != (theirs := getattr(other, name)):
                raise ConfigurationError(f"cannot merge relation maps: {name} is {mine!r} here, {theirs!r} there")
        if len(self.joint) != len(other.joint):
            raise ConfigurationError(f"cannot merge relation maps of {len(self.joint)} and {len(other.joint)} groups")
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def of_layers(self, layers: slice) -> RelationMapAccumulator:
        """The sums of some layers, to compute their maps."""
        part = copy(self)
        part.joint, part.seen = self.joint[:, layers], self.seen[layers]
        part.layers = len(part.seen)
        return part

    def state_dict(self) -> dict[str, Any]:
        """The sums, as arrays and numbers, for a checkpoint."""
        return {name: getattr(self, name) for name in _SUMS}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from the sums of `state_dict`; the accumulator must have been made with the same arguments."""
        if np.shape(state["joint"]) != self.joint.shape:
            raise ConfigurationError(
                f"saved relation maps have shape {np.shape(state['joint'])}, this run needs {self.joint.shape}"
            )
        for name in _SUMS:
            value = state[name]
            setattr(self, name, np.array(value) if np.ndim(value) else int(value))

    def compute(
        self, classes: Mapping[str, str] | None = None, *, replicates: int = 200, seed: int = 0
    ) -> RelationMaps:
        """The maps of all heads, over phones or over the natural classes that `classes` folds phones into.

        Raises:
            AlignmentError: if no utterance with labels was seen.
            ModelError: if a head was observed in some utterances only.
        """
        if not self.utterances:
            raise AlignmentError("no relation map: no utterance had an alignment with two labelled segments")
        sums = self.phones, self.joint, self.uniform, self.frames, self.cell_utterances
        if classes is not None:
            sums = fold_sums(*sums, classes=classes)
        present = present_heads(self.seen, self.utterances)
        return RelationMaps.from_sums(present, *sums, replicates=replicates, seed=seed)


_SUMS = ("joint", "uniform", "frames", "cell_utterances", "seen", "utterances", "unlabelled")
