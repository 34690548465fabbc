"""The Compare tab: numbers, figures on the same axes, and the change of each head."""

from __future__ import annotations

import re
from dataclasses import replace

import pandas as pd
import pytest

from sat_probe.demo.compare.comparison import SCALES, Side, changes_html, distinct_names, figures_html, overview_html
from sat_probe.demo.inline_figure import inline_figure
from sat_probe.errors import ReportError
from sat_probe.reports.plots.heads import plot_distribution
from tests.demo.test_heads_table import saved
from tests.hub.made_reports import made_report

FIRST, SECOND = Side("one", made_report(seed=0)), Side("two & <b>", made_report(seed=1))


def test_counts_shares_and_quartiles():
    shown = overview_html((FIRST, SECOND))
    assert shown.count("2 (33%)") == 6
    low, middle, high = FIRST.report.heads["globalness"].quantile([0.25, 0.5, 0.75])
    assert f"{middle:.3g} ({low:.3g} to {high:.3g})" in shown
    assert "two &amp; &lt;b&gt;" in shown


def test_both_figures_of_a_pair_have_the_same_axes(monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "sat_probe.demo.compare.comparison.inline_figure", lambda ax, alt: drawn.append((ax, alt)) or ""
    )
    figures_html((FIRST, SECOND), SCALES[0])
    assert len(drawn) == 8
    for (left, _), (right, _) in zip(drawn[2::2], drawn[3::2], strict=True):
        assert left.get_xlim() == right.get_xlim()
        assert left.get_ylim() == right.get_ylim()
    assert drawn[1][1] == "Category of every head, two & <b>: 6 heads, 2 global, 2 vertical, 2 diagonal."


def test_a_missing_scale_is_named():
    with pytest.raises(ReportError, match="one has no 'globalness_per_log_length'"):
        figures_html((FIRST, SECOND), SCALES[1])
    with pytest.raises(ReportError, match="one of the two scales"):
        figures_html((FIRST, SECOND), "bits")


def test_changed_heads_and_the_same_numbers_as_csv():
    other = made_report(seed=1)
    other.heads.loc[0, "category"] = "vertical"
    shown = changes_html((FIRST, Side("two", other)))
    assert "1 of 6 heads have another category" in shown
    pd.testing.assert_frame_equal(
        saved(shown).drop(columns="changed"),
        FIRST.report.compare(other).drop(columns="changed"),
        check_exact=True,
        check_dtype=False,
    )


def test_models_of_different_shapes_are_not_compared_head_by_head():
    report = made_report()
    other = replace(report, heads=report.heads.iloc[:3])
    shown = changes_html((FIRST, Side("two", other)))
    assert "2 layers x 3 heads" in shown
    assert "1 layers x 3 heads" in shown
    assert "base64" not in shown


def test_equal_names_are_made_distinct():
    assert [side.name for side in distinct_names(FIRST, FIRST)] == ["one (first)", "one (second)"]
    assert distinct_names(FIRST, SECOND) == (FIRST, SECOND)


def test_a_figure_takes_the_colour_of_the_page_and_fetches_nothing():
    svg = inline_figure(plot_distribution(FIRST.report.heads), 'heads of "<b>"\nand more')
    assert svg.startswith('<svg role="img" aria-label="heads of &quot;&lt;b&gt;&quot; and more"')
    assert svg.count("currentColor") > 20
    assert set(re.findall(r"https?://[^\"]+", svg)) == {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}
    assert "<style" not in svg
    ids = re.findall(r'\bid="([^"]+)"', svg)
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'(?:xlink:href="#|url\(#)([^")]+)', svg))
    assert used <= set(ids)
    assert not used & set(re.findall(r'\bid="([^"]+)"', inline_figure(plot_distribution(FIRST.report.heads), "")))
