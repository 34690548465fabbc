"""The Ablate tab: heads switched off or the span limited, and the effect on one recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr
import numpy as np
from gradio.events import Dependency

from sat_probe.demo.errors import guard
from sat_probe.demo.model_pool import LATEST, phone_probe, probed_model, reconstruction_head
from sat_probe.demo.session import Categories, Session
from sat_probe.demo.theme import note_html, page_file
from sat_probe.errors import ConfigurationError
from sat_probe.reports.palette import CATEGORIES, CATEGORY_LETTERS

if TYPE_CHECKING:
    from sat_probe.models.attention.probe import SpanMode

Heads = frozenset[tuple[int, int]]
REMOVED = "Blank cells are heads that were removed from this model; there is nothing to switch off."
WIDEST = 100  # frames; the end of the slider stands for no limit
MODES = {"drop the weights beyond it": "zero", "renormalize the weights within it": "mask"}
ASK = '<p class="sat-note">Switch heads off in the grid, or reduce the span, to see and hear what changes.</p>'


def build(session: gr.State, app: gr.Blocks, analyzed: Dependency) -> None:
    """Build the components of the tab and their events; after the event `analyzed` the session has changed."""
    off = gr.State(frozenset())
    subject = gr.HTML(elem_id="subject")
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            heads = grid_html(Session().categories)  # a click says which are off, see `heads_off`
            grid = gr.HTML(heads, js_on_load=page_file("head_grid.js"), elem_id="ablate-grid")
        with gr.Column(scale=3, min_width=300):
            reach = "Span: frames that attention reaches to either side"
            span = gr.Slider(0, WIDEST, WIDEST, step=1, label=reach, elem_id="span")
            mode = gr.Radio(list(MODES), value=next(iter(MODES)), label="A limited span means")
    effect = gr.HTML(ASK, elem_id="effect")

    shown = [subject, grid, off, span, effect]
    for event in (app.load, analyzed.success):
        event(guard(start), session, shown, api_visibility="private", show_progress="hidden")
    switched = [session, span, mode]
    grid.click(guard(switch_heads), switched, [off, effect], api_visibility="private", **LATEST)
    changed, inputs = [span.release, mode.input], [session, off, span, mode]
    gr.on(changed, guard(ablate), inputs, effect, api_visibility="private", **LATEST)


def start(session: Session) -> tuple[str, str, Heads, gr.Slider, str]:
    """Return what the tab shows before anything is switched off: subject, grid, heads that are off, slider, effect."""
    clip, widest = session.shown_clip, widest_span(session)
    line = f"{clip.name}, {clip.seconds:.1f} s, through {session.label}. {session.refinement}"
    info = f"{widest} is no limit" if session.limited_span is None else f"{widest} is the model's own limit"
    slider = gr.Slider(maximum=widest, value=widest, info=info)
    advice = "To change the recording or the model, use the Explore tab."
    return note_html(line + advice), grid_html(session.categories), frozenset(), slider, ASK


def widest_span(session: Session) -> int:
    """Return the end of the span slider, which limits nothing further (frames)."""
    return WIDEST if session.limited_span is None else session.limited_span


def switch_heads(session: Session, span: float, mode: str, event: gr.EventData) -> tuple[Heads, str]:
    """Return the heads that were switched off in the grid, and the effect."""
    off = heads_off(event, session)
    return off, ablate(session, off, span, mode)


def ablate(session: Session, off: Heads, span: float, mode: str) -> str:
    """Return the effect of an ablation on the recording of a session, as HTML."""
    if mode not in MODES:
        raise ConfigurationError("there is no such way to limit the span")
    limit = None if span >= widest_span(session) else int(span)
    if not off and limit is None:
        return ASK
    for layer, head in off:
        session.check_head(layer, head)
    clip, choice = session.shown_clip, session.model
    model = probed_model(choice)
    from sat_probe.demo.ablate.phones import ABSENT, phones_html  # imports matplotlib
    from sat_probe.demo.ablate.view import effect_html
    from sat_probe.studies.ablation_effect import ablation_effect, heard  # imports torch
    from sat_probe.studies.probing.features import Ablation

    way: SpanMode = MODES[mode]  # type: ignore[assignment]
    ablation = Ablation(off, limit, way)
    probe = phone_probe(choice)
    effect = ablation_effect(model, clip.waveform, ablation, reconstruction_head(choice), probe)
    sounds: dict[str, np.ndarray] = {}
    if effect.intact is not None and effect.changed is not None:
        sounds = {"the recording": clip.waveform}
        for name, features in (("with all heads", effect.intact), ("after the ablation", effect.changed)):
            sounds[f"reconstructed {name}"] = heard(model, features, clip.waveform)
    parts = (
        f"{len(off)} head{'s' * (len(off) != 1)} off" if off else "",
        f"span ± {limit} frames" if limit is not None else "",
    )
    phones = note_html(ABSENT)
    if probe is not None and effect.phones is not None:
        times = model.frame_grid.times(effect.phones.shape[1])
        phones = phones_html(effect.phones, probe, clip, times)
    return effect_html(effect, sounds, clip, " and ".join(filter(None, parts)), phones)


def grid_html(categories: Categories) -> str:
    """Return the grid with all heads on: layers from bottom to top, heads from left to right, coloured by category."""
    rows = []
    for layer in reversed(range(len(categories))):
        rows.append(f'<span aria-hidden="true">{layer}</span>')
        rows += [_cell(layer, head, category) for head, category in enumerate(categories[layer])]
    count = len(categories[0])
    rows += ["<span></span>", *(f'<span aria-hidden="true">{head}</span>' for head in range(count))]
    sets = "".join(
        f'<button type="button" class="sat-{name}" data-set="{name}">all {name} off</button>' for name in CATEGORIES
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
