"""Tables of a head report: metrics of heads and phone relation maps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sat_probe.measures.head_accumulator import HeadMetrics
from sat_probe.measures.head_metrics import RANKED
from sat_probe.measures.relations.accumulator import RelationMapAccumulator
from sat_probe.measures.relations.result import RelationMaps
from sat_probe.measures.relations.tables import concentration_frame, operations_frame, relation_frame
from sat_probe.phones.phone_set import PhoneSet
from sat_probe.studies.corpus_pass.processes import Process, gather, share

_MILLISECONDS = {"mean_offset": "mean_offset_ms", "spread": "spread_ms"}  # frames inside, time in reports


def head_table(metrics: HeadMetrics, hop_ms: float) -> pd.DataFrame:
    """Return one row per head that the model has: category, metrics with intervals and ranks; offsets in ms.

    Args:
        metrics: computed by the accumulator, offsets in frames.
        hop_ms: milliseconds per frame.
    """
    here = metrics.present
    layer, head = np.nonzero(here)
    columns: dict[str, Any] = {
        "layer": layer,
        "head": head,
        "category": metrics.category[here],
        "category_stability": metrics.category_stability[here],
    }
    for name, values in metrics.values.items():
        scale = hop_ms if name in _MILLISECONDS else 1.0
        shown = _MILLISECONDS.get(name, name)
        columns[shown] = scale * values[here]
        columns[f"{shown}_low"] = scale * metrics.low[name][here]
        columns[f"{shown}_high"] = scale * metrics.high[name][here]
        if name in RANKED:
            columns[f"{name}_rank"] = metrics.ranks[name][here].astype(int)
    return pd.DataFrame(columns)


def relation_tables(
    relations: RelationMapAccumulator, phones: PhoneSet, process: Process
) -> dict[str, pd.DataFrame]:
    """Return the tables of relation maps by name, over phones, natural classes and voicing, concentration and named
    operations; no table if no utterance was aligned.

    Args:
        relations: the sums of all processes.
        phones: the phone set of the sums.
        process: this one of several, which share the work of resampling.
    """
    if not relations.utterances:
        return {}
    mine = relations.of_layers(share(process, relations.layers))
    parts = gather(process, mine.compute() if mine.layers else None)
    maps = RelationMaps.of_parts([part for part in parts if part is not None])
    manner = {phone: phones.natural_class(phone) for phone in phones.phones}
    voicing = {phone: "voiced" if phones.is_voiced(phone) else "voiceless" for phone in phones.phones}
    voicing |= {phone: manner[phone] for phone in phones.phones if manner[phone] == "silence"}
    return {
        "relation_maps": relation_frame(maps),
        "concentration": concentration_frame(maps),
        "operations": operations_frame(maps),
        "relation_maps_by_class": relation_frame(relations.compute(manner)),
        "relation_maps_by_voicing": relation_frame(relations.compute(voicing)),
    }
