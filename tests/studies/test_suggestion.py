"""Suggestions for equal and missing scores."""

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


def test_missing_scores_are_not_within_the_tolerance():
    measured = table([INTACT, ("globalness", 1, "0.0", 0.6, 0.2), ("globalness", 2, "0.0,0.1", 0.6, np.nan)])
    assert suggest(measured, 0.01).heads == ((0, 0),)
    assert suggest(measured[measured["removed"] != 1], 0.01) is None


def test_missing_scores_of_unlimited_tasks_come_last():
    measured = table([INTACT, ("weight", 1, "0.0", 0.6, np.nan), ("globalness", 1, "1.0", 0.6, 0.3)])
    found = suggest(measured, {"phones_hidden": 0.01})
    assert found.heads == ((1, 0),)
    assert found.losses["reconstruction"] == pytest.approx(0.5)


def test_lowest_loss_wins_among_equally_large_removals():
    measured = table(
        [
            INTACT,
            ("weight", 1, "0.0", 0.6, 0.2),
            ("globalness", 1, "1.0", 0.61, 0.2),
            ("random", 2, "0.0,1.0", 0.6, 0.2),
        ]
    )
    assert suggest(measured, 0.01).heads == ((1, 0),)
