"""Score predicted boundaries in the browser: paste or upload times or TextGrids, see all three counting rules."""

from __future__ import annotations

import re
from pathlib import Path

import gradio as gr
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sat_probe.errors import SatProbeError
from sat_probe.measures.boundary_hits import hit_indices
from sat_probe.measures.boundary_score import boundary_scores
from sat_probe.phones.alignment_files import decode_text, read_phn
from sat_probe.phones.textgrid import parse_textgrid

RULES = ("rasanen", "strict", "lenient")
FOUND, MISSED = "#0072B2", "#D55E00"  # blue and vermilion of Okabe and Ito: told apart without colour vision
EXAMPLE = ("0.12 0.20 0.31 0.40 0.55 0.63", "0.11 0.22 0.36 0.41 0.43 0.64")


def boundaries_of(text: str, upload: str | None, tier: str, edges: bool, name: str) -> np.ndarray:
    """Boundary times (s) of an uploaded file, or else of pasted text: a TextGrid, or numbers in seconds."""
    if upload is not None and Path(upload).suffix.lower() == ".phn":
        return read_phn(upload, name).boundaries(edges)
    if upload is not None:
        text, name = decode_text(Path(upload).read_bytes(), Path(upload).name), Path(upload).name
    if "ooTextFile" in text[:200]:
        intervals = parse_textgrid(text, name).tier(tier)
        times = np.unique([*intervals.starts, *intervals.ends])
        return times if edges else times[1:-1]
    try:
        return np.array([float(number) for number in re.split(r"[\s,;]+", text.strip("[]() \n\t")) if number])
    except ValueError as error:
        raise gr.Error(f"{name}: paste times in seconds or a TextGrid ({error})") from error


def draw(references: np.ndarray, predictions: np.ndarray, tolerance: float, counting: str) -> Figure:
    """References above the axis with their tolerance, predictions below; hits and misses by colour and line style."""
    figure = Figure(figsize=(10, 2.6), layout="constrained")
    axes = figure.subplots()
    reach = round(tolerance * 1e9)
    ticks = [np.rint(times * 1e9).astype(np.int64) for times in (references, predictions)]
    found, finders = hit_indices(*ticks, reach, counting)
    for times, hits, low, high in ((references, found, 0.04, 1), (predictions, finders, -1, -0.04)):
        hit = np.isin(np.arange(len(times)), hits)
        for kind, of_kind, colour, style in (("hit", hit, FOUND, "solid"), ("miss", ~hit, MISSED, "dotted")):
            label = kind if low > 0 else None
            axes.vlines(times[of_kind], low, high, color=colour, linestyle=style, linewidth=2, label=label)
    for time in references:
        axes.axvspan(time - tolerance, time + tolerance, ymin=0.5, color="0.9", zorder=0)
    axes.axhline(0, color="0.3", linewidth=0.8)
    axes.set_yticks([0.5, -0.5], ["reference", "prediction"])
    axes.set_xlabel("time (s)")
    axes.set_title(
        f"{counting}: {len(found)} of {len(references)} references found within ± {1000 * tolerance:g} ms"
    )
    axes.legend(loc="upper right", bbox_to_anchor=(1, 1.22), ncols=2, frameon=False)
    return figure


def score(
    reference_text: str,
    reference_file: str | None,
    prediction_text: str,
    prediction_file: str | None,
    tolerance_ms: float,
    counting: str,
    tier: str,
    edges: bool,
) -> tuple[pd.DataFrame, Figure]:
    """The table of the three rules, and the picture of the chosen one."""
    try:
        references = boundaries_of(reference_text, reference_file, tier, edges, "reference")
        predictions = boundaries_of(prediction_text, prediction_file, tier, edges, "prediction")
        tolerance = tolerance_ms / 1000
        rows = [
            {"counting": rule, **boundary_scores([references], [predictions], tolerance, counting=rule)}
            for rule in RULES
        ]
        return pd.DataFrame(rows).round(4), draw(references, predictions, tolerance, counting)
    except SatProbeError as error:
        raise gr.Error(str(error)) from error


with gr.Blocks(title="Phoneme boundary") as demo:
    gr.Markdown(
        "# Phoneme boundary\nHow well do predicted boundaries find the reference? Paste times in seconds or a "
        "TextGrid, or upload a `.TextGrid`, `.phn` (16 kHz) or text file. All three counting rules are shown, because "
        "the choice alone moves the R-value by points."
    )
    with gr.Row():
        with gr.Column():
            reference_text = gr.Textbox(EXAMPLE[0], label="Reference boundaries", lines=3)
            reference_file = gr.File(label="or a file", type="filepath", height=90)
        with gr.Column():
            prediction_text = gr.Textbox(EXAMPLE[1], label="Predicted boundaries", lines=3)
            prediction_file = gr.File(label="or a file", type="filepath", height=90)
    with gr.Row():
        tolerance = gr.Slider(1, 100, 20, step=1, label="Tolerance (ms)")
        counting = gr.Radio(list(RULES), value="rasanen", label="Counting rule of the picture")
        tier = gr.Textbox("phones", label="TextGrid tier")
        edges = gr.Checkbox(False, label="First and last boundary of a TextGrid or .phn count too")
    button = gr.Button("Score", variant="primary")
    table = gr.Dataframe(label="Scores")
    picture = gr.Plot(label="Hits and misses")
    inputs = [
        reference_text,
        reference_file,
        prediction_text,
        prediction_file,
        tolerance,
        counting,
        tier,
        edges,
    ]
    gr.on([button.click, demo.load], score, inputs, [table, picture], api_name="score")

if __name__ == "__main__":
    demo.launch(max_file_size="5mb")
