"""Importance curves in the page of a report (figures 5 and 6a of the paper)."""

from __future__ import annotations

import base64
import html

from sat_probe.reports.report_data import ReportData

_CAPTIONS = {"heads": "while heads are removed", "span": "while attention reaches less far"}


def importance_section(report: ReportData) -> str:
    """HTML section with the curves of every task, of retrained probes if there are any; empty without curves."""
    table = report.tables.get("importance")
    if table is None or table.empty:
        return ""
    from sat_probe.reports.plots.axes import svg_of  # matplotlib: not for pages without curves
    from sat_probe.reports.plots.importance import plot_importance

    figures = []
    for task, part in table.groupby("task", sort=False):
        mode = "retrain" if (part["mode"] == "retrain").any() else "frozen"
        for kind, caption in _CAPTIONS.items():
            if ((part["kind"] == kind) & (part["mode"] == mode)).any():
                drawn = svg_of(plot_importance(table, kind, str(task), mode))
                picture = f"data:image/svg+xml;base64,{base64.b64encode(drawn).decode()}"
                words = html.escape(f"{task} {caption}")
                figures.append(f'<figure><img src="{picture}" alt="{words}" width="100%"></figure>')
    return (
        '<section aria-labelledby="importance-title">\n  <h2 id="importance-title">Which heads matter</h2>\n'
        "  <p>Scores of probes on the hidden states while heads are removed in different orders, or attention "
        'is limited to a span of frames.</p>\n  <div class="columns">\n'
        + "\n".join(figures)
        + "\n  </div>\n</section>"
    )
