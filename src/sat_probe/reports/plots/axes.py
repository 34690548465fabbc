"""Axes and figure files, without any global state of matplotlib."""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

FORMATS = ("svg", "png")


def axes_or_new(
    ax: Axes | None, width: float = 6.0, height: float = 4.0, box: tuple[float, float, float, float] | None = None
) -> Axes:
    """The axes given, or those of a new figure of `width` x `height` inches that pyplot does not manage.

    `box` (left, bottom, width, height, in shares of the figure) leaves room for panels around the axes; without it the
    axes fill the figure.
    """
    if ax is not None:
        return ax
    figure = Figure(figsize=(width, height), layout=None if box else "constrained")
    FigureCanvasAgg(figure)
    return figure.add_axes(box) if box else figure.add_subplot()


def figure_of(ax: Axes) -> Figure:
    """The outermost figure that `ax` belongs to."""
    figure = ax.get_figure(root=True)
    assert figure is not None
    return figure


def tidy(ax: Axes) -> Axes:
    """Remove the frame lines without a scale, and draw the grid behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(True, color="#e6e6e6", linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def write_figure(ax: Axes, path: str | Path, dpi: int = 130) -> list[Path]:
    """Write the figure of `ax` as `path`.svg and `path`.png, the same bytes every time; return both paths.

    Text stays text in the SVG, so that it can be searched, copied and read aloud.
    """
    figure = figure_of(ax)
    if (engine := figure.get_layout_engine()) is not None:  # laid out once, not again for each format
        engine.execute(figure)
        figure.set_layout_engine("none")
    written = []
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "sat-probe"}):
        for suffix in FORMATS:
            file = Path(path).with_name(f"{Path(path).name}.{suffix}")
            metadata = {"Date": None} if suffix == "svg" else {"Software": None}
            figure.savefig(file, format=suffix, dpi=dpi, metadata=metadata, facecolor="white")
            written.append(file)
    return written


def svg_of(ax: Axes) -> bytes:
    """The figure of `ax` as an SVG, the same bytes every time."""
    drawn = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "sat-probe"}):
        figure_of(ax).savefig(drawn, format="svg", metadata={"Date": None}, facecolor="white")
    return drawn.getvalue()
