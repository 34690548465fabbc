"""Ablate: heads switched off or spans limited, and what becomes of the speech."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
from gradio.events import Dependency

from sat_probe.demo.ablate.head_grid import Heads, grid_of, head_grid, heads_off
from sat_probe.demo.errors_and_uploads import guarded
from sat_probe.demo.model_pool import phone_probe, probed_model, reconstruction_head
from sat_probe.demo.note import note
from sat_probe.demo.session import Session
from sat_probe.demo.settings import DemoSettings
from sat_probe.errors import ConfigurationError

if TYPE_CHECKING:
    from sat_probe.models.attention.probe import SpanMode

WIDEST = 100  # frames; the slider's end is no limit
MODES = {"weights beyond it are dropped": "zero", "attention is spread anew within it": "mask"}
ASK = '<p class="sat-note">Switch heads off in the grid, or shorten the span, and see and hear what changes.</p>'


def build(settings: DemoSettings, session: gr.State, app: gr.Blocks, analyzed: Dependency) -> None:
    """The tab's components and what they do; `analyzed` is the event after which the session has another recording."""
    heavy: dict[str, Any] = {
        "concurrency_id": "compute",
        "concurrency_limit": settings.concurrency,
        "trigger_mode": "always_last",
        "show_progress": "minimal",
    }
    off = gr.State(frozenset())
    subject = gr.HTML(elem_id="subject")
    with gr.Row():
        with gr.Column(scale=2, min_width=300):
            grid = head_grid(Session().categories, elem_id="ablate-grid")
        with gr.Column(scale=3, min_width=300):
            span = gr.Slider(
                0,
                WIDEST,
                WIDEST,
                step=1,
                label="Span: frames that attention reaches to either side",
                info=f"{WIDEST} is no limit",
                elem_id="span",
            )
            mode = gr.Radio(list(MODES), value=next(iter(MODES)), label="What a limited span means")
    effect = gr.HTML(ASK, elem_id="effect")

    shown = {
        "fn": guarded(start, settings),
        "inputs": session,
        "outputs": [subject, grid, off, effect],
        "api_visibility": "private",
        "show_progress": "hidden",
    }
    app.load(**shown)
    analyzed.success(**shown)
    grid.click(
        guarded(switched, settings),
        [session, span, mode],
        [off, effect],
        api_visibility="private",
        **heavy,
    )
    gr.on(
        [span.release, mode.input],
        guarded(ablate, settings),
        [session, off, span, mode],
        effect,
        api_visibility="private",
        **heavy,
    )


def start(settings: DemoSettings, session: Session) -> tuple[str, str, Heads, str]:
    """What the tab shows of a session at first: whose speech and model, and the grid with every head on."""
    clip, choice = session.shown(settings)
    line = f"{clip.name}, {clip.seconds:.1f} s, through {choice.label}. Another recording or model: Explore."
    return note(line), grid_of(session.categories), frozenset(), ASK


def switched(
    settings: DemoSettings, session: Session, span: float, mode: str, event: gr.EventData
) -> tuple[Heads, str]:
    """Heads were switched off or on in the grid."""
    off = heads_off(event, session.categories)
    return off, ablate(settings, session, off, span, mode)


def ablate(settings: DemoSettings, session: Session, off: Heads, span: float, mode: str) -> str:
    """What the ablation does to the recording of a session, as HTML."""
    if mode not in MODES:
        raise ConfigurationError("there is no such way to limit the span")
    limit = None if span >= WIDEST else int(span)
    if not off and limit is None:
        return ASK
    clip, choice = session.shown(settings)
    model = probed_model(choice)
    from sat_probe.demo.ablate.phones import ABSENT, phones_html
    from sat_probe.demo.ablate.view import effect_html  # matplotlib and torch: not before the first view
    from sat_probe.studies.ablation_effect import ablation_effect, heard
    from sat_probe.studies.probing.features import Ablation

    way: SpanMode = MODES[mode]  # type: ignore[assignment]
    ablation = Ablation(off, limit, way)
    probe = phone_probe(choice)
    effect = ablation_effect(model, clip.waveform, ablation, reconstruction_head(choice), probe)
    sounds: dict[str, np.ndarray] = {}
    if effect.intact is not None and effect.changed is not None:
        sounds = {
            "the recording": clip.waveform,
            "reconstructed by all heads": heard(model, effect.intact, clip.waveform),
            "reconstructed without these": heard(model, effect.changed, clip.waveform),
        }
    taken = " and ".join(
        part
        for part in (
            f"{len(off)} head{'s' * (len(off) != 1)} off" if off else "",
            f"span ± {limit} frames" if limit is not None else "",
        )
        if part
    )
    phones = note(ABSENT)
    if probe is not None and effect.phones is not None:
        times = model.frame_grid.times(effect.phones.shape[1])
        phones = phones_html(effect.phones, probe, clip, times)
    return effect_html(effect, sounds, clip, taken, phones)
