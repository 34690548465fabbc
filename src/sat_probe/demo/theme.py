"""Theme of the demo: the colours of the report page, and fonts of the visitor's system, so that nothing is fetched."""

from __future__ import annotations

import html
from importlib.resources import files

import gradio as gr
from gradio.themes.utils.colors import Color

from sat_probe.reports.palette import CATEGORIES, CATEGORY_COLOURS, CATEGORY_INK

# colours of reports/page/page.css: (light, dark)
TOKENS = {
    "paper": ("#ffffff", "#14171a"),
    "panel": ("#f6f7f8", "#1d2226"),
    "ink": ("#1b1f24", "#e8eaed"),
    "soft": ("#57606a", "#a3acb5"),
    "line": ("#d5dadf", "#3a4148"),
    "accent": ("#0072b2", "#56b4e9"),
    "focus": ("#d55e00", "#e69f00"),
}
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
_BLUES = Color(
    c50="#eef6fb", c100="#d8ebf6", c200="#b0d6ed", c300="#7dbde1", c400="#56b4e9", c500="#0072b2",
    c600="#0072b2", c700="#005a8d", c800="#004870", c900="#003553", c950="#00263c", name="report",
)  # fmt: skip
# what Gradio calls the places of each colour
_USES = {
    "paper": "body_background_fill background_fill_primary block_background_fill",
    "panel": "background_fill_secondary input_background_fill block_label_background_fill "
    "button_secondary_background_fill",
    "ink": "block_title_text_color body_text_color button_secondary_text_color",
    "soft": "block_label_text_color block_info_text_color body_text_color_subdued",
    "line": "border_color_primary block_border_color input_border_color",
    "accent": "border_color_accent link_text_color slider_color button_primary_background_fill",
    "focus": "input_border_color_focus",
}


def make_theme() -> gr.themes.Base:
    """Return the theme, an argument of `launch`."""
    theme = gr.themes.Base(
        primary_hue=_BLUES, secondary_hue=_BLUES, neutral_hue="slate", radius_size="md", font=SANS, font_mono=MONO
    )
    colours = {"color_accent": TOKENS["accent"][0]}  # Gradio has no dark one; demo.css sets it
    for token, names in _USES.items():
        for name in names.split():
            colours[name], colours[f"{name}_dark"] = TOKENS[token]
    return theme.set(
        **colours,
        button_primary_background_fill_hover=_BLUES.c700,
        button_primary_background_fill_hover_dark=_BLUES.c300,
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#0b0d0f",
        block_shadow="none",
        block_shadow_dark="none",
    )


def make_css() -> str:
    """Return the style sheet of the demo: colours of the report page and of categories, then demo/page/demo.css."""
    light, dark = ("".join(f"--sat-{name}: {values[index]};" for name, values in TOKENS.items()) for index in (0, 1))
    categories = "".join(
        f".sat-{name} {{ background: {CATEGORY_COLOURS[name]}; color: {CATEGORY_INK[name]}; }}\n" for name in CATEGORIES
    )
    return f":root {{{light}}}\n.dark {{{dark}}}\n{categories}{page_file('demo.css')}"


def page_file(name: str) -> str:
    """Return the text of a file in demo/page."""
    return (files("sat_probe") / "demo" / "page" / name).read_text(encoding="utf-8")


def note_html(text: str) -> str:
    """Return a line of text as HTML that screen readers announce when it changes; markup in it is escaped."""
    return f'<p class="sat-note" role="status">{html.escape(text)}</p>'
