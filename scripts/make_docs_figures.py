"""Make the figures and the measured numbers of docs/relation_maps.md.

    python scripts/make_docs_figures.py PATH/TO/timit-sample

The bundled model reads 80 hand-labelled utterances of TIMIT (the sample that NLTK distributes; not part of this
project). Figures that show one utterance use the bundled speech. Figures go to docs/figures; the numbers replace the
text between the markers of docs/relation_maps.md.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import torch

from sat_probe.measures.relations.result import MINIMUM_UTTERANCES
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.plots import all as plots
from sat_probe.reports.plots.axes import figure_of
from sat_probe.reports.plots.segmentation import segmentation_drawings
from sat_probe.studies.head_analysis import analyze_model
from sat_probe.studies.segmentation.study import segment_model

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
CELL = ["layer", "head", "query_phone", "key_phone"]


def draw(ax: object, name: str) -> None:
    """Save a figure as PNG: the documentation is read in a browser, at one size."""
    figure_of(ax).savefig(  # type: ignore[arg-type]
        DOCS / "figures" / f"{name}.png", dpi=110, metadata={"Software": None}, facecolor="white"
    )


def compare(first: HeadReport, second: HeadReport) -> dict[str, str]:
    """Return the differences between two kinds of relation maps, over the cells with evidence in both."""
    tables = [report.tables["relation_maps"].set_index(CELL) for report in (first, second)]
    attested = [table["utterances"] >= MINIMUM_UTTERANCES for table in tables]
    both = attested[0] & attested[1]
    one, other = (table.loc[both, "relation"] for table in tables)
    operations = [report.tables["operations"][["layer", "head", "operation"]] for report in (first, second)]
    names = [set(table.itertuples(index=False, name=None)) for table in operations]
    difference = np.abs(one - other)
    return {
        "cells with evidence (share of all)": f"{attested[0].mean():.3f} / {attested[1].mean():.3f}",
        "correlation of relations": f"{np.corrcoef(one, other)[0, 1]:.4f}",
        "median difference of a relation": f"{difference.median():.3f}",
        "95 % of differences are below": f"{difference.quantile(0.95):.3f}",
        "operations named": f"{len(names[0])} / {len(names[1])}, {len(names[0] & names[1])} the same",
        "heads with identity": " / ".join(str(sum(name == "identity" for *_, name in part)) for part in names),
    }


def operations_of(report: HeadReport) -> str:
    """Return the operations of the heads that stand out as a Markdown table."""
    categories = report.heads.set_index(["layer", "head"])["category"]
    lines = ["| head | category | operations (score) |", "|---|---|---|"]
    for (layer, head), part in report.tables["operations"].groupby(["layer", "head"]):
        shown = ", ".join(
            f"{name} ({score:+.1f})" for name, score in zip(part["operation"], part["score"], strict=True)
        )
        lines.append(f"| {layer}.{head} | {categories[layer, head]} | {shown} |")
    return "\n".join(lines)


def segmentation_figures(corpus: Corpus, spoken: HeadReport) -> None:
    """Draw the curves of a corpus, and the best head on validation on the example of another report (figure 2)."""
    scores = segment_model(None, corpus, counting="rasanen", device="cpu")
    for name, recipe in segmentation_drawings(scores.added_to(spoken)):
        draw(recipe(), name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path, help="folder of timit-sample")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    (DOCS / "figures").mkdir(parents=True, exist_ok=True)

    corpus = load_corpus(arguments.dataset)
    report = analyze_model(None, corpus, device="cpu")
    at_model_rate = analyze_model(None, corpus, device="cpu", relation_rate="model", replicates=2)
    own_left_out = analyze_model(None, corpus, device="cpu", leave_out_own_segment=True, replicates=2)
    for name, recipe in plots.drawings(report):
        if not name.startswith("head-"):  # these show one utterance, and use the bundled speech below
            draw(recipe(), name)

    spoken = analyze_model(None, "bundled", device="cpu", limit=8, replicates=2)
    example = spoken.example
    assert example is not None
    for category, (layer, head) in plots.representative_heads(report.heads).items():
        title = f"layer {layer}, head {head} ({category})"
        weights = example.weights(layer, head)
        ax = plots.plot_head(weights, example.times, example.waveform, example.sampling_rate, example.phones, title)
        draw(ax, f"head-{category}")

    rates = compare(report, at_model_rate)
    own = compare(report, own_left_out)
    table = pd.DataFrame({"up-sampled / model's rate": rates, "with / without own segment": own})
    lines = ["| | " + " | ".join(table.columns) + " |", "|---|---|---|"]
    lines += [f"| {name} | " + " | ".join(row) + " |" for name, row in zip(table.index, table.to_numpy(), strict=True)]
    text = (DOCS / "relation_maps.md").read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    measured = "\n".join([BEGIN, "", *lines, "", operations_of(report), "", END])
    (DOCS / "relation_maps.md").write_text(before + measured + after, encoding="utf-8")
    segmentation_figures(corpus, spoken)


if __name__ == "__main__":
    main()
