"""Relation maps and concentration of all heads, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat_probe.errors import ConfigurationError
from sat_probe.measures.bootstrap import ratio
from sat_probe.measures.relations.formulas import Array, concentration, relation

MINIMUM_UTTERANCES = 5  # views mark a cell with fewer utterances: one speaker could decide it


@dataclass(frozen=True, slots=True)
class RelationMaps:
    """Relation maps of all heads, from `RelationMapAccumulator.compute`.

    Attributes:
        present: (layers, heads) whether the model has the head. All values of an absent head are NaN.
        phones: names along both axes.
        joint: (layers, heads, phones, phones) P' (eq. 4), query phone by key phone, sums to 1.
        uniform: (phones, phones) P_U, sums to 1.
        relation, low, high: (layers, heads, phones, phones) P (eq. 5) and its 95 % bootstrap interval, NaN = undefined.
        concentration, concentration_low, concentration_high: (layers, heads, phones) C (eq. 6), per key phone.
        identity, identity_low, identity_high: (layers, heads) see `identity_contrast`.
        frames: (phones, phones) evidence: frames of the rarer of the two phones, over utterances that have both.
        utterances: (phones, phones) evidence: utterances that have both.
    """

    present: NDArray[np.bool_]
    phones: tuple[str, ...]
    joint: Array
    uniform: Array
    relation: Array
    low: Array
    high: Array
    concentration: Array
    concentration_low: Array
    concentration_high: Array
    identity: Array
    identity_low: Array
    identity_high: Array
    frames: Array
    utterances: NDArray[np.int64]

    @classmethod
    def from_sums(
        cls,
        present: NDArray[np.bool_],
        phones: tuple[str, ...],
        joint: Array,
        uniform: Array,
        frames: Array,
        utterances: NDArray[np.int64],
        *,
        replicates: int = 200,
        seed: int = 0,
    ) -> RelationMaps:
        """From sums per group of utterances: joint (groups, layers, heads, P, P), uniform (groups, P, P).

        Intervals resample the groups that hold utterances; with fewer than 2 such groups they are NaN.
        """
        held = uniform.sum(axis=(-2, -1)) > 0
        joint, uniform = joint[held], uniform[held]
        maps, expected = _distribution(joint.sum(axis=0)), _distribution(uniform.sum(axis=0))
        values = relation(maps, expected)
        groups = len(uniform)
        draws = np.random.default_rng(seed).multinomial(groups, np.full(groups, 1 / groups), size=replicates)
        expected_drawn = _distribution(np.tensordot(draws.astype(float), uniform, axes=1))
        layers, heads = maps.shape[:2]
        # head by head: the replicates of one stay in the processor's cache
        bounds = [
            _head_intervals(joint[:, layer, head], expected_drawn, draws.astype(float))
            for layer, head in np.ndindex(layers, heads)
        ]
        low, high, focus_low, focus_high, same_low, same_high = (
            np.stack(part).reshape(layers, heads, *part[0].shape) for part in zip(*bounds, strict=True)
        )
        return cls(
            present, tuple(phones), maps, expected, values, low, high,
            concentration(values), focus_low, focus_high,
            identity_contrast(values), same_low, same_high,
            frames, utterances,
        )  # fmt: skip

    @classmethod
    def of_parts(cls, parts: Sequence[RelationMaps]) -> RelationMaps:
        """All layers from maps of some layers each, in order."""
        joined: dict[str, Any] = {
            field.name: np.concatenate([getattr(part, field.name) for part in parts])
            for field in fields(cls)
            if field.name not in ("phones", "uniform", "frames", "utterances")  # the same for all layers
        }
        return replace(parts[0], **joined)


def identity_contrast(relation_map: Array) -> Array:
    """How much more phones attend to themselves than others do: mean over m of P[m,m] - mean of P[m',m], m' != m.

    The diagonal alone would make an identity head of one in which every phone attends to silence.
    """
    own = np.diagonal(relation_map, axis1=-2, axis2=-1)
    others = np.where(np.eye(relation_map.shape[-1], dtype=bool), np.nan, relation_map)
    contrast = own - concentration(others)
    defined = ~np.isnan(contrast)
    return ratio(np.where(defined, contrast, 0.0).sum(axis=-1), defined.sum(axis=-1))


def fold_sums(
    phones: Sequence[str],
    joint: Array,
    uniform: Array,
    frames: Array,
    utterances: NDArray[np.int64],
    *,
    classes: Mapping[str, str],
) -> tuple[tuple[str, ...], Array, Array, Array, NDArray[np.int64]]:
    """Fold phones into natural classes, named in order of first use.

    The evidence of a class cell is that of its phone cell with the most evidence: a lower bound.

    Raises:
        ConfigurationError: if a phone has no class.
    """
    if missing := [phone for phone in phones if phone not in classes]:
        raise ConfigurationError(f"no natural class given for {', '.join(missing)}")
    names = tuple(dict.fromkeys(classes[phone] for phone in phones))
    fold = np.array([[float(classes[phone] == name) for name in names] for phone in phones])
    members = [np.flatnonzero(column) for column in fold.T]
    best = [
        np.array([[cells[np.ix_(rows, columns)].max() for columns in members] for rows in members])
        for cells in (frames, utterances)
    ]
    return names, fold.T @ joint @ fold, fold.T @ uniform @ fold, best[0], best[1]


def _distribution(sums: Array) -> Array:
    return ratio(sums, sums.sum(axis=(-2, -1), keepdims=True))


def _head_intervals(joint: Array, expected: Array, draws: Array) -> tuple[Array, ...]:
    """Intervals of one head: joint (groups, P, P), expected (replicates, P, P), draws (replicates, groups)."""
    replicate = relation(_distribution(np.tensordot(draws, joint, axes=1)), expected)
    if len(joint) < 2:
        replicate[:] = np.nan
    pairs = [_interval(values) for values in (replicate, concentration(replicate), identity_contrast(replicate))]
    return tuple(bound for pair in pairs for bound in pair)


def _interval(replicates: Array, level: float = 0.95) -> tuple[Array, Array]:
    """Percentile interval over axis 0; NaN where over 5 % of replicates lack the cell: too few groups have it."""
    ordered = np.sort(replicates, axis=0)  # NaN goes last
    count = (~np.isnan(ordered)).sum(axis=0)
    tail = (1 - level) / 2
    bounds = []
    for share in (tail, 1 - tail):
        position = np.rint(share * np.maximum(count - 1, 0)).astype(int)
        value = np.take_along_axis(ordered, position[None], axis=0)[0]
        bounds.append(np.where(count >= 0.95 * len(ordered), value, np.nan))
    return bounds[0], bounds[1]
