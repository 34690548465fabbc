"""Boundary scores (of phonemes, words, onsets) as an `evaluate` metric: a thin face of `sat_probe.boundary_scores`.

Precision, recall, F1, over-segmentation and R-value.
"""

# evaluate reads these lines with a regular expression: one import per line
import datasets
import evaluate

import sat_probe

_DESCRIPTION = """
Compares predicted boundaries with reference boundaries (seconds) and says by which counting rule: "rasanen" (search
regions cut at their midpoints), "strict" (largest one-to-one matching) or "lenient" (any boundary within tolerance).
Scores are micro-averaged: counts are summed over all utterances first.
"""

_INPUTS_DESCRIPTION = """
Args:
    predictions (list of lists of float): ascending boundary times in seconds, one list per utterance; empty is allowed.
    references (list of lists of float): likewise, in the same order.
    tolerance (float): largest distance in seconds at which a prediction finds a reference, inclusive; 0.02 by default.
    counting (str): "rasanen", "strict" or "lenient". "rasanen" if not given; the result repeats it.
Returns:
    references, predictions, hits, prediction_hits (int): the components.
    precision, recall, f1, over_segmentation, r_value (float, 1 is perfect but for over_segmentation, where 0 is): the
        rates; NaN where the denominator is zero.
    counting (str), tolerance (float): what they were computed with.
Examples:
    >>> metric = evaluate.load("spaces_demo/phoneme_boundary")
    >>> metric.compute(predictions=[[0.11, 0.32]], references=[[0.10, 0.20, 0.30]], counting="strict")["hits"]
    2
"""

_CITATION = """
@inproceedings{rasanen2009improved,
  title = {An improved speech segmentation quality measure: the {R}-value},
  author = {R{\\"a}s{\\"a}nen, Okko Johannes and Laine, Unto Kalervo and Altosaar, Toomas},
  booktitle = {Proc. Interspeech},
  year = {2009},
}
"""


class PhonemeBoundary(evaluate.Metric):
    """See the module's docstring."""

    def _info(self) -> evaluate.MetricInfo:
        times = datasets.Sequence(datasets.Value("float64"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS_DESCRIPTION,
            features=datasets.Features({"predictions": times, "references": times}),
        )

    def _compute(self, predictions, references, tolerance=0.02, counting="rasanen"):
        scores = sat_probe.boundary_scores(references, predictions, tolerance, counting=counting)
        return {**scores, "counting": scores.counting, "tolerance": scores.tolerance}
