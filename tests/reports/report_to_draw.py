"""A small report with every table and an example, made of synthetic attention that follows known phones."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from sat_probe.measures.relations.accumulator import RelationMapAccumulator
from sat_probe.measures.relations.tables import concentration_frame, operations_frame, relation_frame
from sat_probe.reports.head_report import HeadReport
from tests.reports.examples import example_of_weights

PHONES = ("sil", "aa", "s", "t")
LAYERS, HEADS = 2, 3
RATE = 16_000


def head_table(layers: int = LAYERS, heads: int = HEADS) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    count = layers * heads
    layer, head = np.divmod(np.arange(count), heads)
    table = pd.DataFrame({"layer": layer, "head": head})
    table["category"] = np.array(["global", "vertical", "diagonal"])[np.arange(count) % 3]
    table["category_stability"] = rng.uniform(0.4, 1, count)
    for name, low, high in (("globalness", 1, 5), ("verticality", -5, -1), ("diagonality", -0.4, -0.01)):
        table[name] = rng.uniform(low, high, count)
        table[f"{name}_low"], table[f"{name}_high"] = table[name] - 0.01, table[name] + 0.01
        table[f"{name}_rank"] = table[name].rank(ascending=False).astype(int)
    table["max_weight"] = rng.uniform(0.1, 1, count)
    table["mean_offset_ms"] = rng.normal(0, 50, count)
    table["spread_ms"] = rng.uniform(10, 90, count)
    table["sink_share"] = rng.uniform(0, 1, count)
    return table


def report_to_draw(layers: int = LAYERS, heads: int = HEADS, frames: int = 60, aligned: bool = True) -> HeadReport:
    """Head (l, h) looks at silence, at its own phone, or around itself, in turn; 20 ms frames."""
    rng = np.random.default_rng(1)
    accumulator = RelationMapAccumulator(layers, heads, PHONES)
    for index in range(12):
        labels = np.repeat(rng.integers(0, len(PHONES), frames), rng.integers(3, 9, frames))[:frames]
        attention = torch.stack(
            [
                torch.stack([_attention(labels, layer * heads + head) for head in range(heads)])
                for layer in range(layers)
            ]
        )
        accumulator.begin([f"utterance-{index}"], [labels])
        for layer in range(layers):
            accumulator.observe(
                SimpleNamespace(
                    utterance=0, layer=layer, heads=slice(0, heads), first_query=0, length=frames,
                    weights=attention[layer],
                )
            )  # fmt: skip
        accumulator.end()
    maps = accumulator.compute(replicates=50)
    edges = np.flatnonzero(np.diff(labels, prepend=-1, append=-1))
    phones = [(0.02 * start, 0.02 * end, PHONES[labels[start]]) for start, end in pairwise(edges)]
    example = example_of_weights(
        "utterance-11",
        0.1 * rng.standard_normal(int(0.02 * frames * RATE)),
        RATE,
        0.01 + 0.02 * np.arange(frames),
        attention,
        phones if aligned else (),
    )
    tables = {
        "relation_maps": relation_frame(maps),
        "concentration": concentration_frame(maps),
        "operations": operations_frame(maps),
    }
    provenance = {"model": "org/<b>model</b> & {{data}}", "corpus": "synthetic", "utterances": 12, "seconds": 14.4}
    return HeadReport(head_table(layers, heads), provenance, tables if aligned else {}, example)


def _attention(labels: np.ndarray, kind: int) -> torch.Tensor:
    position = np.arange(len(labels))
    match kind % 3:
        case 0:
            scores = np.tile(3.0 * (labels == 0), (len(labels), 1))
        case 1:
            scores = 3.0 * (labels[:, None] == labels[None])
        case _:
            scores = -0.8 * np.abs(position[:, None] - position[None])
    return torch.from_numpy(scores).softmax(-1).float()
