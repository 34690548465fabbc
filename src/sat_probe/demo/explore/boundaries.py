"""Phone boundaries that one head predicts, as HTML: on the spectrogram, and their scores."""

from __future__ import annotations

from typing import get_args

import numpy as np
from numpy.typing import NDArray

from sat_probe.audio import SAMPLING_RATE
from sat_probe.demo.clips import Clip
from sat_probe.demo.inline_figure import figure_html
from sat_probe.demo.theme import note_html
from sat_probe.measures.boundaries.counting import Counting
from sat_probe.measures.boundaries.score import boundary_scores
from sat_probe.reports.plots.segmentation import plot_segmentation

TOLERANCE = 0.02  # seconds


def boundaries_html(clip: Clip, head: tuple[int, int], predicted: NDArray[np.float64]) -> str:
    """Return the boundaries (s) that a head (layer, head) predicts in a clip, with scores if its phones are known."""
    references = np.zeros(0) if clip.alignment is None else clip.alignment.boundaries()
    title = f"layer {head[0]}, head {head[1]}: {len(predicted)} boundaries"
    ax = plot_segmentation(clip.waveform, SAMPLING_RATE, references, predicted, TOLERANCE, title)
    if not len(references):  # lines and legend compare predictions with references
        for line in ax.lines:
            line.remove()
        if (legend := ax.get_legend()) is not None:
            legend.remove()
    alt = f"Spectrogram of {clip.name} with the {len(predicted)} phone boundaries predicted by {title.split(':')[0]}"
    figure = figure_html(ax, alt, spectrogram=True)
    if len(references):
        return figure + _scores(references, predicted)
    return figure + note_html("Scores need the phones of the recording.")


def _scores(references: NDArray[np.float64], predicted: NDArray[np.float64]) -> str:
    columns = ("precision", "recall", "f1", "over_segmentation", "r_value")
    names = ("counting rule", "hits", "precision", "recall", "F1", "over-segmentation", "R-value")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = []
    for rule in get_args(Counting):
        scores = boundary_scores([references], [predicted], TOLERANCE, counting=rule)
        cells = "".join(f"<td>{getattr(scores, name):.3f}</td>" for name in columns)
        rows.append(f'<tr><th scope="row">{rule}</th><td>{scores.hits} of {scores.references}</td>{cells}</tr>')
    caption = f"<caption>Within ± {1000 * TOLERANCE:g} ms of the {len(references)} true boundaries</caption>"
    table = f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="sat-scores">{table}</div>'.replace(">nan<", ">–<")
