"""Cards of repositories on the Hugging Face Hub, from the templates of `hub_configs/templates`."""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2
from huggingface_hub import CardData

from sat_probe.configs import config_folder

CITATION = """@inproceedings{yang20_sat,
  title     = {Understanding Self-Attention of Self-Supervised Audio Transformers},
  author    = {Shu-wen Yang and Andy T. Liu and Hung-yi Lee},
  booktitle = {Proc. Interspeech},
  year      = {2020},
  eprint    = {2006.03265},
  archiveprefix = {arXiv}
}"""


def render_card(template: str, data: CardData, **values: Any) -> str:
    """A card from a template of `hub_configs/templates`, its header from `data`."""
    templates = _templates()
    common = {"citation": CITATION, "method": templates.get_template("method.md").render()}
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
