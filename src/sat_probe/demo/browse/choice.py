"""Two lists from which a report is chosen: the source, and a model if the source has several."""

from __future__ import annotations

import gradio as gr

from sat_probe.demo.browse.published import PublishedReports
from sat_probe.demo.errors import guard


def report_choice(
    published: PublishedReports, label: str, first: int = 0
) -> tuple[gr.Dropdown, gr.Dropdown, gr.events.Dependency]:
    """Return both lists, and the event after which the models are those of the chosen source.

    The list of models is visible only if there are several.

    Args:
        published: the reports to choose from.
        label: label of the list of sources.
        first: index of the source that is chosen at the start; the last one if there are fewer.
    """
    names = list(published.names)
    source = gr.Dropdown(names, value=names[min(first, len(names) - 1)], label=label, filterable=False)
    model = gr.Dropdown([], value=None, label="Model", visible=False)

    def offer_models(name: str) -> gr.Dropdown:
        models = published.models(name)
        choices = [(_short(model), model) for model in models]
        return gr.Dropdown(choices=choices, value=models[0] if models else None, visible=len(models) > 1)

    offered = source.input(
        guard(offer_models), source, model, api_visibility="private", show_progress="hidden"
    )
    return source, model, offered


def _short(model: str) -> str:
    name, _, revision = model.rpartition("@")
    return f"{name} at {revision[:12]}"
