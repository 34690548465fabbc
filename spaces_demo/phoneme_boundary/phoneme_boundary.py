"""Scores of predicted boundaries (of phonemes, words or onsets) as an `evaluate` metric: `sat_probe.boundary_scores`.

Precision, recall, F1, over-segmentation and R-value.
"""

# evaluate finds these imports with a regular expression: one per line
import datasets
import evaluate

import sat_probe

_DESCRIPTION = """
Scores predicted boundaries against reference boundaries (seconds) under a counting rule: "rasanen" (search regions cut
at their midpoints), "strict" (largest one-to-one matching) or "lenient" (any boundary within the tolerance). Scores are
micro-averaged: counts are summed over all utterances first.
"""

_INPUTS_DESCRIPTION = """
Args:
    predictions (list of lists of float): ascending boundary times in seconds, one list per utterance; may be empty.
    references (list of lists of float): likewise, in the same order.
    tolerance (float): largest distance in seconds between a prediction and its reference, inclusive; default 0.02.
    counting (str): "rasanen" (default), "strict" or "lenient".
Returns:
    references, predictions, hits, prediction_hits (int): the counts.
    precision, recall, f1, over_segmentation, r_value (float): the rates; ideal is 0 for over_segmentation and 1 for
        the others; NaN if the denominator is zero.
    counting (str), tolerance (float): the settings that were used.
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
