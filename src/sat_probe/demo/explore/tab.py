"""Explore: a recording through a model, every head of it, and where a head hears phones begin."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import cache
from typing import Any

import gradio as gr
from gradio.events import Dependency

from sat_probe.demo.clips import Clip, example_clip, examples, uploaded_alignment, uploaded_clip
from sat_probe.demo.errors_and_uploads import guarded, one_line
from sat_probe.demo.explore.page_frame import bundled_report, framed, page_frame
from sat_probe.demo.model_pool import probed_model, warm_up
from sat_probe.demo.note import note
from sat_probe.demo.session import Session, categories_of
from sat_probe.demo.settings import DemoSettings
from sat_probe.demo.uploads import delete_upload, uploads_only
from sat_probe.errors import ConfigurationError, SatProbeError

ALPHA, BETA = 0.32, 0.85  # the best over the heads of the bundled model, on the examples
ASK = '<p class="sat-note">Choose a head above, and see here where it hears phones begin.</p>'


def build(settings: DemoSettings, session: gr.State, app: gr.Blocks) -> Dependency:
    """The tab's components and what they do; returns the event of an analysis."""
    heavy: dict[str, Any] = {"concurrency_id": "compute", "concurrency_limit": settings.concurrency}
    with gr.Row():
        with gr.Column():
            model = gr.Dropdown([choice.label for choice in settings.models], label="Model")
            example = gr.Dropdown(list(examples()), label="Speech: an example …")
        with gr.Column():
            recording = gr.Audio(
                type="filepath",
                sources=["upload", "microphone"],
                label=f"… or your own, up to {settings.max_seconds:g} s",
                editable=False,
                elem_id="recording",
            )
        with gr.Column():
            alignment = gr.File(
                type="filepath",
                file_types=[".TextGrid", ".phn"],
                label="Its phones, if you have them (TextGrid, .phn)",
                height=150,
                elem_id="alignment",
            )
            button = gr.Button("Analyze", variant="primary", elem_id="analyze")
    uploads_only(recording)
    uploads_only(alignment)
    status = gr.HTML(saved_note(), elem_id="status")
    page = page_frame(elem_id="heads")
    gr.Markdown("### Phone boundaries that the head predicts")
    with gr.Row():
        beta = gr.Slider(0.5, 6, BETA, step=0.05, label="beta: more is more boundaries", elem_id="beta")
        alpha = gr.Slider(0.05, 1, ALPHA, step=0.01, label="alpha: less is more local", elem_id="alpha")
    boundaries = gr.HTML(ASK, elem_id="boundaries")

    first = app.load(guarded(saved_page), None, page, api_name="saved_page", show_progress="hidden")
    first.then(guarded(get_ready, settings), None, None, api_visibility="private", queue=False)
    analyzed = button.click(
        guarded(analyze, settings),
        [model, example, recording, alignment, session, alpha, beta],
        [session, status, page, boundaries],
        api_name="analyze",
        **heavy,
    )
    page.click(
        guarded(choose, settings),
        [session, alpha, beta],
        [session, boundaries],
        api_visibility="private",
        trigger_mode="always_last",
        show_progress="minimal",
        **heavy,
    )
    gr.on(
        [alpha.release, beta.release],
        guarded(predict, settings),
        [session, alpha, beta],
        boundaries,
        api_name="boundaries",
        trigger_mode="always_last",
        show_progress="minimal",
        **heavy,
    )
    return analyzed


@cache
def saved_page() -> str:
    """The page of the bundled report, which is there before any model is loaded."""
    return framed(bundled_report())


def get_ready(settings: DemoSettings) -> None:
    """Have the first model loaded and tried out, behind the saved report."""
    unseen = (next(iter(examples())), None, None, Session(), ALPHA, BETA)
    warm_up(settings.models[0], lambda: analyze(settings, settings.models[0].label, *unseen))


def saved_note() -> str:
    """What is shown before anything was analyzed."""
    provenance = bundled_report().provenance
    return note(
        f"A saved report: the bundled model on {provenance['utterances']} bundled utterances of synthetic speech. "
        "Choose a model and speech, then Analyze."
    )


def analyze(
    settings: DemoSettings,
    label: str,
    example: str,
    recording: str | None,
    alignment: str | None,
    session: Session,
    alpha: float,
    beta: float,
) -> tuple[Session, str, str, str]:
    """Run a recording (the visitor's, or else an example) through a model: session, status, page and boundaries."""
    try:
        choice = settings.model(label)
        clip = _clip(settings, example, recording, alignment, session)
    finally:  # whether they were read or refused
        delete_upload(recording)
        delete_upload(alignment)
    model = probed_model(choice)
    from sat_probe.demo.explore.boundaries import (
        boundaries_html,  # draws and computes: not before the first view
    )
    from sat_probe.studies.utterance_analysis import analyze_utterance, map_boundaries

    started = time.perf_counter()
    report, head, weights = analyze_utterance(
        model, clip.waveform, clip.name, clip.phones, choice.model or "bundled"
    )
    page = framed(report)
    boundaries = boundaries_html(clip, head, map_boundaries(model, weights, alpha, beta))
    took = time.perf_counter() - started
    session = Session(
        clip=clip,
        model=choice,
        sent=(recording, alignment if clip.alignment is not None else None),
        head=head,
        own_categories=categories_of(report.heads),
    )
    line = note(
        f"{clip.name}: {clip.seconds:.1f} s through {choice.label}, analyzed in {took:.1f} s. Categories are ranks "
        "on this recording alone."
    )
    return session, line, page, boundaries


def choose(
    settings: DemoSettings, session: Session, alpha: float, beta: float, event: gr.EventData
) -> tuple[Session, str]:
    """A head was chosen in the page."""
    layer, head = (getattr(event, name, None) for name in ("layer", "head"))
    if type(layer) is not int or type(head) is not int:
        raise ConfigurationError("no head was chosen")
    session = replace(session, head=(layer, head))
    return session, predict(settings, session, alpha, beta)


def predict(settings: DemoSettings, session: Session, alpha: float, beta: float) -> str:
    """The boundaries of the chosen head on the spectrogram, and their scores where the phones are known."""
    if session.head is None:
        return ASK
    clip, choice = session.shown(settings)
    model = probed_model(choice)
    layer, head = session.head
    if not (0 <= layer < model.num_probed_layers and 0 <= head < model.num_probed_heads):
        raise ConfigurationError(f"{choice.label} has no head {head} in layer {layer}")
    from sat_probe.demo.explore.boundaries import boundaries_html
    from sat_probe.studies.utterance_analysis import head_boundaries

    found = head_boundaries(model, clip.waveform, layer, head, alpha, beta)
    return boundaries_html(clip, session.head, found)


def _clip(
    settings: DemoSettings, example: str, recording: str | None, alignment: str | None, session: Session
) -> Clip:
    if recording is None:
        return example_clip(example)
    if session.clip is not None and session.sent == (recording, alignment):
        return session.clip  # another model may read it too, though its files are gone
    if session.clip is not None and session.sent[0] == recording:
        clip = replace(session.clip, alignment=None)
    else:
        clip = uploaded_clip(recording, settings)
    if alignment is None:
        return clip
    try:
        return replace(clip, alignment=uploaded_alignment(alignment, clip, settings))
    except SatProbeError as error:  # the recording is gone by now, so it is shown all the same
        gr.Warning(f"Analyzed without its phones. {one_line(str(error))}", title="Please check")
        return clip
