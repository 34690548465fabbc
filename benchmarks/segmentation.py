"""Speed of kernel-Gram segmentation beside a direct loop over its definition, and of a whole study.

    python benchmarks/segmentation.py [--frames 60] [--study-utterances 80]
    python benchmarks/segmentation.py --corpus DIR [--model MODEL]    # the table of docs/segmentation.md instead

The loop in tests/reference.py follows the definition: similarities, thresholds, runs and anti-diagonals frame by frame,
for each pair of alpha and beta. The script fails unless both find the same boundaries. Random maps stand in for
attention: 36 heads of 100 frames, up-sampled by 3, as a Mockingjay with R = 3 gives for 3 s of speech.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sat_probe.frames import FrameGrid
from sat_probe.measures.boundaries.hits import count_boundaries
from sat_probe.measures.boundaries.kernel_gram import distances, minima_by_row, score_curves
from sat_probe.studies.segmentation.sources import Settings, kernel_boundaries
from tests.reference import curve_minima_slow, kernel_gram_curve_slow

if TYPE_CHECKING:
    from sat_probe.studies.segmentation.study import Segmentation

HEADS, MAP_FRAMES, FACTOR = 36, 100, 3
GRID = FrameGrid(hop=480, first_centre=160.0)


def maps(heads: int, frames: int, seed: int) -> np.ndarray:
    """Return attention of content that changes now and then, (heads, frames, frames)."""
    rng = np.random.default_rng(seed)
    content = rng.normal(size=(heads, frames, 8))[:, np.cumsum(rng.random(frames) < 0.3)]
    content = content + 0.3 * rng.normal(size=content.shape)
    scores = np.exp(content @ np.swapaxes(content, 1, 2) / 3)
    return scores / scores.sum(axis=2, keepdims=True)


def compare_with_loop(frames: int) -> None:
    """Segment one utterance with all settings in both ways."""
    features = maps(1, frames, seed=0)[0]
    settings = Settings()
    scale = distances(features).mean()
    start = time.perf_counter()
    curves = score_curves(distances(features) / scale, settings.alphas, settings.betas)
    found = minima_by_row(curves.reshape(-1, frames))
    fast = time.perf_counter() - start
    start = time.perf_counter()
    expected = [curve_minima_slow(kernel_gram_curve_slow(features / scale, *pair)) for pair in settings.pairs()]
    slow = time.perf_counter() - start
    if not all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True)):
        raise SystemExit("the loop finds other boundaries")
    print(f"{frames} frames, {len(expected)} settings: loop {slow:.2f} s, sat-probe {1000 * fast:.1f} ms, "
          f"{slow / fast:.0f}x; the same {sum(map(len, found))} boundaries")  # fmt: skip


def time_study(utterances: int) -> None:
    """Time distances, boundaries and counts of every head of every utterance, without the model."""
    settings, reference = Settings(), np.cumsum(np.full(36, 0.08))
    start = time.process_time()
    for utterance in range(utterances):
        between = distances(maps(HEADS, MAP_FRAMES, utterance))
        for head in range(HEADS):
            predictions = kernel_boundaries(between[head], settings, GRID, FACTOR)
            count_boundaries([reference] * len(predictions), predictions, 0.02, "rasanen")
    seconds = time.process_time() - start
    print(f"{HEADS} heads, {utterances} utterances of {MAP_FRAMES} frames, {len(settings.pairs())} settings: "
          f"{seconds:.0f} s of one core")  # fmt: skip


def measure(model: str | None, corpus: str) -> None:
    """Run the study as in the paper and with all extensions, and write the scores into the documentation."""
    from sat_probe.studies.segmentation.study import segment_model

    ways = {"rows": Settings(), "rows and columns, 3 shifts": Settings(features="rows_and_columns", shifts=3)}
    write_table({way: segment_model(model, corpus, counting="rasanen", settings=ways[way]) for way in ways})


def write_table(ways: dict[str, Segmentation]) -> None:
    """Write the scores of several runs, and the baselines of the first, into docs/segmentation.md."""
    from benchmarks.measured_tables import insert

    lines = ["| source | features | test R (95 %) | precision | recall |", "|---|---|---|---|---|"]
    kinds = ["hidden", "mfcc", "log_mel", "mel_difference", "uniform", "random"]
    for way, found in ways.items():
        heads = found.table[found.table["source"] == "attention"]
        rows = [
            ("attention, best on validation", heads.iloc[0]),
            ("attention, chosen without labels", found.label_free),
        ]
        lines += [_line(name, way, row) for name, row in rows + [(kind, found.row(kind)) for kind in kinds]]
        kinds = ["hidden"]
    origin = found.provenance
    counts, speakers = origin["utterances"], origin["speakers"]
    lines.append(
        f"\n{Path(origin['corpus']).name}: {counts['test']} utterances of {len(speakers['test'])} speakers, "
        f"tuned on {counts['validation']} of {len(speakers['validation'])} others; "
        f"model: {Path(origin['model']).name}; ± {1000 * origin['tolerance']:g} ms, {origin['counting']}."
    )
    insert(Path(__file__).resolve().parents[1] / "docs" / "segmentation.md", "segmentation", "\n".join(lines))


def _line(name: str, way: str, row: Any) -> str:
    place = "".join(f" {axis[0].upper()}{row[axis]}" for axis in ("layer", "head") if not pd.isna(row[axis]))
    rates = ("r_value", "r_value_low", "r_value_high", "precision", "recall")
    r, low, high, precision, recall = (f"{100 * row[rate]:.1f}" for rate in rates)
    return f"| {name}{place} | {way if place else ''} | {r} ({low} to {high}) | {precision} | {recall} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--study-utterances", type=int, default=80)
    parser.add_argument("--corpus", help="measure the documentation's table on this corpus")
    parser.add_argument("--model", help="by default the bundled one")
    arguments = parser.parse_args()
    if arguments.corpus:
        measure(arguments.model, arguments.corpus)
        raise SystemExit
    compare_with_loop(arguments.frames)
    time_study(arguments.study_utterances)
