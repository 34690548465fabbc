"""Reports of models with removed heads: their places stay blank in every view."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from sat_probe.cli import run
from sat_probe.errors import ReportError
from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.hub.card import report_card
from sat_probe.reports.page.render import render_page
from sat_probe.reports.plots import all as plots
from tests.reports.report_to_draw import report_to_draw
from tests.reports.test_html import open_page, write_page

SHAPE = (3, 3)
PRESENT = [(0, 0), (0, 1), (2, 0), (2, 1)]  # layer 1 has no heads; no layer has its last head


def intact() -> HeadReport:
    return report_to_draw(*SHAPE)


@pytest.fixture(scope="module")
def pruned() -> HeadReport:
    report = intact()
    there = np.zeros(SHAPE, dtype=bool)
    there[tuple(zip(*PRESENT, strict=True))] = True

    def kept(table):
        return table[there[table["layer"], table["head"]]].reset_index(drop=True)

    example = replace(
        report.example,
        maps=np.where(there[..., None, None], report.example.maps, 0).astype(np.uint8),
        scale=np.where(there, report.example.scale, np.nan).astype(np.float32),
    )
    provenance = report.provenance.replace(
        layers=3, heads_per_layer=3, removed_heads={"0": [2], "1": [0, 1, 2], "2": [2]}, limited_span=(5, "mask")
    )
    tables = {name: kept(table) for name, table in report.tables.items()}
    return HeadReport(kept(report.heads), provenance, tables, example)


def test_the_shape_is_that_of_the_intact_model(pruned):
    assert pruned.shape == SHAPE
    unknown = replace(pruned, provenance=pruned.provenance.replace(layers=None, heads_per_layer=None))
    assert unknown.shape == (3, 2), "as far as the rows tell"


def test_it_survives_the_disk_with_all_figures(pruned, tmp_path):
    loaded = HeadReport.load(pruned.save(tmp_path / "report"))
    assert loaded.equals(pruned)
    assert loaded.provenance.limited_span == [5, "mask"]
    assert loaded.provenance.removed_heads == {"0": [2], "1": [0, 1, 2], "2": [2]}
    assert np.isnan(loaded.example.weights(1, 0)).all()
    names = {path.stem for path in (tmp_path / "report" / "figures").iterdir()}
    assert {"categories", "layers", "offsets", "attention-grid", "concentration"} <= names


def test_terminal_and_notebook(pruned):
    text = str(pruned)
    assert "4 attention heads" in text
    assert "blank removed 5" in text
    assert re.search(r"^\s*1\s*$", text, re.MULTILINE), "the layer without heads has an empty line"
    shown = pruned._repr_html_()
    assert shown.count("<td") == 9
    assert shown.count(": removed") == 5


def test_figures(pruned):
    categories = plots.plot_categories(pruned.heads, shape=pruned.shape)
    image = categories.images[0].get_array()
    assert image.shape == (3, 3, 4)
    assert [tuple(place) for place in np.argwhere((image[..., :3] < 1).any(axis=2))] == PRESENT
    assert len(categories.texts) == 4
    grid = plots.plot_attention_grid(pruned.example.maps, pruned.heads).images[0].get_array()
    assert np.ma.getmaskarray(grid)[-64:, -64:].all(), "layer 0, head 2"
    assert not np.ma.getmaskarray(grid)[-64:, :64].any(), "layer 0, head 0"
    layers = plots.plot_layers(pruned.heads, layers=3)
    assert layers.get_xticks().tolist() == [0, 1, 2]
    assert sum(bar.get_height() for bar in layers.patches) == 4


def test_relation_maps_say_that_a_head_was_removed(pruned):
    assert pruned.relation_map(2, 1).shape == (4, 4)
    with pytest.raises(ReportError, match="head 0 of layer 1 was removed from the model"):
        pruned.relation_map(1, 0)
    with pytest.raises(ReportError, match="no head 3 in layer 0"):
        pruned.relation_map(0, 3)
    assert set(pruned.concentration.index) == set(PRESENT)


def test_comparison_with_the_intact_model(pruned):
    for table in (intact().compare(pruned), pruned.compare(intact())):
        assert list(zip(table["layer"], table["head"], strict=True)) == PRESENT
        assert table.attrs["missing"] == 5
        assert not table["changed"].any()
        assert (table["globalness_difference"] == 0).all()
    assert intact().compare(intact()).attrs["missing"] == 0
    other = replace(intact(), heads=intact().heads.query("layer == 1"))
    with pytest.raises(ReportError, match="have no head in common"):
        replace(other, provenance=pruned.provenance).compare(pruned)


def test_comparison_as_json_counts_the_heads_that_only_one_model_has(pruned, tmp_path, capsys):
    folders = [str(report.save(tmp_path / name, pictures=False)) for name, report in (("a", intact()), ("b", pruned))]
    for order in (folders, folders[::-1]):
        assert run(["compare", *order, "--json"]) == 0
        compared = json.loads(capsys.readouterr().out)
        assert compared["missing"] == 5
        assert [(row["layer"], row["head"]) for row in compared["heads"]] == PRESENT


def test_card(pruned):
    assert "5 of 9 heads were removed from the model." in report_card(pruned)
    assert "were removed" not in report_card(intact())


def test_page(pruned):
    content = json.loads(re.search(r'id="data">(.*?)</script>', render_page(pruned), re.DOTALL)[1])
    assert content["shape"] == [3, 3]
    assert [(head["layer"], head["head"]) for head in content["heads"]] == PRESENT
    assert [[value is None for value in row] for row in content["example"]["scale"]] == [
        [False, False, True],
        [True, True, True],
        [False, False, True],
    ]
    assert content["relations"][0]["shape"] == [3, 3]


@pytest.mark.browser
def test_page_in_a_browser(browser, pruned, tmp_path):
    page = open_page(browser, write_page(pruned, tmp_path))
    assert page.locator("#grid button").count() == 4
    assert page.locator('#grid span[title$="removed"]').count() == 5
    assert page.inner_text("#legend").endswith("removed (5)")
    for layer, head in PRESENT:
        page.click(f'#grid button[aria-label^="layer {layer}, head {head},"]')
        assert page.inner_text("#detail-title").startswith(f"Layer {layer}, head {head}:")
    assert page.troubles == []
