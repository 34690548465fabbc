"""Models that lost heads or have a limited span, in every tab: absent heads are neither shown nor ranked."""

from __future__ import annotations

import re

import gradio as gr
import pytest
import torch

from sat_probe import refine
from sat_probe.demo.ablate import tab as ablate_tab
from sat_probe.demo.ablate.tab import REMOVED
from sat_probe.demo.browse.published import bundled_report
from sat_probe.demo.browse.tab import ORDERS, heads_html, report_html
from sat_probe.demo.clips import example_clip, examples
from sat_probe.demo.compare.comparison import SCALES, Side, changes_html, figures_html, overview_html
from sat_probe.demo.explore import tab as explore_tab
from sat_probe.demo.session import Session
from sat_probe.demo.settings import DemoSettings, named_models
from sat_probe.errors import ConfigurationError
from sat_probe.measures.head_metrics import CATEGORIES, RANKED
from sat_probe.studies.choices import ModelChoice
from sat_probe.studies.inputs import open_model
from sat_probe.studies.utterance_analysis import analyze_utterance
from tests.demo.test_explore_tab import content_of

LAYERS, HEADS = 6, 6
EXAMPLE = next(iter(examples()))
EVERYTHING = list(CATEGORIES)
REFINED = {
    "two-heads-removed": {"remove": [(0, 0), (0, 1)]},
    "first-layer-removed": {"remove": [(0, head) for head in range(HEADS)]},
    "last-layer-removed": {"remove": [(LAYERS - 1, head) for head in range(HEADS)]},
    "limited-span": {"span": 10},
    "both": {"remove": [(2, 1)], "span": 10},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folder of each refined model, by name."""
    place = tmp_path_factory.mktemp("refined")
    for name, changes in REFINED.items():
        refine(None, **changes).save_pretrained(place / name)
    return {name: place / name for name in REFINED}


@pytest.fixture(scope="module", params=list(REFINED))
def analyzed(request, folders):
    """Name of a refined model, and what Explore gives for it."""
    settings = DemoSettings(named_models(map(str, folders.values())))
    return request.param, explore_tab.analyze(settings, request.param, EXAMPLE, None, None, Session(), 0.3, 1.2)


def present_heads(name: str) -> list[tuple[int, int]]:
    removed = REFINED[name].get("remove", [])
    every = [(layer, head) for layer in range(LAYERS) for head in range(HEADS)]
    return [head for head in every if head not in removed]


def test_explore_shows_and_ranks_only_present_heads(analyzed, folders):
    name, (session, status, frame, boundaries) = analyzed
    present = present_heads(name)
    shown = content_of(frame)["heads"]
    assert [(head["layer"], head["head"]) for head in shown] == present
    for metric in RANKED:
        assert sorted(head[f"{metric}_rank"] for head in shown) == list(range(1, len(present) + 1)), metric
    assert {head["category"] for head in shown} == set(CATEGORIES)
    assert session.head in present
    assert f"layer {session.head[0]}, head {session.head[1]}" in boundaries
    removed = len(REFINED[name].get("remove", []))
    assert (f"{removed} of 36 heads were removed from this model." in status) == bool(removed)
    assert ("Its attention reaches ± 10 frames;" in status) == ("span" in REFINED[name])
    assert str(folders[name].parent) not in frame


def test_metrics_are_those_of_the_maps_of_present_heads(analyzed, folders):
    name, (_, _, frame, _) = analyzed
    model = open_model(ModelChoice(folders[name], device="cpu"))
    clip = example_clip(EXAMPLE)
    limited = "span" in REFINED[name]  # observers see attention before the limit; the input of layer 0 is the same
    options = {"attention_span": 10_000} if limited else {}
    maps = model.encode([clip.waveform], output_attentions=True, **options).attentions
    shown = {(head["layer"], head["head"]): head for head in content_of(frame)["heads"]}
    for layer, heads in enumerate(model.present_heads[: 1 if limited else None]):
        for place, head in enumerate(heads):
            weights = maps[layer][0, place].double()
            entropy = -torch.xlogy(weights, weights).sum(-1).mean()
            assert shown[layer, head]["globalness"] == pytest.approx(float(entropy), rel=2e-4)
            assert shown[layer, head]["max_weight"] == pytest.approx(float(weights.max()), rel=2e-4)


def test_absent_heads_cannot_be_chosen(analyzed):
    name, (session, *_) = analyzed
    present = present_heads(name)
    for layer, head in [present[0], present[-1]]:
        event = gr.EventData(None, {"layer": layer, "head": head})
        chosen, shown = explore_tab.choose(session, 0.3, 1.2, event)
        assert chosen.head == (layer, head)
        assert f"predicted by layer {layer}, head {head}" in shown
    for layer, head in REFINED[name].get("remove", [])[:1]:
        event = gr.EventData(None, {"layer": layer, "head": head})
        with pytest.raises(ConfigurationError, match=f"head {head} of layer {layer} was removed from {name}"):
            explore_tab.choose(session, 0.3, 1.2, event)


def test_ablate_has_blank_cells_for_absent_heads(analyzed):
    name, (session, *_) = analyzed
    subject, grid, off, slider, _ = ablate_tab.start(session)
    buttons = re.findall(r'data-layer="(\d+)" data-head="(\d+)"', grid)
    assert {(int(layer), int(head)) for layer, head in buttons} == set(present_heads(name))
    removed = REFINED[name].get("remove", [])
    blank = re.findall(r'class="sat-absent"[^>]* title="layer (\d+), head (\d+): removed', grid)
    assert {(int(layer), int(head)) for layer, head in blank} == set(removed)
    assert (REMOVED in grid) == bool(removed)
    assert name in subject
    assert off == frozenset()
    assert slider.maximum == slider.value == REFINED[name].get("span", ablate_tab.WIDEST)


def test_ablate_computes_on_a_refined_model(analyzed, folders):
    name, (session, *_) = analyzed
    drop = next(iter(ablate_tab.MODES))
    head = present_heads(name)[0]
    widest = ablate_tab.widest_span(session)
    shown = ablate_tab.ablate(session, frozenset({head}), widest, drop)
    assert "1 head off" in shown
    assert "span" not in shown.split("</h3>")[0], "the model's own limit is no ablation"
    model = open_model(ModelChoice(folders[name], device="cpu"))
    mask = torch.ones(LAYERS, HEADS)
    mask[head] = 0
    clip = example_clip(EXAMPLE)
    intact, changed = (
        model.encode([clip.waveform], output_hidden_states=True, **options).hidden_states[-1]
        for options in ({}, {"head_mask": mask})
    )
    change = float((changed - intact).norm() / intact.norm())
    assert f", {change:.0%}" in re.search(r"Relative change[^\"]*", shown)[0]
    assert "span ± 3 frames" in ablate_tab.ablate(session, frozenset(), 3, drop)
    assert ablate_tab.ablate(session, frozenset(), ablate_tab.WIDEST, drop) == ablate_tab.ASK
    for layer, index in REFINED[name].get("remove", [])[:1]:
        with pytest.raises(ConfigurationError, match=f"head {index} of layer {layer} was removed from {name}"):
            ablate_tab.ablate(session, frozenset({(layer, index)}), widest, drop)


def test_compare_and_report_cope_with_absent_heads(folders):
    clip = example_clip(EXAMPLE)
    reports = [
        Side(name, analyze_utterance(open_model(ModelChoice(folders[name])), clip.waveform, clip.name).report)
        for name in ("two-heads-removed", "last-layer-removed")
    ]
    bundled = Side("bundled", bundled_report())
    for sides in ((bundled, reports[0]), tuple(reports)):
        overview = overview_html(sides)
        for side in sides:
            count, total = side.report.counts["global"], len(side.report.heads)
            assert f"{count} ({count / total:.0%})" in overview
        assert figures_html(sides, SCALES[0]).count("<svg") == 8
    assert "heads have another category" in changes_html((bundled, reports[0]))
    assert "Heads that only one of the two models has are left out: 2." in changes_html((bundled, reports[0]))
    for side in reports:
        assert report_html(side.report).count("<svg") >= 1
        shown = heads_html(side.report, EVERYTHING, "", "", "globalness", "", "", "layer", ORDERS[0])
        assert shown.count("<tr>") == len(side.report.heads) + 1
