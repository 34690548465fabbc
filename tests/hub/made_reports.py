"""Small reports with every kind of column, for the tests that publish them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sat_probe.hub.commit import Published
from sat_probe.reports.head_report import HeadReport, push_report

REVISION = "a" * 40
CATEGORIES = ("global", "vertical", "diagonal")


def made_report(
    model: str = "org/model", revision: str | None = REVISION, seed: int = 0, **provenance: object
) -> HeadReport:
    """A report of 2 layers of 3 heads with values of full precision, NaN included."""
    generator = np.random.default_rng(seed)
    heads = pd.DataFrame({"layer": np.repeat([0, 1], 3), "head": np.tile([0, 1, 2], 2)})
    heads["category"] = [CATEGORIES[index] for index in (0, 1, 2, 2, 1, 0)]
    for metric in ("globalness", "verticality", "diagonality"):
        values = generator.normal(size=6)
        heads[metric], heads[f"{metric}_low"], heads[f"{metric}_high"] = values, values - 0.1, values + 0.1
        heads[f"{metric}_rank"] = values.argsort().argsort() + 1
    heads["category_stability"] = generator.random(6)
    heads["mean_offset_ms"] = [np.nan, *generator.normal(size=5)]
    maps = pd.DataFrame(
        {
            "layer": 0,
            "head": 1,
            "query_phone": ["aa", "aa", "s", "s"],
            "key_phone": ["aa", "s", "aa", "s"],
            "joint": generator.random(4),
            "relation": generator.normal(size=4),
            "frames": [3, 1, 1, 7],
        }
    )
    facts = {
        "model": model,
        "revision": revision,
        "architecture": "Wav2Vec2Model",
        "corpus": "bundled",
        "split": None,
        "utterances": 40,
        "skipped": 0,
        "seconds": 93.25,
        "frame_hop_ms": 20.0,
        "versions": {"python": "3.11", "torch": "2.13"},
        "dtype": "float32",
        "device": "cpu",
        "seed": seed,
        "date": "2026-01-02T03:04:05+00:00",
        "command": "sat-probe analyze",
    }
    return HeadReport(heads=heads, provenance={**facts, **provenance}, tables={"relation_maps": maps})


def push(report: HeadReport | Path, repo_id: str, **options: Any) -> Published:
    """Push without drawing figures, which takes seconds."""
    return push_report(report, repo_id, pictures=False, **options)


def assert_same(first: HeadReport, second: HeadReport) -> None:
    """Equal to the last bit: tables with their types, and provenance."""
    pd.testing.assert_frame_equal(first.heads, second.heads, check_exact=True)
    assert set(first.tables) == set(second.tables)
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(table, second.tables[name], check_exact=True)
    assert first.provenance == second.provenance
