"""The theme has the colours of the report page, and fetches nothing."""

from __future__ import annotations

import re
from importlib.resources import files

from sat_probe.demo.theme import TOKENS, make_css, make_theme
from sat_probe.reports.palette import CATEGORY_COLOURS


def test_the_colours_are_those_of_the_report_page():
    style = (files("sat_probe") / "reports" / "page" / "page.css").read_text()
    blocks = {"light": style.split("@media")[0], "dark": style.split(':root[data-theme="dark"]')[1]}
    for index, block in enumerate(blocks.values()):
        tokens = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for name, colours in TOKENS.items():
            assert colours[index] == tokens[name], name
    css = make_css()
    for name, colour in CATEGORY_COLOURS.items():
        assert f".sat-{name} {{ background: {colour};" in css


def test_no_font_or_style_is_fetched():
    theme = make_theme()
    assert theme._stylesheets == []
    assert not re.search(r"url\(.?https?:|@import", make_css() + theme._get_theme_css())


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio of two colours."""

    def luminance(colour: str) -> float:
        shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_text_has_enough_contrast_in_light_and_dark():
    for index in (0, 1):
        for text in ("ink", "soft", "accent"):
            for ground in ("paper", "panel"):
                assert contrast(TOKENS[text][index], TOKENS[ground][index]) >= 4.5, (text, ground, index)
