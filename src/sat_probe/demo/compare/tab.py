"""The Compare tab: the heads of two reports side by side, and head by head if the models have the same heads."""

from __future__ import annotations

import gradio as gr

from sat_probe.demo.browse.published import PublishedReports, report_choice
from sat_probe.demo.compare.comparison import (
    PAIR_CSS,
    SCALES,
    Side,
    changes_html,
    distinct_names,
    figures_html,
    overview_html,
)
from sat_probe.demo.compare.heads_file import read_heads_file
from sat_probe.demo.errors import guard
from sat_probe.demo.settings import DemoSettings
from sat_probe.demo.uploads import accept_uploads_only, delete_upload
from sat_probe.errors import ReportError
from sat_probe.reports.head_report import HeadReport

INTRODUCTION = """Two models side by side: which kinds of heads they have, in which layers, and how the metrics differ.
Choose saved reports, or upload your own `heads.parquet` (written by `sat-probe analyze`)."""

Tables = dict[str, HeadReport]


def build(settings: DemoSettings, tab: gr.Tab) -> None:
    """Build the components of the tab and their events; it opens with the comparison of the first two reports."""
    published = PublishedReports(settings)
    gr.Markdown(INTRODUCTION)
    tables = gr.State({}, time_to_live=settings.session_seconds)  # uploaded tables by the path of the upload
    inputs: list[gr.components.Component] = []
    with gr.Row():
        for index, place in enumerate(("First", "Second")):
            with gr.Column(min_width=300):
                source, model, _ = report_choice(published, f"{place} report", first=index)
                with gr.Accordion("or upload a table of heads", open=False):
                    label, types = f"{place} table of heads (.parquet, .csv)", [".parquet", ".csv"]
                    upload = gr.File(label=label, file_types=types, height=160)
                    accept_uploads_only(upload)
                inputs += [source, model, upload]
    scale = gr.Radio(list(SCALES), value=SCALES[0], label="Globalness and verticality in")
    button = gr.Button("Compare", variant="primary")
    outputs = [gr.HTML(css_template=PAIR_CSS, apply_default_css=False) for _ in range(3)]

    def compare(
        first: str, first_model: str | None, first_file: str | None,
        second: str, second_model: str | None, second_file: str | None, scale: str, tables: Tables,
    ) -> tuple[str, str, str, Tables]:  # fmt: skip
        tables = with_uploads(tables, first_file, second_file)

        def side(name: str, model: str | None, upload: str | None) -> Side:
            if upload:
                return Side(str(tables[upload].provenance["model"]), tables[upload])
            return Side(f"{name}, {model}" if model else name, published.open(name, model))

        def shown() -> tuple[str, str, str]:
            ours = side(first, first_model, first_file)
            sides = distinct_names(ours, side(second, second_model, second_file))
            return overview_html(sides), figures_html(sides, scale), changes_html(sides)

        if first_file or second_file:
            return *shown(), tables
        key = ("compare", first, first_model or "", second, second_model or "", scale)
        return *published.cached(key, shown), tables

    # a click while the tab is still opening must not be lost: the last one counts
    gr.on(
        [tab.select, button.click, scale.input],
        guard(compare),
        [*inputs, scale, tables],
        [*outputs, tables],
        api_name="compare",
        trigger_mode="always_last",
        show_progress_on=outputs[0],
    )


def with_uploads(tables: Tables, *uploads: str | None) -> Tables:
    """Return the uploaded tables by path, reading those that are not in `tables`; the files are deleted.

    If one is refused, only its file is deleted, because the other one will be needed again.

    Raises:
        ReportError: as `heads_file.read_heads_file`.
    """
    read: Tables = {}
    for upload in filter(None, uploads):
        try:
            read[upload] = tables[upload] if upload in tables else read_heads_file(upload)
        except ReportError:
            delete_upload(upload)
            raise
    for upload in read:
        delete_upload(upload)
    return read
