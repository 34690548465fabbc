"""The Explore tab: one recording through a model, all of its heads, and the phone boundaries that a head predicts."""

from __future__ import annotations

import html
import time
from dataclasses import replace
from functools import cache

import gradio as gr
from gradio.events import Dependency

from sat_probe.audio import SAMPLING_RATE
from sat_probe.demo.browse.published import bundled_report
from sat_probe.demo.clips import Clip, example_clip, examples, uploaded_alignment
from sat_probe.demo.errors import guard, message_html
from sat_probe.demo.model_pool import LATEST, probed_model, warm_up
from sat_probe.demo.session import Session, categories_of
from sat_probe.demo.settings import DemoSettings
from sat_probe.demo.theme import note_html, page_file
from sat_probe.demo.uploads import accept_uploads_only, delete_upload, file_name, read_upload
from sat_probe.errors import ConfigurationError, SatProbeError
from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.page.render import render_page

ALPHA, BETA = 0.32, 0.85  # the best values for the heads of the bundled model on the examples
ASK = '<p class="sat-note">Choose a head above to see the phone boundaries it predicts.</p>'


def build(settings: DemoSettings, session: gr.State, app: gr.Blocks) -> Dependency:
    """Build the components of the tab and their events; return the event of an analysis."""
    with gr.Row():
        with gr.Column():
            model = gr.Dropdown(list(settings.models), label="Model")
            example = gr.Dropdown(list(examples()), label="Speech: an example …")
        with gr.Column():
            own = f"… or your own, up to {settings.max_seconds:g} s"
            recording = gr.Audio(type="filepath", label=own, editable=False, elem_id="recording")
        with gr.Column():
            wanted, types = "Its phones, if you have them (TextGrid, .phn)", [".TextGrid", ".phn"]
            alignment = gr.File(label=wanted, file_types=types, height=150, elem_id="alignment")
            button = gr.Button("Analyze", variant="primary", elem_id="analyze")
    accept_uploads_only(recording)
    accept_uploads_only(alignment)
    status = gr.HTML(saved_report_note(), elem_id="status")
    page = gr.HTML("", js_on_load=page_file("frame.js"), elem_id="heads")  # a click says which head, see `choose`
    gr.Markdown("### Phone boundaries predicted by the chosen head")
    with gr.Row():
        beta = gr.Slider(0.5, 6, BETA, step=0.05, label="beta: larger gives more boundaries", elem_id="beta")
        alpha = gr.Slider(
            0.05, 1, ALPHA, step=0.01, label="alpha: smaller compares frames more locally", elem_id="alpha"
        )
    boundaries = gr.HTML(ASK, elem_id="boundaries")

    first = app.load(guard(saved_page), None, page, api_name="saved_page", show_progress="hidden")
    first.then(guard(warm_up_first_model, settings), None, None, api_visibility="private", queue=False)
    analyzed = button.click(
        guard(analyze, settings),
        [model, example, recording, alignment, session, alpha, beta],
        [session, status, page, boundaries],
        api_name="analyze",
        concurrency_id="compute",
    )
    chosen = [session, alpha, beta]
    page.click(guard(choose), chosen, [session, boundaries], api_visibility="private", **LATEST)
    released = [alpha.release, beta.release]
    gr.on(released, guard(predict), chosen, boundaries, api_name="boundaries", **LATEST)
    return analyzed


@cache
def saved_page() -> str:
    """Return the page of the bundled report, which needs no model."""
    return framed_page(bundled_report())


def warm_up_first_model(settings: DemoSettings) -> None:
    """Load the first model and try it out while the visitor looks at the bundled report."""
    label = next(iter(settings.models))
    inputs = (next(iter(examples())), None, None, Session(), ALPHA, BETA)
    warm_up(settings.models[label], lambda: analyze(settings, label, *inputs))


def saved_report_note() -> str:
    """Return the line that is shown before the first analysis."""
    provenance = bundled_report().provenance
    return note_html(
        f"A saved report of the bundled model on {provenance['utterances']} bundled utterances of synthetic speech. "
        "Choose a model and a recording, then press Analyze."
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
    """Run an uploaded recording, or else an example, through a model; return session, status, page and boundaries."""
    try:
        choice = settings.model(label)
        clip = _clip(settings, example, recording, alignment, session)
    finally:  # also after an error
        delete_upload(recording)
        delete_upload(alignment)
    model = probed_model(choice)
    from sat_probe.demo.explore.boundaries import boundaries_html  # imports matplotlib
    from sat_probe.studies.utterance_analysis import analyze_utterance, map_boundaries  # imports torch

    started = time.perf_counter()
    report, head, weights = analyze_utterance(model, clip.waveform, clip.name, clip.phones, choice.name)
    page = framed_page(report)
    boundaries = boundaries_html(clip, head, map_boundaries(model, weights, alpha, beta))
    took = time.perf_counter() - started
    sent = recording, alignment if clip.alignment is not None else None
    session = Session(clip, label, choice, sent, head, categories_of(report), model.limited_span)
    line = note_html(
        f"{clip.name}: {clip.seconds:.1f} s through {label}, analyzed in {took:.1f} s. {session.refinement}"
        "Categories are ranks within this recording."
    )
    return session, line, page, boundaries


def choose(session: Session, alpha: float, beta: float, event: gr.EventData) -> tuple[Session, str]:
    """Choose the head that was clicked in the page; return the session and the head's boundaries."""
    layer, head = (getattr(event, name, None) for name in ("layer", "head"))
    if type(layer) is not int or type(head) is not int:
        raise ConfigurationError("no head was chosen")
    session = replace(session, head=(layer, head))
    return session, predict(session, alpha, beta)


def predict(session: Session, alpha: float, beta: float) -> str:
    """Return the boundaries that the chosen head predicts, with scores if the phones of the recording are known."""
    if session.head is None:
        return ASK
    layer, head = session.head
    session.check_head(layer, head)
    model, clip = probed_model(session.model), session.shown_clip
    from sat_probe.demo.explore.boundaries import boundaries_html  # imports matplotlib
    from sat_probe.studies.utterance_analysis import head_boundaries  # imports torch

    found = head_boundaries(model, clip.waveform, layer, head, alpha, beta)
    return boundaries_html(clip, session.head, found)


def _clip(settings: DemoSettings, example: str, recording: str | None, alignment: str | None, session: Session) -> Clip:
    if recording is None:
        return example_clip(example)
    if session.clip is not None and session.sent == (recording, alignment):
        return session.clip  # another model may read it too, although its files are deleted
    if session.clip is not None and session.sent[0] == recording:
        clip = replace(session.clip, alignment=None)
    else:
        clip = Clip(file_name(recording), read_upload(recording, SAMPLING_RATE, settings))
    if alignment is None:
        return clip
    try:
        return replace(clip, alignment=uploaded_alignment(alignment, clip, settings))
    except SatProbeError as error:  # the recording is deleted by now, so it is analyzed anyway
        gr.Warning(f"Analyzed without its phones. {message_html(str(error))}", title="Please check")
        return clip


def framed_page(report: HeadReport) -> str:
    """Return the page of a report, the same as `report.html`, as the value of a `gr.HTML`.

    The frame may run its own scripts and nothing else: it has no origin, so it can neither read nor send anything.
    """
    page = html.escape(render_page(report), quote=True)
    # one wide character would double the memory that every copy of the page takes
    page = page.encode("ascii", "xmlcharrefreplace").decode("ascii")
    return f'<iframe class="sat-frame" title="Heads of the model" sandbox="allow-scripts" srcdoc="{page}"></iframe>'
