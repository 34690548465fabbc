"""A matplotlib figure as part of a page: sharp at any width, in the colours of the page's text, light or dark."""

from __future__ import annotations

import html
import io
import re
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # matplotlib: not before the first view
    from matplotlib.axes import Axes

_INK = "#010203"  # no figure uses it: it stands for the colour of the text around the figure
_GRID = "#e6e6e6"  # what `reports.figures.tidy` draws the grid in


def inline_figure(ax: Axes, alt: str) -> str:
    """The figure of `ax` as an inline SVG for `gr.HTML`, as wide as its place allows, never wider than drawn.

    Frames, ticks, titles and labels take the colour of the surrounding text, so that one figure serves a light and a
    dark page; data keep their colours. The figure is changed: it is not for keeping.

    Args:
        ax: any of its axes.
        alt: what the figure says, for those who do not see it.
    """
    from sat_probe.reports.plots.axes import figure_of

    figure = figure_of(ax)
    figure.patch.set_visible(False)
    for axes in figure.axes:
        _take_ink(axes)
    drawn = io.StringIO()
    figure.savefig(
        drawn, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    svg = drawn.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(
        r"<!--.*?-->\s*|<style.*?</style>", "", svg, flags=re.DOTALL
    )  # a style would rule the whole page
    own = f"f{uuid.uuid4().hex[:8]}-"  # ids of two figures on one page must not meet
    svg = re.sub(r'(\bid="|xlink:href="#|url\(#)', rf"\1{own}", svg)
    svg = svg.replace(_INK, "currentColor").replace("stroke: #000000", "stroke: currentColor")
    svg = svg.replace(f"stroke: {_GRID}", "stroke: currentColor; stroke-opacity: 0.15")
    width = float(re.search(r'width="([\d.]+)pt"', svg)[1])  # type: ignore[index]
    svg = re.sub(r' (?:width|height)="[\d.]+pt"', "", svg, count=2)
    name = html.escape(" ".join(alt.split()), quote=True)
    style = (
        f"display:block;width:100%;max-width:{width * 4 / 3:.0f}px;height:auto;margin:auto;"
        "stroke-linejoin:round;stroke-linecap:butt"
    )
    return svg.replace("<svg ", f'<svg role="img" aria-label="{name}" style="{style}" ', 1)


def _take_ink(axes: Axes) -> None:
    from matplotlib.text import Text

    axes.patch.set_visible(False)
    axes.tick_params(colors=_INK, which="both")
    for spine in axes.spines.values():
        spine.set_edgecolor(_INK)
    for child in axes.get_children():  # the three titles; what stands among the data keeps its colour
        if isinstance(child, Text) and child not in axes.texts:
            child.set_color(_INK)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(_INK)
    if (legend := axes.get_legend()) is not None:
        for text in legend.get_texts():
            text.set_color(_INK)
