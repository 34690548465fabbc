"""Figures show the data of their tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from sat_probe.errors import ReportError
from sat_probe.measures.relations.result import MINIMUM_UTTERANCES
from sat_probe.reports.palette import CATEGORIES, CATEGORY_COLOURS
from sat_probe.reports.plots import all as plots
from sat_probe.reports.plots.phones import extreme_concentration
from tests.reports.report_to_draw import head_table, report_to_draw


@pytest.fixture(scope="module")
def report():
    return report_to_draw()


def points(ax) -> np.ndarray:
    return np.concatenate([part.get_offsets() for part in ax.collections if isinstance(part, PathCollection)])


def test_categories_show_every_head_in_its_colour_and_letter():
    heads = head_table().drop(columns="category_stability")
    ax = plots.plot_categories(heads)
    (image,) = ax.images
    for layer, head, category in zip(heads["layer"], heads["head"], heads["category"], strict=True):
        np.testing.assert_allclose(image.get_array()[layer, head], to_rgba(CATEGORY_COLOURS[category]), atol=1e-6)
    letters = {(text.get_position()): text.get_text() for text in ax.texts}
    assert letters == {(h, lay): c[0].upper() for lay, h, c in heads[["layer", "head", "category"]].to_numpy()}
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [
        "G  global (2)", "V  vertical (2)", "D  diagonal (2)",
    ]  # fmt: skip


def test_uncertain_categories_are_paler():
    heads = head_table().assign(category_stability=[1.0, 0.0, 0.5, 1.0, 1.0, np.nan])
    image = np.asarray(plots.plot_categories(heads).images[0].get_array())
    saturation = image[..., :3].max(-1) - image[..., :3].min(-1)
    assert saturation[0, 1] < 0.5 * saturation[1, 1]
    np.testing.assert_allclose(image[1, 2], to_rgba(CATEGORY_COLOURS["diagonal"]), atol=1e-6)


def test_axes_given_are_the_axes_returned(report):
    figure = Figure()
    heads, tables = report.heads, report.tables
    one_head = tables["relation_maps"].query("layer == 0 and head == 1")
    square, times = np.eye(8), 0.02 * np.arange(8)
    for draw in (
        lambda ax: plots.plot_categories(heads, ax=ax),
        lambda ax: plots.plot_distribution(heads, ax=ax),
        lambda ax: plots.plot_layers(heads, ax=ax),
        lambda ax: plots.plot_ranking(heads, ax=ax),
        lambda ax: plots.plot_offsets(heads, ax=ax),
        lambda ax: plots.plot_attention_grid(report.example.maps, heads, ax=ax),
        lambda ax: plots.plot_head(square, times, ax=ax),
        lambda ax: plots.plot_relation_map(one_head, ax=ax),
        lambda ax: plots.plot_concentration(heads, tables["concentration"], ax=ax),
        lambda ax: plots.plot_kernel_gram(square, times, [0.05], [0.06], np.ones(8), ax=ax),
        lambda ax: plots.plot_segmentation(np.ones(16_000), 16_000, [0.5], [0.51], ax=ax),
    ):
        ax = figure.add_subplot()
        assert draw(ax) is ax
        figure.clear()


def test_distribution_layers_ranking_and_offsets_show_the_table():
    heads = head_table()
    shown = plots.plot_ranking(heads, "max_weight", "globalness")
    expected = np.stack([heads["max_weight"].rank(), heads["globalness"].rank(ascending=False)], 1)
    assert sorted(map(tuple, points(shown))) == sorted(map(tuple, expected))
    assert "lowest first" in shown.get_xlabel()
    assert "highest first" in shown.get_ylabel()
    bars = plots.plot_layers(heads).containers
    assert [bar.get_height() for container in bars for bar in container] == [1.0] * 6
    lines = plots.plot_distribution(heads, "globalness", "diagonality").containers
    for container, name in zip(lines, CATEGORIES, strict=True):
        part = heads[heads["category"] == name]
        np.testing.assert_allclose(
            np.asarray(container.lines[0].get_xydata(), float), part[["globalness", "diagonality"]]
        )
    offsets = plots.plot_offsets(heads).containers
    np.testing.assert_allclose(
        np.concatenate([np.asarray(container.lines[0].get_xdata(), float) for container in offsets]),
        heads.sort_values("category", key=lambda names: names.map(CATEGORIES.index))["mean_offset_ms"],
    )


def test_relation_map_marks_weak_cells_and_frames_operations(report):
    cells = report.tables["relation_maps"].query("layer == 0 and head == 0").copy()
    operations = report.tables["operations"].query("layer == 0 and head == 0")
    assert operations["operation"].iloc[0] == "to sil"
    rare = (cells["query_phone"] == "t") & (cells["key_phone"] == "s")
    cells.loc[rare, "utterances"] = MINIMUM_UTTERANCES - 1
    ax = plots.plot_relation_map(cells, operations)
    shown = ax.images[0].get_array()
    expected = cells["relation"].to_numpy().reshape(4, 4)
    assert shown.mask.sum() == 1
    assert shown.mask[3, 2]
    np.testing.assert_allclose(shown[~shown.mask], expected[~shown.mask])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["sil", "aa", "s", "t"]
    frame = next(patch for patch in ax.patches if patch.get_height() == 4)
    assert frame.get_x() == -0.5
    assert "to sil" in ax.get_title()
    with pytest.raises(ReportError, match="select the rows of one layer and head"):
        plots.plot_relation_map(report.tables["relation_maps"])


def test_a_wide_relation_map_draws_the_same_colours(report):
    cells = report.tables["relation_maps"].query("layer == 1 and head == 1")
    wide = plots.plot_relation_map(report.relation_map(1, 1)).images[0].get_array()
    np.testing.assert_array_equal(wide, plots.plot_relation_map(cells).images[0].get_array())


def test_concentration_prefers_phones_whose_interval_excludes_0():
    table = pd.DataFrame(
        [(0, 0, "aa", 9.0, -1.0, 20.0), (0, 0, "s", -0.6, -0.8, -0.4), (0, 1, "t", 0.1, -0.2, 0.3)],
        columns=["layer", "head", "phone", "concentration", "low", "high"],
    )
    found = extreme_concentration(table).sort_values("head")
    assert found["phone"].tolist() == ["s", "t"]
    heads = head_table()[:2]
    ax = plots.plot_concentration(heads, table, zoom=None)
    assert sorted(map(tuple, points(ax))) == sorted(zip(heads["verticality"], [-0.6, 0.1], strict=True))


def test_head_figure_shows_map_time_and_phones_on_both_axes(report):
    weights, times = np.triu(np.ones((10, 10))), 0.1 + 0.02 * np.arange(10)
    ax = plots.plot_head(weights, times, phones=[(0.09, 0.2, "aa"), (0.2, 0.29, "s")])
    image = ax.images[0]
    np.testing.assert_array_equal(image.get_array(), weights)
    np.testing.assert_allclose(image.get_extent(), (0.09, 0.29, 0.29, 0.09))
    strips = [[text.get_text() for text in child.texts] for child in ax.child_axes if child.texts]
    assert strips == [["aa", "s"], ["aa", "s"]]
    with pytest.raises(ReportError, match="does not fit 9 frame times"):
        plots.plot_head(weights, times[:-1])


def test_grid_scales_each_map_to_its_own_maximum():
    maps = np.stack([[np.full((4, 4), 0.5), np.eye(4)], [np.zeros((4, 4)), np.tri(4)]])
    canvas = plots.plot_attention_grid(maps, pixels=4).images[0].get_array()
    step = 4 + 3
    np.testing.assert_array_equal(canvas[step:, :4], np.ones((4, 4)))  # layer 0 at the bottom
    np.testing.assert_array_equal(canvas[:4, step:], np.tri(4))
    with pytest.raises(ReportError, match=r"needs maps of \(layers, heads, T, T\)"):
        plots.plot_attention_grid(maps[0])


def test_segmentation_marks_false_alarms_and_full_span_is_last():
    ax = plots.plot_segmentation(np.random.default_rng(0).normal(size=16_000), 16_000, [0.2, 0.5], [0.21, 0.8])
    assert list(ax.lines[0].get_xdata()) == [0.8]
    gram = plots.plot_kernel_gram(np.eye(5), np.arange(5.0), [2.0], [2.5], curve=np.arange(5.0))
    np.testing.assert_array_equal(gram.images[0].get_array(), np.eye(5))
    table = pd.DataFrame({"span": [np.inf, 25, 5], "accuracy": [62.0, 63.0, 50.0], "task": "phones"})
    curve = plots.plot_performance(table, "span", "accuracy", "task", baseline=62.0)
    assert [label.get_text() for label in curve.get_xticklabels()] == ["5", "25", "full"]
    assert list(curve.lines[0].get_ydata()) == [50.0, 63.0, 62.0]
    sweep = pd.DataFrame({"recall": [0.9, 0.5], "precision": [0.6, 0.9]})
    assert list(plots.plot_precision_recall(sweep).lines[-1].get_xdata()) == [0.5, 0.9]
    with pytest.raises(ReportError, match="the table lacks recall; it has"):
        plots.plot_precision_recall(table.assign(precision=1))


def test_figures_are_written_as_svg_and_png_and_reproducible(report, tmp_path):
    first = plots.save_figures(report, tmp_path / "first")
    names = {path.name for path in first}
    for name in ("categories", "attention-grid", "head-diagonal", "concentration", "relation-identity"):
        assert {f"{name}.svg", f"{name}.png"} <= names
    ax = plots.plot_categories(report.heads)
    for path in plots.write_figure(ax, tmp_path / "categories"):
        assert path.read_bytes() == (tmp_path / "first" / path.name).read_bytes()
    svg = (tmp_path / "first" / "categories.svg").read_text()
    assert "vertical (2)" in svg, "text stays text"
    bare = [name for name, _ in plots.drawings(report_to_draw(aligned=False))]
    assert "attention-grid" in bare
    assert not any("relation" in name or "concentration" in name for name in bare)


def test_tables_that_lack_a_column_are_named():
    with pytest.raises(ReportError, match="the head table lacks spread_ms"):
        plots.plot_offsets(head_table().drop(columns="spread_ms"))
    with pytest.raises(ReportError, match="empty"):
        plots.plot_categories(head_table()[:0])
