"""Relation maps as tables, and the named operations of heads (Yang, Liu, Lee 2020, section 6).

Tables have rows only for the heads that the model has.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sat_probe.measures.relations.result import RelationMaps

ATTENDS = 1.0  # at least twice the attention that uniform attention would give
AVOIDS = -0.5  # at most half of it


def relation_frame(maps: RelationMaps) -> pd.DataFrame:
    """Return the table `relation_maps` of a report: one row per head and cell."""
    frame = _index_frame(maps, "query_phone", "key_phone")
    heads = int(maps.present.sum())
    frame["joint"] = maps.joint[maps.present].ravel()
    frame["uniform"] = np.tile(maps.uniform.ravel(), heads)
    for name in ("relation", "low", "high"):
        frame[name] = getattr(maps, name)[maps.present].ravel()
    frame["frames"] = np.tile(maps.frames.ravel(), heads)
    frame["utterances"] = np.tile(maps.utterances.ravel(), heads)
    return frame


def concentration_frame(maps: RelationMaps) -> pd.DataFrame:
    """Return the table `concentration` of a report: one row per head and key phone."""
    frame = _index_frame(maps, "phone")
    frame["concentration"] = maps.concentration[maps.present].ravel()
    frame["low"] = maps.concentration_low[maps.present].ravel()
    frame["high"] = maps.concentration_high[maps.present].ravel()
    return frame


def operations_frame(maps: RelationMaps, attends: float = ATTENDS, avoids: float = AVOIDS) -> pd.DataFrame:
    """Return the table `operations` of a report: what each head does, by name, strongest first within a head.

    A head attends "to X" when X's concentration is at least `attends` (+1: twice what uniform attention would
    give it), and "not to X" when it is at most `avoids` (-0.5: half of it). X must also be that far from the
    head's median phone: a head that only looks at silence gives little to every other phone, and avoids none.
    "identity" and "not identity" apply the thresholds to the contrast between a phone's own cell and the rest of
    its column. The 95 % interval must be on that side of 0 too, so that no rare phone or single speaker decides.
    """
    named = [f"to {phone}" for phone in maps.phones] + ["identity"]
    score = np.concatenate([maps.concentration, maps.identity[..., None]], axis=-1)
    low = np.concatenate([maps.concentration_low, maps.identity_low[..., None]], axis=-1)
    high = np.concatenate([maps.concentration_high, maps.identity_high[..., None]], axis=-1)
    filled = np.where(np.isnan(maps.concentration), np.inf, maps.concentration)
    count = np.maximum((~np.isnan(maps.concentration)).sum(axis=-1), 1)
    middle = np.take_along_axis(np.sort(filled, axis=-1), (count // 2)[..., None], axis=-1)
    # attention to the median phone, as a ratio to uniform
    typical = np.repeat(1 + middle, len(named), axis=-1)
    typical[..., -1] = 1.0
    with np.errstate(invalid="ignore"):
        attended = (score >= attends) & (low > 0) & (1 + score >= (1 + attends) * typical)
        avoided = (score <= avoids) & (high < 0) & (1 + score <= (1 + avoids) * typical)
    layer, head, what = np.nonzero(attended | avoided)
    names = np.array(named, dtype=object)[what]
    scores = score[layer, head, what]
    frame = pd.DataFrame({"layer": layer, "head": head})
    frame["operation"] = np.where(attended[layer, head, what], names, "not " + names)
    frame["score"] = scores
    # what a head attends to comes first: looking at X leaves less for all others, so avoiding them may follow
    order = np.lexsort((-np.abs(scores), scores < 0, head, layer))
    return frame.iloc[order].reset_index(drop=True)


def _index_frame(maps: RelationMaps, *columns: str) -> pd.DataFrame:
    """Columns `layer`, `head` and one or more columns of phones, every combination once."""
    layer, head = np.nonzero(maps.present)
    phones = np.arange(len(maps.phones))
    parts = np.meshgrid(np.arange(len(layer)), *[phones] * len(columns), indexing="ij")
    names = pd.Categorical(maps.phones, categories=list(maps.phones))
    frame = pd.DataFrame({"layer": layer[parts[0].ravel()], "head": head[parts[0].ravel()]})
    for column, codes in zip(columns, parts[1:], strict=True):
        frame[column] = names.take(codes.ravel())
    return frame
