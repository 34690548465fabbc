"""What the Report tab shows and gives: the right rows, every digit, and no markup of strangers."""

from __future__ import annotations

import base64
import html
import io
import re

import pandas as pd
import pytest

from sat_probe.demo.browse.heads_table import csv_link, html_table, select_heads
from sat_probe.demo.browse.tab import ORDERS, shown_heads, shown_report
from sat_probe.errors import ReportError
from sat_probe.measures.head_metrics import CATEGORIES
from tests.hub.made_reports import made_report

EVERYTHING = list(CATEGORIES)


def saved(shown: str) -> pd.DataFrame:
    """The table in the CSV link of a page."""
    content = base64.b64decode(re.search(r"base64,([^\"]+)", shown)[1])
    table = pd.read_csv(io.BytesIO(content), dtype=object)
    words = {"category", "category_other", "changed"}
    return table.astype({name: float for name in table if name not in words})


def test_the_csv_equals_heads_parquet_to_the_last_bit(tmp_path):
    report = made_report()
    report.save(tmp_path / "report", pictures=False)
    heads = pd.read_parquet(tmp_path / "report" / "heads.parquet")
    shown = shown_heads(report, EVERYTHING, "", "", "globalness", "", "", "layer", ORDERS[0])
    pd.testing.assert_frame_equal(saved(shown), heads, check_exact=True, check_dtype=False)


def test_bounds_are_inclusive_and_the_csv_has_the_rows_that_are_shown():
    report = made_report()
    heads = report.heads
    edge = heads["globalness"].sort_values().iloc[2]
    shown = shown_heads(
        report, ["global", "diagonal"], "0", "1", "globalness", repr(float(edge)), "", "globalness", ORDERS[1]
    )
    expected = heads[heads["category"].isin(["global", "diagonal"]) & (heads["globalness"] >= edge)]
    expected = expected.sort_values("globalness", ascending=False)
    assert saved(shown)["globalness"].tolist() == expected["globalness"].tolist()
    assert f"{len(expected)} of 6 heads" in shown
    assert shown.count("<tr>") == len(expected) + 1


def test_a_head_without_the_metric_is_within_no_bound_of_it():
    heads = made_report().heads  # mean_offset_ms of the first one is NaN
    assert len(select_heads(heads, EVERYTHING, metric="mean_offset_ms")) == 6
    assert len(select_heads(heads, EVERYTHING, metric="mean_offset_ms", at_least=-1e9)) == 5
    assert len(select_heads(heads, EVERYTHING, first_layer=1)) == 3
    assert select_heads(heads, [], last_layer=0).empty


def test_what_was_typed_is_checked():
    report = made_report()
    with pytest.raises(ReportError, match="From layer: 'two' is no number"):
        shown_heads(report, EVERYTHING, "two", "", "globalness", "", "", "layer", ORDERS[0])
    with pytest.raises(ReportError, match="does not have 'spread_ms'"):
        shown_heads(report, EVERYTHING, "", "", "spread_ms", "", "", "layer", ORDERS[0])
    comma = shown_heads(report, EVERYTHING, "", "", "globalness", "−0,5", "", "layer", ORDERS[0])
    assert f"{(report.heads['globalness'] >= -0.5).sum()} of 6 heads" in comma


def test_names_of_strangers_stay_text():
    name = '<img src=x onerror="alert(1)">'
    about = shown_report(made_report(model=name, command="{{command}} ${1 + 1}"))
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
