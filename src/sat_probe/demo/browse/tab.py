"""The Report tab: a saved report to filter, sort and download, with its provenance."""

from __future__ import annotations

import html

import gradio as gr

from sat_probe.demo.browse.heads_table import TABLE_CSS, csv_link, html_table, select_heads
from sat_probe.demo.browse.published import PublishedReports, report_choice
from sat_probe.demo.errors import guard
from sat_probe.demo.inline_figure import inline_figure
from sat_probe.demo.settings import DemoSettings
from sat_probe.demo.theme import page_file
from sat_probe.errors import ReportError
from sat_probe.measures.head_metrics import CATEGORIES
from sat_probe.reports.head_report import HeadReport

INTRODUCTION = "The heads of a saved report within your bounds. The CSV has the same rows with all columns and digits."
METRICS = (
    "globalness", "verticality", "diagonality", "max_weight", "mean_offset_ms", "spread_ms", "sink_share",
    "category_stability",
)  # fmt: skip
ORDERS = ("smallest first", "largest first")
SHOWN = ("layer", "head", "category", *METRICS)
FACTS = (
    "model", "revision", "architecture", "corpus", "split", "utterances", "seconds", "frame_hop_ms", "date", "command",
)  # fmt: skip
REPORT_CSS = TABLE_CSS + page_file("report.css")


def build(settings: DemoSettings, tab: gr.Tab) -> None:
    """Build the components of the tab and their events; it opens with the bundled report."""
    published = PublishedReports(settings)
    gr.Markdown(INTRODUCTION)
    with gr.Row():
        source, model, offered = report_choice(published, "Report")
    about = gr.HTML(css_template=REPORT_CSS, apply_default_css=False)
    with gr.Row():
        categories = gr.CheckboxGroup(list(CATEGORIES), value=list(CATEGORIES), label="Kinds of heads")
        first_layer = gr.Textbox(label="From layer", placeholder="any", max_lines=1, min_width=110)
        last_layer = gr.Textbox(label="To layer", placeholder="any", max_lines=1, min_width=110)
    with gr.Row():
        metric = gr.Dropdown(list(METRICS), value="globalness", label="Only heads whose", filterable=False)
        at_least = gr.Textbox(label="is at least", placeholder="any", max_lines=1, min_width=110)
        at_most = gr.Textbox(label="and at most", placeholder="any", max_lines=1, min_width=110)
        sort_by = gr.Dropdown(list(SHOWN), value="layer", label="Sort by", filterable=False)
        order = gr.Radio(list(ORDERS), value=ORDERS[0], label="Order", min_width=240)
    table = gr.HTML(css_template=REPORT_CSS, apply_default_css=False)
    filters = [categories, first_layer, last_layer, metric, at_least, at_most, sort_by, order]

    def show_report(name: str, model: str | None) -> str:
        key = ("about", name, model or "")
        return published.cached(key, lambda: report_html(published.open(name, model)))

    def show_heads(
        name: str, model: str | None, categories: list[str], first_layer: str, last_layer: str, metric: str,
        at_least: str, at_most: str, sort_by: str, order: str,
    ) -> str:  # fmt: skip
        bounds = (first_layer, last_layer, metric, at_least, at_most)
        return heads_html(published.open(name, model), categories, *bounds, sort_by, order)

    chosen, opened = [source, model], [tab.select, model.input]
    report = {"fn": guard(show_report), "inputs": chosen, "outputs": about}
    heads = {"fn": guard(show_heads), "inputs": chosen + filters, "outputs": table, "show_progress": "minimal"}
    gr.on(opened, **report, api_name="report", trigger_mode="always_last")
    changed = [control.change for control in filters]
    gr.on([*opened, *changed], **heads, api_name="heads", trigger_mode="always_last")
    for event in (report, heads):  # not when the source changes: its models must be listed first
        offered.success(**event, api_visibility="private")


def report_html(report: HeadReport) -> str:
    """Return the provenance of a report and its two figures, as HTML."""
    from sat_probe.reports.plots.heads import plot_categories, plot_offsets  # imports matplotlib

    known = {name: report.provenance.get(name) for name in FACTS}
    facts = "".join(
        f"<dt>{name.replace('_', ' ')}</dt><dd>{html.escape(str(value))}</dd>"
        for name, value in known.items()
        if value is not None
    )
    counts = ", ".join(f"{count} {category}" for category, count in report.counts.items())
    title = str(known["model"] or "an unnamed model")
    alt = f"Category of every head of {title}: {counts}; layers upwards, heads across."
    figures = inline_figure(plot_categories(report.heads), alt)
    if {"mean_offset_ms", "spread_ms"} <= set(report.heads):
        alt = f"How far the heads of {title} look into past and future, layer by layer."
        figures += inline_figure(plot_offsets(report.heads), alt)
    return f'<div class="report"><dl>{facts}</dl><figure>{figures}</figure></div>'


def heads_html(
    report: HeadReport,
    categories: list[str],
    first_layer: str,
    last_layer: str,
    metric: str,
    at_least: str,
    at_most: str,
    sort_by: str,
    order: str,
) -> str:
    """Return the table of the heads within the bounds as they were typed, and the link that saves it.

    Raises:
        ReportError: if a bound is not a number, or the report lacks the metric.
    """
    layers = _bound("From layer", first_layer), _bound("To layer", last_layer)
    values = _bound("is at least", at_least), _bound("and at most", at_most)
    heads = select_heads(report.heads, categories, *layers, metric, *values, sort_by, order == ORDERS[1])
    said = f"{len(heads)} of {len(report.heads)} heads"
    model = str(report.provenance.get("model") or "report").replace("/", "__")
    shown = heads[[column for column in SHOWN if column in heads]]
    link = csv_link(heads, f"{model}-heads.csv", f"Save {said} as CSV")
    return html_table(shown, said, "Heads of the report") + link


def _bound(label: str, typed: str) -> float | None:
    """Return the number that was typed; None if nothing was."""
    if not typed.strip():
        return None
    try:
        return float(typed.replace(",", ".").replace("−", "-"))
    except ValueError:
        raise ReportError(
            f"{label}: {typed.strip()[:40]!r} is not a number; leave the field empty for no bound"
        ) from None
