"""Head metrics: formulas against loops, categories by rank, merged sums, and absent heads."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_probe.errors import ModelError
from sat_probe.measures.bootstrap import PoissonBootstrap, percentile_interval
from sat_probe.measures.head_accumulator import HeadMetricsAccumulator
from sat_probe.measures.head_metrics import CATEGORIES, METRICS, RANKED, categories, ranks
from tests.reference import diagonal_sums_slowly, head_metrics_slowly


def random_maps(heads: int, length: int, seed: int, sharpness: float = 3.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (sharpness * torch.randn(heads, length, length, generator=generator)).softmax(-1)


def show(accumulator, utterance, layer, maps, queries_at_once, present=None):
    """Show maps to an accumulator as a model would: some heads at a time, some queries at a time."""
    heads, length, _ = maps.shape
    for head in range(heads) if present is None else present:
        for first in range(0, length, queries_at_once):
            weights = maps[head : head + 1, first : first + queries_at_once]
            accumulator.observe(
                SimpleNamespace(
                    utterance=utterance,
                    layer=layer,
                    heads=slice(head, head + 1),
                    first_query=first,
                    length=length,
                    column_sums=weights.sum(1),
                    offset_sums=torch.from_numpy(diagonal_sums_slowly(weights)),
                    row_entropy=torch.special.entr(weights).sum(-1),
                    row_maximum=weights.amax(-1),
                )
            )


def accumulate(corpus, queries_at_once=4, replicates=20, present=(None, None)):
    accumulator = HeadMetricsAccumulator(2, 3, PoissonBootstrap(replicates))
    for name, layers in corpus.items():
        accumulator.begin([name])
        for layer, maps in enumerate(layers):
            show(accumulator, 0, layer, maps, queries_at_once, present[layer])
        accumulator.end()
    return accumulator


CORPUS = {f"utterance {i}": [random_maps(3, 5 + 3 * i, 10 * i + layer) for layer in range(2)] for i in range(5)}


@pytest.mark.parametrize("queries_at_once", [1, 4, 100])
def test_equals_slow_loops(queries_at_once):
    result = accumulate(CORPUS, queries_at_once).compute()
    for layer in range(2):
        slow = [head_metrics_slowly(layers[layer]) for layers in CORPUS.values()]
        for name in slow[0]:
            expected = np.mean([one[name] for one in slow], axis=0)
            np.testing.assert_allclose(result.values[name][layer], expected, atol=1e-5)
    assert result.utterances == 5


def test_known_heads():
    length = 40
    uniform = torch.full((length, length), 1 / length)
    column = torch.zeros(length, length)
    column[:, 7] = 1
    shifted = torch.eye(length).roll(-3, dims=0)  # query q attends to key q + 3 (the last three wrap around)
    accumulator = HeadMetricsAccumulator(1, 3, PoissonBootstrap(5))
    accumulator.begin(["one"])
    show(accumulator, 0, 0, torch.stack([uniform, column, shifted]), 16)
    accumulator.end()
    found = {name: values[0] for name, values in accumulator.compute().values.items()}
    np.testing.assert_allclose(found["globalness"], [np.log(length), 0, 0], atol=1e-6)
    np.testing.assert_allclose(found["globalness_per_log_length"], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(found["verticality"], [-np.log(length), 0, -np.log(length)], atol=1e-6)
    np.testing.assert_allclose(found["diagonality"][2], -(37 * 3 + 3 * 37) / length**2, atol=1e-9)
    np.testing.assert_allclose(found["mean_offset"][2], (37 * 3 - 3 * 37) / length, atol=1e-9)
    np.testing.assert_allclose(found["sink_share"], [0, 1, 0])
    np.testing.assert_allclose(found["max_weight"], [1 / length, 1, 1], atol=1e-7)
    assert accumulator.compute().category.tolist() == [["global", "vertical", "diagonal"]]


ABSENT = pytest.mark.parametrize(
    "present", [((0, 2), (1,)), ((), (0, 1, 2)), ((1,), ())], ids=["some heads", "first layer", "last layer"]
)


def ranks_slowly(values, here):
    """Rank of each present head by counting the present heads above it; NaN elsewhere."""
    found = np.full(values.shape, np.nan)
    for head in zip(*np.nonzero(here), strict=True):
        found[head] = 1 + sum(values[other] > values[head] for other in zip(*np.nonzero(here), strict=True))
    return found


@ABSENT
def test_absent_heads_have_no_value_no_rank_and_no_category(present):
    whole, result = accumulate(CORPUS).compute(), accumulate(CORPUS, present=present).compute()
    here = np.array([[head in layer for head in range(3)] for layer in present])
    np.testing.assert_array_equal(result.present, here)
    assert result.utterances == 5
    for name in METRICS:
        for found, expected in ((result.values, whole.values), (result.low, whole.low), (result.high, whole.high)):
            np.testing.assert_array_equal(found[name], np.where(here, expected[name], np.nan))
    standing = {name: ranks_slowly(whole.values[name], here) for name in RANKED}
    for name in RANKED:
        np.testing.assert_array_equal(result.ranks[name], standing[name])
    for head in np.ndindex(2, 3):
        best = min(range(3), key=lambda metric: standing[RANKED[metric]][head])
        assert result.category[head] == (CATEGORIES[best] if here[head] else "")
    np.testing.assert_array_equal(np.isnan(result.category_stability), ~here)


@pytest.mark.parametrize("present", [(None, None), ((0, 2), (1,)), ((), (0, 2))])
@given(st.lists(st.booleans(), min_size=5, max_size=5))
@settings(max_examples=15, deadline=None)
def test_any_split_merged_equals_the_whole(present, left):
    halves = [
        accumulate(
            {name: maps for (name, maps), here in zip(CORPUS.items(), left, strict=True) if here is side},
            present=present,
        )
        for side in (True, False)
    ]
    halves[0].merge(halves[1])
    merged, whole = halves[0].compute(), accumulate(CORPUS, present=present).compute()
    np.testing.assert_array_equal(merged.present, whole.present)
    for name in METRICS:
        np.testing.assert_allclose(merged.values[name], whole.values[name], rtol=1e-12)
        np.testing.assert_allclose(merged.low[name], whole.low[name], rtol=1e-9)
    np.testing.assert_array_equal(merged.category, whole.category)
    np.testing.assert_allclose(merged.category_stability, whole.category_stability)


def test_a_resumed_sum_is_exact():
    names = list(CORPUS)
    first = accumulate({name: CORPUS[name] for name in names[:2]})
    second = HeadMetricsAccumulator(2, 3, PoissonBootstrap(20))
    second.load_state_dict({name: value.copy() for name, value in first.state_dict().items()})
    for name in names[2:]:
        second.begin([name])
        for layer, maps in enumerate(CORPUS[name]):
            show(second, 0, layer, maps, 4)
        second.end()
    whole = accumulate(CORPUS)
    for name, value in whole.state_dict().items():
        np.testing.assert_array_equal(second.state_dict()[name], value)


def test_an_unfinished_batch_is_discarded():
    accumulator = accumulate(CORPUS)
    before = {name: value.copy() for name, value in accumulator.state_dict().items()}
    accumulator.begin(["broken"])
    show(accumulator, 0, 0, random_maps(3, 8, 0), 4)
    accumulator.begin([])
    accumulator.end()
    for name, value in accumulator.state_dict().items():
        np.testing.assert_array_equal(before[name], value)


def test_ranks_share_the_better_rank_and_ties_go_to_the_first_metric():
    values = np.array([[3.0, 1.0], [3.0, 2.0]])
    assert ranks(values).tolist() == [[1, 4], [1, 3]]
    assert ranks(np.stack([values, -values])).tolist() == [[[1, 4], [1, 3]], [[3, 1], [3, 2]]]
    metrics = np.array([[[3.0, 1.0]], [[1.0, 3.0]], [[3.0, 3.0]]])
    assert categories(metrics).tolist() == [["global", "vertical"]]


def test_one_utterance_has_no_interval():
    result = accumulate({"only": CORPUS["utterance 1"]}).compute()
    assert np.isnan(result.low["globalness"]).all()
    assert np.isnan(result.category_stability).all()
    assert np.isfinite(result.values["globalness"]).all()


def test_a_single_frame_has_no_length_free_entropy():
    accumulator = HeadMetricsAccumulator(1, 1, PoissonBootstrap(5))
    accumulator.begin(["one frame"])
    show(accumulator, 0, 0, torch.ones(1, 1, 1), 1)
    accumulator.end()
    values = accumulator.compute().values
    assert np.isnan(values["globalness_per_log_length"]).all()
    assert values["globalness"].item() == 0


def test_bootstrap_interval_covers_the_mean_of_a_known_distribution():
    generator = np.random.default_rng(0)
    bootstrap = PoissonBootstrap(300)
    covered = 0
    for trial in range(60):
        sample = generator.exponential(2.0, size=50)
        weights = np.stack([bootstrap.weights(f"{trial}/{i}") for i in range(50)])
        low, high = percentile_interval((weights * sample[:, None]).sum(0) / weights.sum(0))
        covered += low <= 2.0 <= high
    assert 50 <= covered <= 60


def test_bootstrap_weights_depend_only_on_id_and_seed():
    one = PoissonBootstrap(1000)
    np.testing.assert_array_equal(one.weights("a"), PoissonBootstrap(1000).weights("a"))
    assert not np.array_equal(one.weights("a"), one.weights("b"))
    assert not np.array_equal(one.weights("a"), PoissonBootstrap(1000, seed=1).weights("a"))
    assert abs(one.weights("a").mean() - 1) < 0.15


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="nothing to compute"):
        HeadMetricsAccumulator(1, 1).compute()
    with pytest.raises(ValueError, match="same model"):
        HeadMetricsAccumulator(1, 1).merge(HeadMetricsAccumulator(1, 2))
    with pytest.raises(ValueError, match="do not fit: 'seen'"):
        HeadMetricsAccumulator(1, 1).load_state_dict(HeadMetricsAccumulator(1, 2).state_dict())


def test_sums_of_models_with_different_heads_are_refused():
    names = list(CORPUS)
    mixed = accumulate({name: CORPUS[name] for name in names[:2]})
    mixed.merge(accumulate({name: CORPUS[name] for name in names[2:]}, present=((0, 2), (0, 1, 2))))
    with pytest.raises(ModelError, match="head 1 of layer 0 was observed in 2 of 5 utterances"):
        mixed.compute()
