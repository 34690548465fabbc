"""Relation maps of all heads with their bootstrap intervals, concentration, and the operations they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sat_probe.errors import ConfigurationError
from sat_probe.measures.relations.formulas import Array, concentration, relation

if TYPE_CHECKING:
    import pandas as pd

MINIMUM_UTTERANCES = 5  # a cell seen in fewer utterances is marked: one speaker's habit would colour it
ATTENDS = 1.0  # at least twice the attention that uniform attention would give
AVOIDS = -0.5  # at most half of it


@dataclass(frozen=True, slots=True)
class RelationMaps:
    """What every head relates; computed by `RelationMapAccumulator.compute`.

    Attributes:
        phones: names along both axes.
        joint: (layers, heads, phones, phones) P' (eq. 4), query phone by key phone, sums to 1.
        uniform: (phones, phones) P_U, sums to 1.
        relation, low, high: (layers, heads, phones, phones) P (eq. 5) and its 95 % bootstrap interval, NaN = undefined.
        concentration, concentration_low, concentration_high: (layers, heads, phones) C (eq. 6), per key phone.
        identity, identity_low, identity_high: (layers, heads) see `identity_contrast`.
        frames: (phones, phones) evidence: frames of the rarer of the two phones, over utterances that have both.
        utterances: (phones, phones) evidence: utterances that have both.
    """

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
            tuple(phones), maps, expected, values, low, high,
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

    @property
    def reliable(self) -> NDArray[np.bool_]:
        """(phones, phones) whether enough utterances have both phones; other cells are marked, not coloured."""
        return self.utterances >= MINIMUM_UTTERANCES

    def relation_frame(self) -> pd.DataFrame:
        """One row per head and cell: the table `relation_maps` of a report."""
        layers, heads, *_ = self.relation.shape
        frame = _index_frame(layers, heads, self.phones, ("query_phone", "key_phone"))
        frame["joint"] = self.joint.ravel()
        frame["uniform"] = np.tile(self.uniform.ravel(), layers * heads)
        frame["relation"], frame["low"], frame["high"] = (
            self.relation.ravel(),
            self.low.ravel(),
            self.high.ravel(),
        )
        frame["frames"] = np.tile(self.frames.ravel(), layers * heads)
        frame["utterances"] = np.tile(self.utterances.ravel(), layers * heads)
        return frame

    def concentration_frame(self) -> pd.DataFrame:
        """One row per head and key phone: the table `concentration` of a report."""
        layers, heads, _ = self.concentration.shape
        frame = _index_frame(layers, heads, self.phones, ("phone",))
        frame["concentration"] = self.concentration.ravel()
        frame["low"], frame["high"] = self.concentration_low.ravel(), self.concentration_high.ravel()
        return frame

    def operations_frame(self, attends: float = ATTENDS, avoids: float = AVOIDS) -> pd.DataFrame:
        """What each head does, named (section 6): the table `operations` of a report, strongest first per head.

        A head attends "to X" when X's concentration is at least `attends` (+1: twice what uniform attention would
        give it), and "not to X" when it is at most `avoids` (-0.5: half of it). X must also stand that far from the
        head's median phone: a head that only looks at silence gives little to every other phone, and avoids none.
        "identity" and "not identity" apply the thresholds to the contrast between a phone's own cell and the rest of
        its column. The 95 % interval must lie on that side of 0 too, so that no rare phone or single speaker decides.
        """
        import pandas as pd

        named = [f"to {phone}" for phone in self.phones] + ["identity"]
        score = np.concatenate([self.concentration, self.identity[..., None]], axis=-1)
        low = np.concatenate([self.concentration_low, self.identity_low[..., None]], axis=-1)
        high = np.concatenate([self.concentration_high, self.identity_high[..., None]], axis=-1)
        filled = np.where(np.isnan(self.concentration), np.inf, self.concentration)
        count = np.maximum((~np.isnan(self.concentration)).sum(axis=-1), 1)
        middle = np.take_along_axis(np.sort(filled, axis=-1), (count // 2)[..., None], axis=-1)
        typical = np.repeat(
            1 + middle, len(named), axis=-1
        )  # the median phone's attention, as a ratio to uniform
        typical[..., -1] = 1.0
        with np.errstate(invalid="ignore"):
            attended = (score >= attends) & (low > 0) & (1 + score >= (1 + attends) * typical)
            avoided = (score <= avoids) & (high < 0) & (1 + score <= (1 + avoids) * typical)
        rows = [
            (
                layer,
                head,
                named[what] if attended[layer, head, what] else f"not {named[what]}",
                score[layer, head, what],
            )
            for layer, head, what in np.argwhere(attended | avoided)
        ]
        frame = pd.DataFrame(rows, columns=["layer", "head", "operation", "score"])
        # what a head attends to comes first: looking at X leaves less for all others, so avoiding them may follow
        scores = frame["score"].to_numpy(dtype=float)
        order = np.lexsort((-np.abs(scores), scores < 0, frame["head"], frame["layer"]))
        return frame.iloc[order].reset_index(drop=True)


def identity_contrast(relation_map: Array) -> Array:
    """How much more phones attend to themselves than others do: mean over m of P[m,m] - mean of P[m',m], m' != m.

    The contrast, not the diagonal alone: a head that everybody uses to look at silence is no identity head.
    """
    own = np.diagonal(relation_map, axis1=-2, axis2=-1)
    others = np.where(np.eye(relation_map.shape[-1], dtype=bool), np.nan, relation_map)
    contrast = own - concentration(others)
    defined = ~np.isnan(contrast)
    total, count = np.where(defined, contrast, 0.0).sum(axis=-1), defined.sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def fold_sums(
    phones: Sequence[str],
    joint: Array,
    uniform: Array,
    frames: Array,
    utterances: NDArray[np.int64],
    *,
    classes: Mapping[str, str],
) -> tuple[tuple[str, ...], Array, Array, Array, NDArray[np.int64]]:
    """Fold phones into natural classes, named in order of first use. The evidence of a class cell is that of its
    best-attested phone cell: a lower bound.

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
    mass = sums.sum(axis=(-2, -1), keepdims=True)
    return np.divide(sums, mass, out=np.full_like(sums, np.nan), where=mass > 0)


def _head_intervals(joint: Array, expected: Array, draws: Array) -> tuple[Array, ...]:
    """Intervals of one head: joint (groups, P, P), expected (replicates, P, P), draws (replicates, groups)."""
    replicate = relation(_distribution(np.tensordot(draws, joint, axes=1)), expected)
    if len(joint) < 2:
        replicate[:] = np.nan
    pairs = [
        _interval(values) for values in (replicate, concentration(replicate), identity_contrast(replicate))
    ]
    return tuple(bound for pair in pairs for bound in pair)


def _interval(replicates: Array, level: float = 0.95) -> tuple[Array, Array]:
    """Percentile interval over axis 0; NaN where over 5 % of replicates lack the cell: too few groups attest it."""
    ordered = np.sort(replicates, axis=0)  # NaN goes last
    count = (~np.isnan(ordered)).sum(axis=0)
    tail = (1 - level) / 2
    bounds = []
    for share in (tail, 1 - tail):
        position = np.rint(share * np.maximum(count - 1, 0)).astype(int)
        value = np.take_along_axis(ordered, position[None], axis=0)[0]
        bounds.append(np.where(count >= 0.95 * len(ordered), value, np.nan))
    return bounds[0], bounds[1]


def _index_frame(layers: int, heads: int, phones: tuple[str, ...], columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    names = pd.Categorical(phones, categories=list(phones))
    parts = np.meshgrid(
        np.arange(layers), np.arange(heads), *[np.arange(len(phones))] * len(columns), indexing="ij"
    )
    frame = pd.DataFrame({"layer": parts[0].ravel(), "head": parts[1].ravel()})
    for column, codes in zip(columns, parts[2:], strict=True):
        frame[column] = names.take(codes.ravel())
    return frame
