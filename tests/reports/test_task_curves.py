"""Paired comparison of ablation curves."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sat_probe.errors import ReportError
from sat_probe.reports.task_curves import task_curves


def curves(metric="accuracy"):
    """Intact, two removals by globalness and a span of 15; four utterances of ten frames."""
    places = [
        ("heads", "globalness", 0, np.nan, None, 0), ("heads", "globalness", 6, np.nan, None, 1),
        ("heads", "globalness", 12, np.nan, None, 2), ("span", None, 0, np.nan, "zero", 0),
        ("span", None, 0, 15, "zero", 3),
    ]  # fmt: skip
    table = pd.DataFrame(places, columns=["kind", "ranking", "removed", "span", "span_mode", "point"])
    table = table.assign(seed=0, task="phones_hidden", mode="retrain", metric=metric)
    counts = pd.DataFrame(
        {
            "utterance": list("abcd"), "task": "phones_hidden", "mode": "retrain", "items": 10,
            "total_0": [8, 6, 4, 2], "total_1": [7, 5, 3, 1], "total_2": [0, 0, 4, 4], "total_3": [9, 7, 5, 3],
        }
    )  # fmt: skip
    return table, counts


def test_points_are_found_by_their_ablation():
    (one,) = task_curves(*curves())
    assert one.intact == 0
    assert one.removals("globalness") == {0: 0, 6: 1, 12: 2}
    assert one.spans() == {15: 3}
    assert one.removals("weight") == {}
    assert one.score([0, 1]) == pytest.approx((0.5 + 0.4) / 2)


def test_more_accuracy_and_less_error_are_better():
    (accuracy,), (error,) = task_curves(*curves()), task_curves(*curves("l1"))
    assert accuracy.gain([0], [1]) == pytest.approx((0.1, 0.1, 0.1))
    assert error.gain([1], [0]) == pytest.approx((0.1, 0.1, 0.1))
    assert accuracy.gain([1, 3], [0]) == pytest.approx((0.0, 0.0, 0.0), abs=1e-12)
    value, low, high = accuracy.gain([0], [2])
    assert (value, low < 0 < high) == (pytest.approx(0.3), True)


def test_allowance_shifts_the_gain():
    (accuracy,), (error,) = task_curves(*curves()), task_curves(*curves("l1"))
    assert accuracy.gain([1], [0], 0.15) == pytest.approx((0.05, 0.05, 0.05))
    assert error.gain([3], [0], 0.2)[0] == pytest.approx(0.2 * 0.5 - 0.1)
    assert accuracy.loss(1) == pytest.approx((0.1, 0.1, 0.1))
    assert error.loss(3)[0] == pytest.approx(0.1 / 0.5)


def test_reports_without_sums_are_refused():
    table, counts = curves()
    with pytest.raises(ReportError, match="an older sat-probe made it"):
        task_curves(table, None)
    with pytest.raises(ReportError, match=r"lacks points of phones_hidden \(retrain\)"):
        task_curves(table, counts.drop(columns="total_2"))
    with pytest.raises(ReportError, match="lack the intact model"):
        _ = task_curves(table[table["removed"] > 0], counts)[0].intact
