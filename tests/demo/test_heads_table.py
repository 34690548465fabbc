"""The Report tab: rows within the bounds, exact CSV, and escaped names."""

from __future__ import annotations

import base64
import html
import io
import re

import pandas as pd
import pytest

from sat_probe.demo.browse.heads_table import csv_link, html_table, select_heads
from sat_probe.demo.browse.tab import ORDERS, heads_html, report_html
from sat_probe.errors import ReportError
from sat_probe.measures.head_metrics import CATEGORIES
from tests.hub.made_reports import made_report

EVERYTHING = list(CATEGORIES)


def saved(shown: str) -> pd.DataFrame:
    """Return the table in the CSV link of a page."""
    content = base64.b64decode(re.search(r"base64,([^\"]+)", shown)[1])
    table = pd.read_csv(io.BytesIO(content), dtype=object)
    words = {"category", "category_other", "changed"}
    return table.astype({name: float for name in table if name not in words})


def test_the_csv_equals_heads_parquet_to_the_last_bit(tmp_path):
    report = made_report()
    report.save(tmp_path / "report", pictures=False)
    heads = pd.read_parquet(tmp_path / "report" / "heads.parquet")
    shown = heads_html(report, EVERYTHING, "", "", "globalness", "", "", "layer", ORDERS[0])
    pd.testing.assert_frame_equal(saved(shown), heads, check_exact=True, check_dtype=False)


def test_bounds_are_inclusive_and_the_csv_has_the_shown_rows():
    report = made_report()
    heads = report.heads
    edge = heads["globalness"].sort_values().iloc[2]
    shown = heads_html(
        report, ["global", "diagonal"], "0", "1", "globalness", repr(float(edge)), "", "globalness", ORDERS[1]
    )
    expected = heads[heads["category"].isin(["global", "diagonal"]) & (heads["globalness"] >= edge)]
    expected = expected.sort_values("globalness", ascending=False)
    assert saved(shown)["globalness"].tolist() == expected["globalness"].tolist()
    assert f"{len(expected)} of 6 heads" in shown
    assert shown.count("<tr>") == len(expected) + 1


def test_bounds_exclude_heads_without_the_metric():
    heads = made_report().heads  # mean_offset_ms of the first one is NaN
    assert len(select_heads(heads, EVERYTHING, metric="mean_offset_ms")) == 6
    assert len(select_heads(heads, EVERYTHING, metric="mean_offset_ms", at_least=-1e9)) == 5
    assert len(select_heads(heads, EVERYTHING, first_layer=1)) == 3
    assert select_heads(heads, [], last_layer=0).empty


def test_bounds_that_are_not_numbers_are_refused():
    report = made_report()
    with pytest.raises(ReportError, match="From layer: 'two' is not a number"):
        heads_html(report, EVERYTHING, "two", "", "globalness", "", "", "layer", ORDERS[0])
    with pytest.raises(ReportError, match="does not have 'spread_ms'"):
        heads_html(report, EVERYTHING, "", "", "spread_ms", "", "", "layer", ORDERS[0])
    comma = heads_html(report, EVERYTHING, "", "", "globalness", "−0,5", "", "layer", ORDERS[0])
    assert f"{(report.heads['globalness'] >= -0.5).sum()} of 6 heads" in comma


def test_names_are_escaped():
    name = '<img src=x onerror="alert(1)">'
    about = report_html(made_report(model=name, command="{{command}} ${1 + 1}"))
    assert "<img" not in about
    assert html.escape(name) in about
    table = pd.DataFrame({name: [name], "category": ["<b>"]})
    assert "<img" not in html_table(table, name, name)
    assert "<b>" not in html_table(table, name, name)
    assert 'download="-img-src-x-onerror--alert-1---"' in csv_link(table, name, name)


def test_missing_numbers_are_dashes_and_categories_are_lettered():
    table = html_table(pd.DataFrame({"category": ["vertical"], "spread_ms": [float("nan")]}), "c", "n")
    assert "<td>–</td>" in table
    assert 'class="letter sat-vertical" aria-hidden="true">V</span>vertical' in table
    assert 'role="region" aria-label="n"' in table
