"""Content identity of corpora: equal on every machine, and different for different content."""

from __future__ import annotations

import shutil

import datasets
import numpy as np
import pytest

from sat_probe.phones.corpora.opening import load_corpus

from .speech_files import write_audio

SEGMENTS = [(0.0, 0.25, "sil"), (0.25, 0.5, "AA1")]


@pytest.fixture
def folder(tmp_path):
    for name in ("a/one.wav", "b/two.flac"):
        write_audio(tmp_path / "speech" / name)
        (tmp_path / "speech" / name).with_suffix(".phn").write_text("0 4000 h#\n4000 8000 iy\n")
    return tmp_path / "speech"


def digests(folder, **options):
    return [load_corpus(folder, streaming=streaming, **options).digest for streaming in (False, True)]


def test_a_copy_elsewhere_has_the_same_digest(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other" / "place")
    assert digests(folder) == digests(tmp_path / "other" / "place")
    assert load_corpus(tmp_path / "other" / "place").name == "place"
    assert load_corpus(tmp_path / "other" / "place", streaming=True).name == "place"
    assert load_corpus("bundled").name == "bundled"


def test_a_named_corpus_keeps_its_name_next_to_a_folder_of_that_name(folder, tmp_path, monkeypatch):
    (tmp_path / "timit").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_corpus("timit", data_dir=folder).name == "timit"


@pytest.mark.parametrize("change", ["label", "boundary", "name", "length", "one fewer", "no alignment"])
def test_other_content_has_another_digest(folder, change):
    before = digests(folder)
    one = folder / "a" / "one.wav"
    match change:
        case "label":
            one.with_suffix(".phn").write_text("0 4000 h#\n4000 8000 axr\n")
        case "boundary":
            one.with_suffix(".phn").write_text("0 400 h#\n400 8000 iy\n")
        case "name":
            one.rename(folder / "a" / "three.wav")
        case "length":
            write_audio(one, seconds=0.51)
        case "one fewer":
            one.unlink()
        case "no alignment":
            one.with_suffix(".phn").unlink()
    assert not set(before) & set(digests(folder))


def test_options_change_the_digest(folder):
    found = [
        *digests(folder),
        *digests(folder, phone_set="timit-48"),
        *digests(folder, limit=1),
        *digests(folder, split="a"),
        load_corpus(folder, streaming=True).limit(1).digest,
    ]
    assert len(set(found)) == len(found)


def test_recordings_in_memory():
    clips = [np.full(8000, 0.1, np.float32), np.full(9000, 0.1, np.float32)]
    pairs = [(clip, SEGMENTS) for clip in clips]
    digest = load_corpus(pairs, sampling_rate=16_000, gaps="silence").digest
    assert digest == load_corpus(list(pairs), sampling_rate=16_000, gaps="silence").digest
    assert digest != load_corpus(pairs[::-1], sampling_rate=16_000, gaps="silence").digest
    assert digest != load_corpus(clips, sampling_rate=16_000).digest


def test_order_of_keys_and_other_columns_do_not_count():
    rows = {"id": ["a", "b"], "audio": [np.zeros(8000).tolist()] * 2, "speaker": ["x", "y"]}
    phones = [[{"phoneme": "B", "start": 0.0, "end": 0.5}]] * 2
    dataset = datasets.Dataset.from_dict(rows | {"phones": phones})
    turned = [[{"end": 0.5, "start": 0.0, "phoneme": "B"}]] * 2
    other = datasets.Dataset.from_dict({"phones": turned, "more": [1, 2]} | dict(reversed(rows.items())))
    one, two = (load_corpus(table, sampling_rate=16_000).digest for table in (dataset, other))
    assert one == two
    swapped = datasets.Dataset.from_dict(rows | {"phones": phones, "speaker": ["y", "x"]})
    assert load_corpus(swapped, sampling_rate=16_000).digest != one
    assert load_corpus(dataset.select([0, 1]), sampling_rate=16_000).digest == one
