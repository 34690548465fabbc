"""Matplotlib figures as inline SVG, in the text colour of the page, light or dark."""

from __future__ import annotations

import html
import io
import re
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # matplotlib is imported only when a figure is drawn
    from matplotlib.axes import Axes

_INK = "#010203"  # placeholder for the text colour of the page; no figure uses this colour
_GRID = "#e6e6e6"  # colour of the grid in `reports.plots.axes`


def inline_figure(ax: Axes, alt: str) -> str:
    """Return a figure as inline SVG for `gr.HTML`, as wide as its place allows but not wider than it was drawn.

    Frames, ticks, titles and labels take the colour of the surrounding text, so that one figure suits a light and a
    dark page; data keep their colours. The figure is changed by this.

    Args:
        ax: any axes of the figure.
        alt: description of the figure for screen readers.
    """
    from sat_probe.reports.plots.axes import figure_of

    figure = figure_of(ax)
    figure.patch.set_visible(False)
    for axes in figure.axes:
        _take_ink(axes)
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = drawn.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(  # a style sheet would apply to the whole page
        r"<!--.*?-->\s*|<style.*?</style>", "", svg, flags=re.DOTALL
    )
    own = f"f{uuid.uuid4().hex[:8]}-"  # ids must be unique on the page
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


def figure_html(ax: Axes, alt: str, *, spectrogram: bool = False) -> str:
    """Return a figure as a <figure> of the demo, as wide as the page; dark pages invert spectrograms."""
    kind = "sat-figure sat-spectrogram" if spectrogram else "sat-figure"
    return f'<figure class="{kind}">{inline_figure(ax, alt)}</figure>'


def _take_ink(axes: Axes) -> None:
    from matplotlib.text import Text

    axes.patch.set_visible(False)
    axes.tick_params(colors=_INK, which="both")
    for spine in axes.spines.values():
        spine.set_edgecolor(_INK)
    titles = {child for child in axes.get_children() if isinstance(child, Text)} - set(axes.texts)
    legend = axes.get_legend()
    shown = legend.get_texts() if legend is not None else []
    for text in (*titles, axes.xaxis.label, axes.yaxis.label, *shown):  # texts among the data keep their colour
        text.set_color(_INK)
