"""Speed of boundary scores beside mir_eval and pyannote.metrics, on 1,000 utterances of 40 boundaries.

    python benchmarks/boundary_score.py

mir_eval's `onset.f_measure` finds a maximum matching too, but compares floating-point seconds: on a decimal grid
it may lose pairs exactly at the tolerance. The times here are continuous, so the hits must be equal, and the script
fails if they are not. pyannote.metrics matches greedily, nearest pair first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import mir_eval
import numpy as np
from pyannote.core import Segment, Timeline
from pyannote.metrics.segmentation import SegmentationPrecision, SegmentationRecall

from sat_probe.measures.boundaries.score import boundary_scores

UTTERANCES, BOUNDARIES, TOLERANCE, REPEATS = 1000, 40, 0.02, 7
Result = TypeVar("Result")


def timed(measure: Callable[[], Result]) -> tuple[float, Result]:
    """Return the best processor time of a few runs, and the result."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.process_time()
        result = measure()
        best = min(best, time.process_time() - start)
    return best, result


def timeline(boundaries: np.ndarray) -> Timeline:
    """Return the segments between boundaries; pyannote.metrics scores their inner boundaries."""
    edges = [0.0, *boundaries.tolist(), float(boundaries[-1]) + 1]
    return Timeline([Segment(start, end) for start, end in pairwise(edges)])


def main() -> None:
    rng = np.random.default_rng(0)
    references = [np.cumsum(rng.gamma(4, 0.02, BOUNDARIES)) for _ in range(UTTERANCES)]
    predictions = [np.sort(np.abs(times + rng.normal(0, 0.015, BOUNDARIES))) for times in references]
    timelines = [(timeline(r), timeline(p)) for r, p in zip(references, predictions, strict=True)]

    def with_mir_eval() -> int:
        hits = 0.0
        for reference, prediction in zip(references, predictions, strict=True):
            hits += mir_eval.onset.f_measure(reference, prediction, window=TOLERANCE)[2] * len(reference)
        return round(hits)

    def with_pyannote() -> float:
        precision, recall = (SegmentationPrecision(tolerance=TOLERANCE), SegmentationRecall(tolerance=TOLERANCE))
        for reference, prediction in timelines:
            precision(reference, prediction)
            recall(reference, prediction)
        return abs(recall)

    mir_eval_seconds, mir_eval_hits = timed(with_mir_eval)
    pyannote_seconds, pyannote_recall = timed(with_pyannote)
    print(f"{UTTERANCES} utterances of {BOUNDARIES} boundaries, +- {TOLERANCE} s, best of {REPEATS}")
    print(f"{'mir_eval onset.f_measure':<28}{1000 * mir_eval_seconds:9.1f} ms   hits {mir_eval_hits}")
    print(f"{'pyannote.metrics P and R':<28}{1000 * pyannote_seconds:9.1f} ms   recall {pyannote_recall:.4f}")
    for counting in ("strict", "rasanen", "lenient"):
        seconds, scores = timed(
            lambda rule=counting: boundary_scores(references, predictions, TOLERANCE, counting=rule)
        )
        print(
            f"{'sat-probe ' + counting:<28}{1000 * seconds:9.1f} ms   hits {scores.hits}, recall {scores.recall:.4f}, "
            f"R {scores.r_value:.4f}; {mir_eval_seconds / seconds:.0f}x mir_eval, "
            f"{pyannote_seconds / seconds:.0f}x pyannote"
        )
        if counting == "strict" and scores.hits != mir_eval_hits:
            raise SystemExit(f"strict hits differ: {scores.hits} here, {mir_eval_hits} by mir_eval")


if __name__ == "__main__":
    main()
