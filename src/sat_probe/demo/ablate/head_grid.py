"""Grid of heads with a button for each head that switches it off or on."""

from __future__ import annotations

from typing import Any

import gradio as gr

from sat_probe.demo.session import Categories, Session
from sat_probe.demo.theme import page_file
from sat_probe.errors import ConfigurationError
from sat_probe.reports.palette import CATEGORIES, CATEGORY_LETTERS

Heads = frozenset[tuple[int, int]]
REMOVED = "Blank cells are heads that were removed from this model; there is nothing to switch off."


def head_grid(categories: Categories, **options: Any) -> gr.HTML:
    """Return a component for `grid_html`; its `click` event says which heads are off, see `heads_off`."""
    return gr.HTML(value=grid_html(categories), js_on_load=page_file("head_grid.js"), **options)


def grid_html(categories: Categories) -> str:
    """Return the grid with all heads on: layers from bottom to top, heads from left to right, coloured by category."""
    rows = []
    for layer in reversed(range(len(categories))):
        rows.append(f'<span aria-hidden="true">{layer}</span>')
        rows += [_cell(layer, head, category) for head, category in enumerate(categories[layer])]
    count = len(categories[0])
    rows += ["<span></span>", *(f'<span aria-hidden="true">{head}</span>' for head in range(count))]
    sets = "".join(
        f'<button type="button" class="sat-{name}" data-set="{name}">all {name} off</button>'
        for name in CATEGORIES
    )
    some_removed = any(category is None for layer in categories for category in layer)
    return (
        f'<div class="sat-grid" role="group" aria-label="Heads that are switched off" '
        f'style="grid-template-columns: auto repeat({count}, auto)">{"".join(rows)}</div>'
        f'<p class="sat-sets">{sets}<button type="button" data-set="none">all on</button></p>'
        + (f'<p class="sat-note">{REMOVED}</p>' if some_removed else "")
    )


def _cell(layer: int, head: int, category: str | None) -> str:
    if category is None:
        name = f"layer {layer}, head {head}: removed from this model"
        return f'<span class="sat-absent" role="img" title="{name}" aria-label="{name}"></span>'
    return (
        f'<button type="button" class="sat-{category}" data-layer="{layer}" data-head="{head}" '
        f'data-category="{category}" aria-pressed="false" title="layer {layer}, head {head}: {category}" '
        f'aria-label="Switch off layer {layer}, head {head}, {category}">{CATEGORY_LETTERS[category]}</button>'
    )


def heads_off(event: gr.EventData, session: Session) -> Heads:
    """Return the heads that the browser says are off.

    Raises:
        ConfigurationError: if it names a head that the model of the session does not have.
    """
    named = getattr(event, "off", None)
    if not isinstance(named, list) or not all(
        isinstance(one, list) and list(map(type, one)) == [int, int] for one in named
    ):
        raise ConfigurationError("the grid sent no list of heads; please reload the page")
    for layer, head in named:
        session.check_head(layer, head)
    return frozenset((layer, head) for layer, head in named)
