"""The grid of heads whose cells switch heads off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from sat_probe.demo.theme import page_file
from sat_probe.errors import ConfigurationError
from sat_probe.reports.palette import CATEGORIES, CATEGORY_LETTERS

Heads = frozenset[tuple[int, int]]


def head_grid(categories: Sequence[Sequence[str]], **options: Any) -> gr.HTML:
    """A component for the value of `grid_of`; `.click` hears which heads are off, see `heads_off`."""
    return gr.HTML(value=grid_of(categories), js_on_load=page_file("head_grid.js"), **options)


def grid_of(categories: Sequence[Sequence[str]]) -> str:
    """The grid as HTML, all heads on: layers upwards, heads to the right, coloured and lettered by category."""
    rows = []
    for layer in reversed(range(len(categories))):
        rows.append(f'<span aria-hidden="true">{layer}</span>')
        for head, category in enumerate(categories[layer]):
            rows.append(
                f'<button type="button" class="sat-{category}" data-layer="{layer}" data-head="{head}" '
                f'data-category="{category}" aria-pressed="false" title="layer {layer}, head {head}: {category}" '
                f'aria-label="Switch off layer {layer}, head {head}, {category}">{CATEGORY_LETTERS[category]}</button>'
            )
    count = len(categories[0])
    rows += ["<span></span>", *(f'<span aria-hidden="true">{head}</span>' for head in range(count))]
    sets = "".join(
        f'<button type="button" class="sat-{name}" data-set="{name}">all {name} off</button>'
        for name in CATEGORIES
    )
    return (
        f'<div class="sat-grid" role="group" aria-label="Heads that are switched off" '
        f'style="grid-template-columns: auto repeat({count}, auto)">{"".join(rows)}</div>'
        f'<p class="sat-sets">{sets}<button type="button" data-set="none">all on</button></p>'
    )


def heads_off(event: gr.EventData, categories: Sequence[Sequence[str]]) -> Heads:
    """The heads that are off, as the browser says, checked.

    Raises:
        ConfigurationError: it names a head that the grid has not.
    """
    told = getattr(event, "off", None)
    there = {(layer, head) for layer, row in enumerate(categories) for head in range(len(row))}
    if not isinstance(told, list) or not all(isinstance(one, list) and tuple(one) in there for one in told):
        raise ConfigurationError("the grid names a head that this model does not have; analyze again")
    return frozenset((int(layer), int(head)) for layer, head in told)
