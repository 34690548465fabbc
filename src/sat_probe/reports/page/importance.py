"""The curves of which heads matter, as pictures inside the page of a report (figures 5 and 6a of the paper)."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sat_probe.reports.head_report import HeadReport

_CAPTIONS = {"heads": "while heads are removed", "span": "while attention reaches less far"}


def importance_section(report: HeadReport) -> str:
    """A section of the page, as HTML: every task, by probes trained anew where there are such; empty without curves."""
    table = report.tables.get("importance")
    if table is None or table.empty:
        return ""
    from sat_probe.reports.plots.axes import figure_of  # matplotlib: not for pages without curves
    from sat_probe.reports.plots.importance import plot_importance

    figures = []
    for task, part in table.groupby("task", sort=False):
        mode = "retrain" if (part["mode"] == "retrain").any() else "frozen"
        for kind, caption in _CAPTIONS.items():
            if ((part["kind"] == kind) & (part["mode"] == mode)).any():
                picture = _picture(figure_of(plot_importance(table, kind, str(task), mode)))
                words = html.escape(f"{task} {caption}")
                figures.append(f'<figure><img src="{picture}" alt="{words}" width="100%"></figure>')
    return (
        '<section aria-labelledby="importance-title">\n  <h2 id="importance-title">Which heads matter</h2>\n'
        "  <p>What probes still read from the hidden states while heads are removed in different orders, or attention "
        'is limited to a span of frames.</p>\n  <div class="columns">\n'
        + "\n".join(figures)
        + "\n  </div>\n</section>"
    )


def _picture(figure: Figure) -> str:
    """A figure as the address of an image that needs no file."""
    import matplotlib as mpl

    drawn = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "sat-probe"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None}, facecolor="white")
    return f"data:image/svg+xml;base64,{base64.b64encode(drawn.getvalue()).decode()}"
