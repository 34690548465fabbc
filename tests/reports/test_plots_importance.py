"""Importance curves in the figures and the page of a report."""

from __future__ import annotations

import base64
import json
import re

import numpy as np
import pandas as pd
import pytest

from sat_probe.cli import run
from sat_probe.errors import ReportError
from sat_probe.reports.page.render import render_page
from sat_probe.reports.plots import all as plots
from sat_probe.reports.plots.importance import importance_curves
from tests.reports.report_to_draw import report_to_draw


def importance() -> pd.DataFrame:
    """Two orders and two random ones, two spans, one task in two modes and one without probes."""
    rows = []
    for task, mode, metric in (
        ("phones_linear", "retrain", "accuracy"),
        ("phones_linear", "frozen", "accuracy"),
        ("reconstruction", "frozen", "l1"),
    ):
        common = {"task": task, "mode": mode, "metric": metric, "items": 9}
        for ranking, seed in (("weight", 0), ("globalness", 0), ("random", 0), ("random", 1)):
            for removed in (0, 3, 6):
                value = 0.6 - 0.05 * removed * (1 + seed)
                place = {"kind": "heads", "ranking": ranking, "seed": seed, "removed": removed, "span": np.nan}
                rows.append(common | place | {"span_mode": None, "heads": "", "value": value})
        for span_mode in ("zero", "mask"):
            for span in (np.nan, 5, 0):
                place = {"kind": "span", "ranking": None, "seed": 0, "removed": 0, "span": span}
                rows.append(common | place | {"span_mode": span_mode, "heads": "", "value": 0.5})
    table = pd.DataFrame(rows)
    return table.assign(value_low=table["value"] - 0.02, value_high=table["value"] + 0.02)


@pytest.fixture
def report():
    report = report_to_draw()
    report.tables["importance"] = importance()
    return report


def test_random_orders_become_one_curve_with_a_band():
    curves = importance_curves(importance(), "heads", "phones_linear", "retrain")
    random = curves[curves["ranking"] == "random"].set_index("removed")
    np.testing.assert_allclose(random["value"], [0.6, 0.375, 0.15])
    np.testing.assert_allclose(random["value_low"], [0.6, 0.3, 0.0], atol=1e-12)
    np.testing.assert_allclose(random["value_high"], [0.6, 0.45, 0.3])
    with pytest.raises(ReportError, match=r"no span curves of speakers_frame \(retrain\)"):
        importance_curves(importance(), "span", "speakers_frame", "retrain")


def test_lines_pass_through_the_points():
    ax = plots.plot_importance(importance(), "heads", "phones_linear", "retrain")
    drawn = {line.get_label(): line.get_xydata() for line in ax.lines}
    np.testing.assert_allclose(drawn["weight"], [[0, 0.6], [3, 0.45], [6, 0.3]])
    assert ax.get_ylabel() == "accuracy"
    assert plots.plot_importance(importance(), "span", "reconstruction", "frozen").get_ylabel() == "L1"


def test_a_saved_report_draws_its_curves(report, tmp_path, capsys):
    names = {
        f"importance-{kind}-{task}.{suffix}"
        for kind in ("heads", "span")
        for task in ("phones_linear-retrain", "phones_linear-frozen", "reconstruction-frozen")
        for suffix in ("svg", "png")
    }
    report.save(tmp_path / "out")
    assert names <= {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert run(["plot", str(tmp_path / "out"), "-o", str(tmp_path / "again"), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert names <= {path.rpartition("/")[2] for path in printed["figures"]}
    assert "Which heads matter" in (tmp_path / "again" / "report.html").read_text()


def test_the_page_shows_each_task_once(report):
    page = render_page(report)
    pictures = re.findall(r'<img src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]+)"', page)
    assert [words for _, words in pictures] == [
        f"{task} {caption}"
        for task in ("phones_linear", "reconstruction")
        for caption in ("while heads are removed", "while attention reaches less far")
    ]
    assert all("retrain" in base64.b64decode(data).decode() for data, _ in pictures[:2])
    assert "Which heads matter" not in render_page(report_to_draw())
