from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sat_probe.errors import AlignmentError, ConfigurationError
from sat_probe.measures.boundaries.score import BoundaryScoreAccumulator, boundary_scores, r_value
from tests.reference import count_boundaries_slowly

RULES = ("rasanen", "strict", "lenient")
# a grid of 10 ms makes ties at the tolerance and at midpoints likely
times = st.lists(st.integers(0, 60), unique=True, max_size=14).map(lambda ticks: [t / 100 for t in sorted(ticks)])
corpora = st.lists(st.tuples(times, times), min_size=1, max_size=6)


def scores(corpus, counting, tolerance=0.02):
    return boundary_scores([r for r, _ in corpus], [p for _, p in corpus], tolerance, counting=counting)


@given(corpora, st.sampled_from([0.01, 0.02, 0.05]))
def test_counts_agree_with_brute_force(corpus, tolerance):
    for rule in RULES:
        expected = [count_boundaries_slowly(r, p, tolerance, rule) for r, p in corpus]
        np.testing.assert_array_equal(scores(corpus, rule, tolerance).counts, expected)


@given(corpora)
def test_rates_are_in_range_and_rules_are_ordered(corpus):
    by_rule = {rule: scores(corpus, rule) for rule in RULES}
    assert by_rule["rasanen"].hits <= by_rule["strict"].hits <= by_rule["lenient"].hits
    for result in by_rule.values():
        for rate in ("precision", "recall", "f1"):
            assert math.isnan(result[rate]) or 0 <= result[rate] <= 1
        assert math.isnan(result.r_value) or result.r_value <= 1
        assert result.hits <= result.references
        assert result.prediction_hits <= result.predictions


@given(corpora)
def test_strict_is_symmetric(corpus):
    forward, backward = scores(corpus, "strict"), scores([(p, r) for r, p in corpus], "strict")
    assert forward.hits == backward.hits
    np.testing.assert_equal((forward.precision, forward.recall), (backward.recall, backward.precision))


@given(corpora, st.randoms(use_true_random=False), st.sampled_from(RULES))
def test_order_and_split_of_the_corpus_do_not_matter(corpus, random, rule):
    whole = scores(corpus, rule)
    shuffled = random.sample(corpus, len(corpus))
    np.testing.assert_equal(dict(scores(shuffled, rule)), dict(whole))
    np.testing.assert_equal(scores(shuffled, rule).interval(replicates=20), whole.interval(replicates=20))
    cut = random.randint(0, len(corpus))
    halves = [BoundaryScoreAccumulator(counting=rule) for _ in range(2)]
    for half, part in zip(halves, (corpus[:cut], corpus[cut:]), strict=True):
        half.update([r for r, _ in part], [p for _, p in part])
    np.testing.assert_equal(dict(halves[0].merge(halves[1]).compute()), dict(whole))


def test_rules_on_examples_counted_by_hand():
    # 11 lies in the overlap of both regions, on the side of 10 or 11.5 that the midpoint 10.75 gives it
    trap = ([[10.0, 11.5]], [[11.0, 12.5]])
    assert boundary_scores(*trap, 1.1, counting="strict").hits == 2
    assert boundary_scores(*trap, 1.1, counting="rasanen").hits == 1
    lenient = boundary_scores([[0.10, 0.13]], [[0.115]], 0.02, counting="lenient")
    assert (lenient.hits, lenient.prediction_hits, lenient.precision, lenient.recall) == (2, 1, 1.0, 1.0)


@pytest.mark.parametrize(("dtype", "longest"), [(np.float16, 1), (np.float32, 10_000)])
def test_short_floats_are_read_as_the_decimal_they_print(dtype, longest):
    generator = np.random.default_rng(0)
    references = np.unique(generator.integers(0, 100 * longest, 500))
    predictions = np.unique(abs(references + generator.choice([-2, 2, 3], len(references))))
    exact = boundary_scores(references / 100, predictions / 100, counting="strict")
    short = boundary_scores((references / 100).astype(dtype), (predictions / 100).astype(dtype), counting="strict")
    np.testing.assert_array_equal(short.counts, exact.counts)


def test_tolerance_is_inclusive_on_a_grid_and_in_float32():
    for dtype in (np.float64, np.float32):
        references = [np.arange(5, 400, 7, dtype=dtype) / dtype(100)]
        for step in (-2, 2):
            predictions = [np.arange(5 + step, 400 + step, 7, dtype=dtype) / dtype(100)]
            for rule in RULES:
                assert boundary_scores(references, predictions, 0.02, counting=rule).recall == 1
                assert boundary_scores(references, predictions, 0.019, counting=rule).recall == 0


def test_pinned_r_value():
    # hit rate 0.8, over-segmentation 0.25, worked out on paper
    expected = 1 - (math.hypot(0.2, 0.25) + 0.45 / math.sqrt(2)) / 2
    assert r_value(100, 125, 80) == pytest.approx(expected)
    assert r_value(10, 10, 10) == 1


def test_no_predictions_or_no_references():
    silent = boundary_scores([[0.1, 0.2]], [[]], counting="strict")
    assert math.isnan(silent.precision)
    assert silent.recall == 0
    assert silent.f1 == 0
    assert silent.r_value == pytest.approx(1 - 1 / math.sqrt(2))
    spurious = boundary_scores([[]], [[0.1]], counting="strict")
    assert spurious.precision == 0
    assert spurious.f1 == 0
    assert all(math.isnan(spurious[name]) for name in ("recall", "over_segmentation", "r_value"))
    for nothing in (boundary_scores([], [], counting="rasanen"), boundary_scores([[]], [[]], counting="rasanen")):
        assert nothing.hits == 0
        assert math.isnan(nothing.f1)
        assert math.isnan(nothing.interval()[0])


def test_flat_lists_are_one_utterance():
    assert dict(boundary_scores([0.1, 0.3], [0.1], counting="strict")) == dict(
        boundary_scores([[0.1, 0.3]], [[0.1]], counting="strict")
    )
    assert boundary_scores([0.1], [], counting="strict").references == 1
    with pytest.raises(AlignmentError, match="flat list"):
        boundary_scores([0.1], [[0.1]], counting="strict")


def test_table_and_interval():
    rng = np.random.default_rng(3)
    references = [np.cumsum(rng.uniform(0.03, 0.15, 30)) for _ in range(40)]
    predictions = [np.sort(times + rng.normal(0, 0.015, 30)) for times in references]
    accumulator = BoundaryScoreAccumulator(counting="strict")
    accumulator.update(references, predictions, [f"u{i}" for i in range(40)])
    result = accumulator.compute()
    table = result.per_utterance()
    assert table["utterance"][:2] == ["u0", "u1"]
    assert table["hits"].sum() == result.hits
    low, high = result.interval("recall")
    assert low < result.recall < high
    assert high - low < 0.1
    narrow = result.interval("recall", confidence=0.5)
    assert low < narrow[0] < narrow[1] < high
    assert "counting='strict'" in repr(result)


@pytest.mark.parametrize(
    ("references", "predictions", "message"),
    [
        ([[0.2, 0.1]], [[0.1]], "references of utterance 0: boundary 0.1 comes after a later one"),
        ([[0.1], [0.1]], [[0.1], [0.3, 0.3]], "predictions of utterance 1: boundary 0.3 is a duplicate"),
        ([[-0.1]], [[]], "boundary -0.1 is not a time"),
        ([[0.1, math.nan]], [[]], "boundary nan is not a time"),
        ([[0.1]], [[math.inf]], "boundary inf is not a time"),
        ([[0.1]], [[1e12]], "is not a time"),
        ([[0.1]], [], "1 reference utterances but 0 predicted"),
        ([["a"]], [[0.1]], "must be a flat list of times"),
        ([[[0.1]]], [[0.1]], "must be a flat list of times"),
    ],
)
def test_malformed_boundaries_are_refused(references, predictions, message):
    with pytest.raises(AlignmentError, match=message):
        boundary_scores(references, predictions, counting="rasanen")


@pytest.mark.parametrize("tolerance", [0, -0.02, math.nan, math.inf, "0.02", None])
def test_tolerance_must_be_a_positive_number(tolerance):
    with pytest.raises(ConfigurationError, match="tolerance must be a positive number"):
        boundary_scores([[0.1]], [[0.1]], tolerance, counting="rasanen")


def test_counting_must_be_named():
    with pytest.raises(TypeError, match="counting"):
        boundary_scores([[0.1]], [[0.1]])
    with pytest.raises(ConfigurationError, match="unknown counting rule 'räsänen'"):
        boundary_scores([[0.1]], [[0.1]], counting="räsänen")
    with pytest.raises(ConfigurationError, match="cannot merge"):
        BoundaryScoreAccumulator(counting="strict").merge(BoundaryScoreAccumulator(counting="lenient"))
    result = boundary_scores([[0.1]], [[0.1]], counting="strict")
    with pytest.raises(ConfigurationError, match="no rate 'accuracy'"):
        result.interval("accuracy")
    with pytest.raises(ConfigurationError, match="confidence"):
        result.interval(confidence=95)
    with pytest.raises(KeyError):
        result["accuracy"]
    with pytest.raises(AlignmentError, match="2 utterance ids for 1"):
        BoundaryScoreAccumulator(counting="strict").update([[0.1]], [[0.1]], ["a", "b"])


def test_times_of_many_long_recordings_do_not_overflow():
    times = [[1.0, 5e7]] * 300
    assert boundary_scores(times, times, 1e7, counting="strict").hits == 600
    assert boundary_scores(times, times, 1e300, counting="rasanen").hits == 600
