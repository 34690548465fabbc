"""Cards of repositories on the Hugging Face Hub, from the templates of `hub_configs/templates`."""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2
from huggingface_hub import CardData

from sat_probe.configs import config_folder


def render_card(template: str, data: CardData, **values: Any) -> str:
    """A card from a template of `hub_configs/templates`, its header from `data`."""
    templates = _templates()
    parts = {"citation": "citation.bib", "method": "method.md"}
    common = {name: templates.get_template(file).render() for name, file in parts.items()}
    text = templates.get_template(f"{template}.md").render(card_data=data.to_yaml(), **{**common, **values})
    return text.strip() + "\n"


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(config_folder("templates")),
        undefined=jinja2.ChainableUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["cell"] = _cell
    environment.filters["code"] = lambda name: f"`{name}`"
    return environment


def _cell(value: Any) -> str:
    """Text that does not break a Markdown table."""
    return " ".join(str(value).split()).replace("|", "\\|")
