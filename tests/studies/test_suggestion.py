"""What is advised where scores are equal or were never numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sat_probe.studies.importance.suggestion import suggest


def table(rows: list[tuple[str, int, str, float, float]]) -> pd.DataFrame:
    """Rankings with heads removed, accuracy of phones and L1."""
    return pd.DataFrame(
        [
            {
                "kind": "heads", "ranking": ranking, "seed": 0, "removed": removed, "span": np.nan,
                "span_mode": None, "heads": heads, "task": task, "mode": mode, "metric": metric, "value": value,
            }
            for ranking, removed, heads, accuracy, l1 in rows
            for task, mode, metric, value in (
                ("phones_hidden", "retrain", "accuracy", accuracy), ("reconstruction", "frozen", "l1", l1),
            )
        ]
    )  # fmt: skip


INTACT = ("globalness", 0, "", 0.6, 0.2)


def test_what_could_not_be_scored_is_not_within_the_tolerance():
    measured = table([INTACT, ("globalness", 1, "0.0", 0.6, 0.2), ("globalness", 2, "0.0,0.1", 0.6, np.nan)])
    assert suggest(measured, 0.01).heads == ((0, 0),)
    assert suggest(measured[measured["removed"] != 1], 0.01) is None


def test_a_task_that_may_lose_anything_may_lack_a_score_but_is_the_last_choice():
    measured = table([INTACT, ("weight", 1, "0.0", 0.6, np.nan), ("globalness", 1, "1.0", 0.6, 0.3)])
    found = suggest(measured, {"phones_hidden": 0.01})
    assert found.heads == ((1, 0),)
    assert found.losses["reconstruction"] == pytest.approx(0.5)


def test_of_equally_many_heads_those_that_lose_least_are_advised():
    measured = table(
        [
            INTACT,
            ("weight", 1, "0.0", 0.6, 0.2),
            ("globalness", 1, "1.0", 0.61, 0.2),
            ("random", 2, "0.0,1.0", 0.6, 0.2),
        ]
    )
    assert suggest(measured, 0.01).heads == ((1, 0),)
