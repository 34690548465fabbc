"""App that scores predicted boundaries, pasted or uploaded as times or TextGrids, under all three counting rules."""

from __future__ import annotations

import re
from pathlib import Path

import sat_probe.demo  # noqa: F401 - makes the import of Gradio faster

# isort: split
import gradio as gr
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from sat_probe.demo.browse.heads_table import TABLE_CSS, csv_link, html_table
from sat_probe.demo.errors import guard
from sat_probe.demo.inline_figure import inline_figure
from sat_probe.demo.memory import free_memory_when_idle
from sat_probe.demo.theme import make_css, make_theme, page_file
from sat_probe.demo.uploads import accept_uploads_only, delete_upload, file_name
from sat_probe.errors import AlignmentError
from sat_probe.measures.boundaries.hits import hit_indices
from sat_probe.measures.boundaries.score import boundary_scores
from sat_probe.phones.readers.phn_ctm import decode_text, read_phn
from sat_probe.phones.readers.textgrid import parse_textgrid
from sat_probe.reports.palette import PREDICTION_COLOUR, REFERENCE_COLOUR
from sat_probe.reports.plots.axes import axes_or_new

RULES = {
    "rasanen": "a reference is found if a prediction is in its region; overlapping regions are cut in the middle",
    "strict": "the largest possible number of one-to-one pairs",
    "lenient": "any prediction within the tolerance finds a reference, and may find two",
}
MOST_BYTES = 2 * 2**20  # of a file or pasted text: hours of speech
MOST_BOUNDARIES = 50_000
DRAWN = 80  # boundaries of each side in the picture; the scores use all
SESSION_SECONDS = 1800
EXAMPLE = (  # the three rules give different scores
    "0.12 0.20 0.31 0.40 0.43 0.50 0.53 0.63",
    "0.11 0.22 0.36 0.415 0.517 0.548 0.64",
)
TITLES = {
    "counting": "rule", "prediction_hits": "matched predictions", "f1": "F1", "over_segmentation": "over-segmentation",
    "r_value": "R-value",
}  # fmt: skip
PICTURE_CSS = """
figure { contain: inline-size; overflow-x: auto; margin: 0; }
svg { min-width: 560px; }
figcaption { color: var(--sat-soft); font-size: 14px; text-align: center; }
"""
RULES_CSS = "ul { margin: 8px 0; padding-left: 20px; }"
HEADER = """<div class="sat-header"><div><h1>Phoneme boundary</h1>
<p>How well do predicted boundaries match the reference? All three counting rules are shown, because the choice of rule
changes the R-value by several points.</p></div>
<button type="button" class="sat-theme" aria-label="Switch between light and dark">◐</button></div>"""
INTRODUCTION = """Paste times in seconds or a TextGrid, or upload a `.TextGrid`, a `.phn` (samples at 16 kHz) or a text
file of times. If both are given, the file is used. Files are deleted after half an hour."""


def boundaries_of(text: str, upload: str | None, tier: str, edges: bool, name: str) -> np.ndarray:
    """Return the boundary times (s) in an uploaded file, or else in pasted text; a file that is refused is deleted.

    Raises:
        AlignmentError: if it is too large, not UTF-8, or neither times nor a TextGrid nor a .phn file.
    """
    if upload is None:
        return _boundaries(text.encode(), tier, edges, name)
    name = file_name(upload)
    if not Path(upload).is_file():
        raise AlignmentError(f"{name}: has been deleted; please upload it again")
    try:
        with Path(upload).open("rb") as file:
            return _boundaries(file.read(MOST_BYTES + 1), tier, edges, name)
    except AlignmentError:
        delete_upload(upload)
        raise


def _boundaries(content: bytes, tier: str, edges: bool, name: str) -> np.ndarray:
    if len(content) > MOST_BYTES:
        raise AlignmentError(f"{name}: is too large; the limit is {MOST_BYTES // 2**20} MB")
    times = _times(decode_text(content, name), name, tier.strip() or "phones", edges)
    if len(times) > MOST_BOUNDARIES:
        raise AlignmentError(f"{name}: has {len(times)} boundaries; the limit is {MOST_BOUNDARIES}")
    return times


def _times(text: str, name: str, tier: str, edges: bool) -> np.ndarray:
    if "ooTextFile" in text[:200]:
        intervals = parse_textgrid(text, name).tier(tier)
        times = np.unique([*intervals.starts, *intervals.ends])
        return times if edges else times[1:-1]
    if name.lower().endswith(".phn"):
        return read_phn(name, text=text).boundaries(edges)
    times = []
    for word in re.split(r"[\s,;]+", text.strip("[]() \r\n\t")):
        try:
            times += [float(word)] if word else []
        except ValueError:
            raise AlignmentError(f"{name}: {word[:40]!r} is not a time; use seconds or a TextGrid") from None
    return np.array(times)


def scores_of(references: np.ndarray, predictions: np.ndarray, tolerance: float) -> pd.DataFrame:
    """Return the scores, one row per counting rule; tolerance in seconds."""
    return pd.DataFrame(
        {"counting": rule, **boundary_scores([references], [predictions], tolerance, counting=rule)}  # type: ignore[arg-type]
        for rule in RULES
    )


def draw(references: np.ndarray, predictions: np.ndarray, tolerance: float, counting: str) -> tuple[Axes, str]:
    """Draw references above a line and predictions below it, dotted if missed; return the axes and a caption."""
    ticks = [np.rint(times * 1e9).astype(np.int64) for times in (references, predictions)]
    found = hit_indices(*ticks, round(tolerance * 1e9), counting)  # type: ignore[arg-type]
    sides = (
        (references, found[0], REFERENCE_COLOUR, 0.04, 1.0),
        (predictions, found[1], PREDICTION_COLOUR, -1.0, -0.04),
    )
    cut = [times[DRAWN - 1] for times in (references, predictions) if len(times) > DRAWN]
    last = min(cut, default=np.inf)
    ax = axes_or_new(None, 9.0, 2.6)
    for times, hits, colour, low, high in sides:
        hit = np.isin(np.arange(len(times)), hits)
        inside = times <= last
        ax.vlines(times[inside & hit], low, high, color=colour, linewidth=2)
        missed = times[inside & ~hit]
        ax.vlines(missed, low, high, color=colour, linewidth=1.6, linestyle="dotted")
        ax.plot(missed, np.full(len(missed), (low + high) / 2), "x", color=colour, markersize=7, markeredgewidth=2)
    for time in references[references <= last]:
        ax.axvspan(time - tolerance, time + tolerance, ymin=0.5, color="#808080", alpha=0.2, linewidth=0, zorder=0)
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_yticks([0.5, -0.5], ["reference", "predicted"])
    ax.set_xlabel("time (s)")
    ax.spines[["top", "right", "left"]].set_visible(False)
    grey = "#808080"
    lines = [Line2D([], [], color=grey, linewidth=2), Line2D([], [], color=grey, linestyle=":", marker="x")]
    ax.legend(lines, ["hit", "no hit"], loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    said = f"{counting}: {len(found[0])} of {len(references)} references found within ± {1000 * tolerance:g} ms"
    return ax, said + (f"; the first {last:.2f} s are drawn" if cut else "")


def score(
    reference_text: str, reference_file: str | None, prediction_text: str, prediction_file: str | None,
    tolerance_ms: float, counting: str, tier: str, edges: bool,
) -> tuple[str, str]:  # fmt: skip
    """Return the table of scores, and the picture for the chosen counting rule, as HTML."""
    references = boundaries_of(reference_text, reference_file, tier, edges, "reference")
    predictions = boundaries_of(prediction_text, prediction_file, tier, edges, "prediction")
    scores = scores_of(references, predictions, tolerance_ms / 1000)
    picture, said = draw(references, predictions, tolerance_ms / 1000, counting)
    table = html_table(scores.rename(columns=TITLES), f"Within ± {tolerance_ms:g} ms, by counting rule", "Scores")
    rules = "".join(f"<li><b>{rule}</b>: {meaning}</li>" for rule, meaning in RULES.items())
    link = csv_link(scores, "boundary-scores.csv", "Save the scores as CSV")
    figure = f"<figure>{inline_figure(picture, said)}<figcaption>{said}</figcaption></figure>"
    return f"{table}{link}<ul>{rules}</ul>", figure


def build_app() -> gr.Blocks:
    """Build the app; it opens with the scores of the example."""
    with gr.Blocks(
        title="Phoneme boundary", analytics_enabled=False, delete_cache=(60, SESSION_SECONDS), fill_width=True
    ) as app:
        gr.HTML(HEADER, js_on_load=page_file("header.js"))
        gr.Markdown(INTRODUCTION)
        inputs: list[gr.components.Component] = []
        with gr.Row():
            for name, example in zip(("Reference", "Predicted"), EXAMPLE, strict=True):
                with gr.Column(min_width=300):
                    inputs.append(gr.Textbox(example, label=f"{name} boundaries", lines=3, max_lines=10))
                    inputs.append(gr.File(label=f"{name} boundaries as a file", type="filepath", height=150))
                    accept_uploads_only(inputs[-1])
        with gr.Row():
            tolerance = gr.Slider(1, 100, 20, step=1, label="Tolerance (ms)")
            counting = gr.Radio(list(RULES), value="rasanen", label="Counting rule in the picture")
            tier = gr.Textbox("phones", label="TextGrid tier", max_lines=1)
            edges = gr.Checkbox(False, label="Count the first and last boundary of a file too")
        button = gr.Button("Score", variant="primary")
        picture = gr.HTML(css_template=PICTURE_CSS, apply_default_css=False)
        table = gr.HTML(css_template=TABLE_CSS + RULES_CSS, apply_default_css=False)
        gr.on(
            [button.click, app.load, tolerance.release, counting.input, edges.input],
            guard(score),
            [*inputs, tolerance, counting, tier, edges],
            [table, picture],
            api_name="score",
            trigger_mode="always_last",
        )
    return app.queue(max_size=64, default_concurrency_limit=2)


def serve(**options: object) -> gr.Blocks:
    """Build and launch the app; `options` are passed to `launch`."""
    app = build_app()
    free_memory_when_idle(app)
    app.launch(
        max_file_size=MOST_BYTES, theme=make_theme(), css=make_css(), footer_links=["api"], ssr_mode=False,
        run_history=False, enable_monitoring=False, pwa=False, share=False, **options,
    )  # fmt: skip
    return app


if __name__ == "__main__":
    serve()
