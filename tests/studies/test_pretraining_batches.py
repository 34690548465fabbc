"""Feature store and numbered batches."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sat_probe.audio import read_audio
from sat_probe.errors import AudioError, CorpusError
from sat_probe.models.mockingjay import MockingjayFeatureExtractor
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.studies.corpus_pass import decoder_process
from sat_probe.studies.corpus_pass.decoder_process import AudioDecoder
from sat_probe.studies.pretraining.batches import LengthBuckets, MaskedBatches, join_batches
from sat_probe.studies.pretraining.features import FeatureStore, feature_store

from .pretraining_corpus import write_toy_corpus

EXTRACTOR = MockingjayFeatureExtractor(recipe={"mel_bins": 20}, downsample_rate=3)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_toy_corpus(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def store(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return feature_store(corpus, EXTRACTOR, tmp_path_factory.mktemp("cache"))


def batches(store: FeatureStore, **changes: object) -> MaskedBatches:
    settings = {"batch_frames": 400, "width": 1, "downsample_rate": 3, "seed": 3, "count": 40} | changes
    return MaskedBatches(store, np.arange(len(store)), **settings)


def test_store_equals_the_extractor(store: FeatureStore, corpus: Corpus) -> None:
    for index, utterance in enumerate(corpus):
        expected = EXTRACTOR.extract(read_audio(utterance.audio))
        np.testing.assert_array_equal(store.inputs(index), expected)
        np.testing.assert_array_equal(store.targets(index), expected)
        assert store.lengths[index] == len(expected)
        assert store.ids[index] == utterance.id


def test_store_keeps_separate_targets(corpus: Corpus, tmp_path: Path) -> None:
    extractor = MockingjayFeatureExtractor(target_kind="online_log_linear", downsample_rate=3)
    store = feature_store(corpus, extractor, tmp_path)
    assert store.size == 80
    assert store.target_size == 201
    np.testing.assert_array_equal(store.targets(5), extractor.extract(read_audio(corpus[5].audio), target=True))


def test_features_are_computed_once_per_setting(corpus: Corpus, tmp_path: Path) -> None:
    def computed(extractor: MockingjayFeatureExtractor) -> int:
        calls: list[int] = []
        feature_store(corpus, extractor, tmp_path, on_progress=calls.append)
        return sum(calls)

    assert computed(EXTRACTOR) == len(corpus)
    assert computed(EXTRACTOR) == 0
    assert computed(MockingjayFeatureExtractor(recipe={"mel_bins": 21}, downsample_rate=3)) == len(corpus)


def test_bad_files_are_skipped_and_counted(tmp_path: Path) -> None:
    corpus = write_toy_corpus(tmp_path / "audio", 3)
    corpus[1].audio.write_bytes(b"no audio")
    store = feature_store(corpus, EXTRACTOR, tmp_path / "cache")
    assert store.ids == ("00", "02")
    assert len(store.skipped) == 1
    assert store.skipped[0].startswith("01: ")
    with pytest.raises(AudioError, match="01"):
        feature_store(corpus, EXTRACTOR, tmp_path / "other", strict=True)
    assert not list((tmp_path / "other" / "features").iterdir())


def test_no_usable_file_is_an_error(tmp_path: Path) -> None:
    corpus = write_toy_corpus(tmp_path / "audio", 1)
    corpus[0].audio.write_bytes(b"no audio")
    with pytest.raises(CorpusError, match="none of the 1 audio files can be used"):
        feature_store(corpus, EXTRACTOR, tmp_path / "cache")


def test_a_streamed_corpus_is_refused(corpus: Corpus, tmp_path: Path) -> None:
    streamed = Corpus("toy", None, corpus.dataset.to_iterable_dataset(), corpus.phone_set)
    with pytest.raises(CorpusError, match="toy: pre-training needs the whole corpus; load it without streaming"):
        feature_store(streamed, EXTRACTOR, tmp_path)


def test_a_file_that_kills_the_decoder_is_skipped(
    corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed = (
        "import os, signal; from sat_probe.studies.corpus_pass import decoder_process as d; read = d.read_audio; "
        "d.read_audio = lambda audio, rate, name: os.kill(os.getpid(), signal.SIGKILL) if name == '01' else "
        "read(audio, rate, name); d.serve()"
    )
    monkeypatch.setattr(AudioDecoder, "command", (sys.executable, "-c", doomed))
    monkeypatch.setattr(decoder_process, "_DECODER", AudioDecoder())
    store = feature_store(corpus.limit(3), EXTRACTOR, tmp_path)
    assert store.ids == ("00", "02")
    assert "died while it read this file (SIGKILL" in store.skipped[0]


def test_an_epoch_uses_each_utterance_once_within_batch_frames() -> None:
    lengths = np.random.default_rng(0).integers(20, 300, 200)
    buckets = LengthBuckets(lengths, 1000, seed=0)
    first, second = buckets.epoch(0), buckets.epoch(1)
    for epoch in (first, second):
        assert sorted(np.concatenate(epoch)) == list(range(200))
        assert all(len(batch) * lengths[batch].max() <= 1000 for batch in epoch)
    assert [batch.tolist() for batch in first] != [batch.tolist() for batch in second]
    padding = 1 - lengths.sum() / sum(len(batch) * lengths[batch].max() for batch in first)
    unsorted = np.arange(200).reshape(-1, 5)
    assert padding < 0.1 < 1 - lengths.sum() / sum(5 * lengths[batch].max() for batch in unsorted)


def test_a_batch_depends_on_seed_and_number_only(store: FeatureStore) -> None:
    inorder = [batch["input_features"] for batch in (batches(store)[n] for n in range(40))]
    fresh = batches(store, random_phase=False)
    for number in (31, 2, 17):
        assert torch.equal(fresh[number]["input_features"], inorder[number])
    other = batches(store, seed=4)
    assert not all(
        torch.equal(other[n]["input_features"], inorder[n])
        for n in range(40)
        if other[n]["input_features"].shape == inorder[n].shape
    )


@pytest.mark.parametrize("random_phase", [False, True])
def test_labels_are_the_features_and_only_selected_rows_differ(store: FeatureStore, random_phase: bool) -> None:
    data = batches(store, random_phase=random_phase, longest_frames=90)
    for number in range(12):
        batch = data[number]
        count, frames, _ = batch["input_features"].shape
        assert frames % 3 == 0
        assert frames <= 90
        mask = batch.get("attention_mask", torch.ones(count, frames)).bool()
        lengths = mask.sum(1)
        assert (lengths % 3 == 0).all()
        assert (batch["labels"][~mask] == 0).all()
        differs = (batch["input_features"] != batch["labels"]).any(-1).view(count, -1, 3).any(-1)
        assert not (differs & ~batch["mask_positions"]).any()
        assert not (batch["mask_positions"] & ~mask[:, ::3]).any()
        for place, utterance in enumerate(data.buckets[number]):
            whole, part = store.inputs(utterance), batch["labels"][place, : lengths[place]].numpy()
            starts = range(len(whole) - len(part) + 1)
            assert any(np.array_equal(whole[start : start + len(part)], part) for start in starts)


def test_batches_of_several_devices_are_padded_together(store: FeatureStore) -> None:
    data = batches(store)
    parts = [data[0], data[1], data[2]]
    joined = join_batches([dict(part) for part in parts])
    assert len(joined["labels"]) == sum(len(part["labels"]) for part in parts)
    assert int(joined["mask_positions"].sum()) == sum(int(part["mask_positions"].sum()) for part in parts)
    row = len(parts[0]["labels"])
    frames = parts[1]["labels"].shape[1]
    torch.testing.assert_close(joined["labels"][row, :frames], parts[1]["labels"][0])
    assert joined["attention_mask"][row].sum() == parts[1].get("attention_mask", torch.ones(1, frames))[0].sum()
