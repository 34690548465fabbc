"""Relation maps against four plain loops, and their properties in the paper."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_probe.errors import AlignmentError, ConfigurationError, ModelError
from sat_probe.measures.relations.accumulator import RelationMapAccumulator
from sat_probe.measures.relations.formulas import (
    concentration,
    frame_membership,
    relation,
    segment_runs,
    uniform_distribution,
)
from sat_probe.measures.relations.result import RelationMaps
from sat_probe.measures.relations.tables import concentration_frame, operations_frame, relation_frame
from tests.reference import relation_map_slow

PHONES = ("sil", "aa", "s", "t", "zh")


def random_labels(rng: np.random.Generator, count: int, classes: int = 4, unlabelled: bool = True) -> np.ndarray:
    labels = np.repeat(rng.integers(-1 if unlabelled else 0, classes, count), rng.integers(1, 8, count))[:count]
    labels[:2] = 0, 1  # two segments at least
    return labels.astype(np.int64)


def random_attention(rng: np.random.Generator, layers: int, heads: int, frames: int) -> torch.Tensor:
    scores = torch.from_numpy(rng.normal(size=(layers, heads, frames, frames)) * 3)
    return scores.softmax(-1).float()


def feed(accumulator, attention: list[torch.Tensor], names: list[str], labels, block: int = 7, present=None) -> None:
    """One batch, in blocks of queries and of heads, as the attention function streams it."""
    accumulator.begin(names, labels)
    for layer in range(accumulator.layers):
        parts = [slice(0, 1), slice(1, accumulator.heads)]
        if present is not None:
            parts = [slice(head, head + 1) for head in present[layer]]
        for index, maps in enumerate(attention):
            for heads in parts:
                for first in range(0, maps.shape[-1], block):
                    weights = maps[layer, heads, first : first + block]
                    accumulator.observe(
                        SimpleNamespace(
                            utterance=index, layer=layer, heads=heads, first_query=first,
                            length=maps.shape[-1], weights=weights,
                        )
                    )  # fmt: skip
    accumulator.end()


def corpus(seed: int, count: int, factor: int = 1):
    rng = np.random.default_rng(seed)
    frames = rng.integers(9, 24, count)
    attention = [random_attention(rng, 2, 3, int(length)) for length in frames]
    labels = [random_labels(rng, int(length) * factor) for length in frames]
    return attention, [f"spk/utt-{index}" for index in range(count)], labels


@pytest.mark.parametrize("factor", [1, 3])
@pytest.mark.parametrize("leave_out", [False, True])
def test_equals_slow_loops_on_upsampled_maps(factor, leave_out):
    attention, names, labels = corpus(0, 4, factor)
    accumulator = RelationMapAccumulator(2, 3, PHONES, upsampling_factor=factor, leave_out_own_segment=leave_out)
    feed(accumulator, attention, names, labels)
    maps = accumulator.compute(replicates=10)
    for layer, head in np.ndindex(2, 3):
        slow = [
            relation_map_slow(maps_[layer, head].numpy(), found, len(PHONES), factor, leave_out)
            for maps_, found in zip(attention, labels, strict=True)
        ]
        joint, uniform = (np.mean(part, axis=0) for part in zip(*slow, strict=True))
        np.testing.assert_allclose(maps.joint[layer, head], joint, atol=2e-7)
        np.testing.assert_allclose(maps.uniform, uniform, atol=1e-12)
        np.testing.assert_array_equal(np.isnan(maps.relation[layer, head]), uniform == 0)
    assert np.isnan(maps.relation[:, :, 4]).all(), "zh never occurs: undefined, not 0"


@pytest.mark.parametrize("leave_out", [False, True])
def test_distributions_sum_to_one_and_uniform_attention_relates_nothing(leave_out):
    _, names, labels = corpus(1, 6, 2)
    uniform = [torch.full((2, 3, len(found) // 2, len(found) // 2), 2 / len(found)) for found in labels]
    accumulator = RelationMapAccumulator(2, 3, PHONES, upsampling_factor=2, leave_out_own_segment=leave_out)
    feed(accumulator, uniform, names, labels)
    maps = accumulator.compute()
    np.testing.assert_allclose(maps.joint.sum(axis=(-2, -1)), 1, atol=1e-9)
    np.testing.assert_allclose(maps.uniform.sum(), 1, atol=1e-9)
    np.testing.assert_allclose(np.nan_to_num(maps.relation), 0, atol=1e-6)
    np.testing.assert_allclose(np.nan_to_num(maps.concentration), 0, atol=1e-6)


@given(seed=st.integers(0, 2**16), cut=st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_any_split_merges_to_the_whole(seed, cut):
    attention, names, labels = corpus(seed, 6)
    whole, left, right = (RelationMapAccumulator(2, 3, PHONES, groups=4) for _ in range(3))
    feed(whole, attention, names, labels)
    feed(left, attention[:cut], names[:cut], labels[:cut], block=5)
    for index in range(cut, 6):
        feed(right, attention[index : index + 1], names[index : index + 1], labels[index : index + 1], block=100)
    resumed = RelationMapAccumulator(2, 3, PHONES, groups=4)
    resumed.load_state_dict(right.state_dict())
    resumed.merge(left)
    expected, found = whole.compute(replicates=20), resumed.compute(replicates=20)
    for name in (
        "joint",
        "uniform",
        "relation",
        "low",
        "high",
        "concentration",
        "frames",
        "utterances",
        "identity_low",
    ):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-5, err_msg=name)
    assert resumed.utterances == whole.utterances == 6


ABSENT = pytest.mark.parametrize(
    "present", [((0, 2), (1,)), ((), (0, 1, 2)), ((1,), ())], ids=["some heads", "first layer", "last layer"]
)


@ABSENT
def test_absent_heads_have_no_relations_and_no_rows(present):
    attention, names, labels = corpus(11, 6)
    whole, part = (RelationMapAccumulator(2, 3, PHONES) for _ in range(2))
    feed(whole, attention, names, labels)
    feed(part, attention, names, labels, present=present)
    here = np.array([[head in layer for head in range(3)] for layer in present])
    found, expected = part.compute(replicates=20), whole.compute(replicates=20)
    np.testing.assert_array_equal(found.present, here)
    for name in ("joint", "relation", "low", "concentration", "concentration_high", "identity"):
        values = getattr(found, name)
        assert np.isnan(values[~here]).all(), name
        np.testing.assert_allclose(values[here], getattr(expected, name)[here], atol=1e-6, err_msg=name)
    for table in (relation_frame, concentration_frame, operations_frame):
        rows = table(expected)
        kept = rows[here[rows["layer"], rows["head"]]].reset_index(drop=True)
        pd.testing.assert_frame_equal(table(found), kept, rtol=1e-5)


@ABSENT
def test_absent_heads_stay_absent_in_parts_of_a_corpus_and_of_a_model(present):
    attention, names, labels = corpus(12, 6)
    whole, left, right = (RelationMapAccumulator(2, 3, PHONES, groups=4) for _ in range(3))
    feed(whole, attention, names, labels, present=present)
    feed(left, attention[:2], names[:2], labels[:2], present=present)
    feed(right, attention[2:], names[2:], labels[2:], present=present)
    left.merge(right)
    expected = whole.compute(replicates=20)
    layers = [left.of_layers(slice(layer, layer + 1)).compute(replicates=20) for layer in range(2)]
    for found in (left.compute(replicates=20), RelationMaps.of_parts(layers)):
        for name in ("present", "joint", "relation", "low", "concentration", "identity_low"):
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=1e-5, err_msg=name)
    feed(left, attention[:1], ["another"], labels[:1], present=((0, 1, 2), (0, 1, 2)))
    with pytest.raises(ModelError, match="observed in 1 of 7 utterances"):
        left.compute()


def test_layers_resampled_separately_equal_the_whole():
    attention, names, labels = corpus(3, 6)
    whole = RelationMapAccumulator(2, 3, PHONES)
    feed(whole, attention, names, labels)
    parts = [whole.of_layers(slice(layer, layer + 1)) for layer in range(2)]
    joined = RelationMaps.of_parts([part.compute(replicates=20) for part in parts])
    expected = whole.compute(replicates=20)
    for table in (relation_frame, concentration_frame, operations_frame):
        pd.testing.assert_frame_equal(table(joined), table(expected))


def test_formulas_equal_the_accumulator():
    attention, names, labels = corpus(3, 1, 3)
    membership = frame_membership(labels[0], len(PHONES), 3)
    joint = membership.T @ attention[0].double().numpy() @ membership  # eq. 4, with one T (the authors' erratum)
    joint /= joint.sum(axis=(-2, -1), keepdims=True)
    accumulator = RelationMapAccumulator(2, 3, PHONES, upsampling_factor=3)
    feed(accumulator, attention, names, labels)
    maps = accumulator.compute(replicates=2)
    np.testing.assert_allclose(maps.joint, joint, atol=1e-6)
    np.testing.assert_allclose(maps.uniform, uniform_distribution(membership), atol=1e-12)
    assert np.isnan(maps.low).all(), "one utterance gives no interval"


def test_relation_and_concentration_leave_out_undefined_cells():
    uniform = np.array([[0.5, 0.25], [0.25, 0.0]])
    values = relation(np.array([[0.25, 0.5], [0.25, 0.0]]), uniform)
    np.testing.assert_allclose(values, [[-0.5, 1.0], [0.0, np.nan]])
    np.testing.assert_allclose(concentration(values), [-0.25, 1.0])


def test_membership_is_the_share_of_a_stacked_frame():
    labels = np.array([0, 0, 1, 1, -1, 2, 2])
    np.testing.assert_allclose(frame_membership(labels, 3, 3), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 1 / 3]])
    np.testing.assert_array_equal(segment_runs(labels), [0, 0, 1, 1, -1, 2, 2])


def attending_head(labels: np.ndarray, kind: str) -> torch.Tensor:
    frames = len(labels)
    match kind:
        case "to sil":
            scores = np.tile(np.where(labels == 0, 3.0, 0.0), (frames, 1))
        case "not to sil":
            scores = np.tile(np.where(labels == 0, -3.0, 0.0), (frames, 1))
        case "identity":
            scores = np.where(labels[:, None] == labels[None], 3.0, 0.0)
        case "not identity":
            scores = np.where(labels[:, None] == labels[None], -3.0, 0.0)
        case _:
            scores = np.zeros((frames, frames))
    return torch.from_numpy(scores).softmax(-1).float()


def test_operations_are_named():
    kinds = ["to sil", "not to sil", "identity", "not identity", "nothing"]
    rng = np.random.default_rng(5)
    labels = [random_labels(rng, 60, unlabelled=False) for _ in range(40)]
    attention = [torch.stack([attending_head(found, kind) for kind in kinds])[None] for found in labels]
    accumulator = RelationMapAccumulator(1, len(kinds), PHONES[:4])
    feed(accumulator, attention, [f"u{index}" for index in range(40)], labels, block=60)
    named = operations_frame(accumulator.compute())
    strongest = named.groupby("head")["operation"].first()
    assert [strongest.get(head, "nothing") for head in range(len(kinds))] == kinds


def test_natural_classes_fold_the_sums():
    attention, names, labels = corpus(7, 12)
    accumulator = RelationMapAccumulator(2, 3, PHONES)
    feed(accumulator, attention, names, labels)
    classes = {"sil": "silence", "aa": "vowel", "s": "fricative", "t": "stop", "zh": "fricative"}
    folded, plain = accumulator.compute(classes), accumulator.compute()
    assert folded.phones == ("silence", "vowel", "fricative", "stop")
    np.testing.assert_allclose(folded.joint.sum(axis=(-2, -1)), 1, atol=1e-9)
    np.testing.assert_allclose(folded.joint[..., 2, 0], plain.joint[..., 2, 0] + plain.joint[..., 4, 0])
    with pytest.raises(ConfigurationError, match="no natural class given for zh"):
        accumulator.compute({"sil": "x", "aa": "x", "s": "x", "t": "x"})


def test_tables_have_one_row_per_cell():
    attention, names, labels = corpus(8, 3)
    accumulator = RelationMapAccumulator(2, 3, PHONES)
    feed(accumulator, attention, names, labels)
    maps: RelationMaps = accumulator.compute(replicates=5)
    table = relation_frame(maps)
    assert len(table) == 2 * 3 * 25
    row = table[(table.layer == 1) & (table["head"] == 2) & (table.query_phone == "aa") & (table.key_phone == "s")]
    assert row["relation"].item() == maps.relation[1, 2, 1, 2]
    assert len(concentration_frame(maps)) == 2 * 3 * 5


def test_utterances_without_alignment_are_counted_and_left_out():
    attention, names, labels = corpus(9, 2)
    accumulator = RelationMapAccumulator(2, 3, PHONES)
    feed(accumulator, attention, names, [labels[0], None])
    assert (accumulator.utterances, accumulator.unlabelled) == (1, 1)
    with pytest.raises(AlignmentError, match="no utterance had an alignment"):
        RelationMapAccumulator(2, 3, PHONES).compute()


def test_errors():
    attention, names, labels = corpus(10, 1)
    accumulator = RelationMapAccumulator(2, 3, PHONES)
    with pytest.raises(AlignmentError, match=r"utt-0: labels cover .* frames but the attention has"):
        feed(accumulator, attention, names, [labels[0][:-2]])
    with pytest.raises(AlignmentError, match=r"utt-0: labels must lie in -1..4"):
        accumulator.begin(names, [labels[0] + 9])
    with pytest.raises(ConfigurationError, match="upsampling_factor is 1 here, 3 there"):
        accumulator.merge(RelationMapAccumulator(2, 3, PHONES, upsampling_factor=3))
    accumulator.begin(names, labels)
    block = SimpleNamespace(
        utterance=0, layer=0, heads=slice(0, 3), first_query=0,
        length=attention[0].shape[-1], weights=attention[0][0, :, :3],
    )  # fmt: skip
    accumulator.observe(block)
    with pytest.raises(ModelError, match="lacks some of its queries"):
        accumulator.end()
