"""The development corpora: TIMIT in both layouts, LibriSpeech with TextGrids from `align`, speechocean762."""

from __future__ import annotations

import shutil
from collections import Counter

import numpy as np
import pytest

from sat_probe.audio import read_audio
from sat_probe.frames import FrameGrid
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.phones.phone_set import phone_set

pytestmark = pytest.mark.shared

GRID = FrameGrid(hop=320, first_centre=200.0)  # wav2vec2's
# Frames of each of the 39 phones in the 80 utterances; None: the glottal stop, and the end that no label reaches.
PINNED = {
    "aa": 660, "ae": 517, "ah": 387, "aw": 81, "ay": 311, "b": 25, "ch": 42, "d": 64, "dh": 86, "dx": 50,
    "eh": 235, "er": 389, "ey": 326, "f": 163, "g": 43, "hh": 123, "ih": 698, "iy": 487, "jh": 88,
    "k": 213, "l": 370, "m": 238, "n": 421, "ng": 66, "ow": 246, "oy": 117, "p": 100, "r": 358, "s": 757,
    "sh": 257, "sil": 2709, "t": 190, "th": 41, "uh": 12, "uw": 239, "v": 89, "w": 207, "y": 97,
    "z": 278, None: 175,
}  # fmt: skip


def frames_of(samples):
    return (samples - 400) // 320 + 1


@pytest.fixture(scope="module")
def sample(shared_data):
    return load_corpus(shared_data / "timit-sample")


@pytest.fixture(scope="module")
def ldc(shared_data, tmp_path_factory):
    """The same 80 utterances as the LDC lays them out; one speaker's audio is SPHERE."""
    root = tmp_path_factory.mktemp("timit")
    for path in (shared_data / "timit-sample").rglob("*.*"):
        region, speaker = path.parent.name.upper().split("-")
        suffix = ".WAV" if path.suffix == ".sph" else path.suffix.upper()
        if path.suffix == ".wav" and path.with_suffix(".sph").is_file():
            continue
        target = root / "TRAIN" / region / speaker / f"{path.stem.upper()}{suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return load_corpus("timit", data_dir=root)


def test_both_layouts_have_the_same_80_utterances(sample, ldc):
    assert len(sample) == len(ldc) == 80
    assert sample.missing_alignments == ldc.missing_alignments == 0
    by_id = {utterance.id: utterance for utterance in ldc}
    sphere = 0
    for utterance in sample:
        other = by_id[utterance.id]
        assert (other.alignment, other.text, other.speaker) == (utterance.alignment, utterance.text, utterance.speaker)
        sphere += other.audio.read_bytes().startswith(b"NIST_1A")
        np.testing.assert_array_equal(read_audio(other.audio), read_audio(utterance.audio))
    assert sphere == 9  # sa1 of the speaker is WAV alone


def histogram(corpus):
    names = corpus.phone_set.phones
    counted = Counter()
    for utterance in corpus:
        labels = utterance.alignment.frame_labels(corpus.phone_set, GRID, frames_of(utterance.alignment.duration))
        counted.update(names[label] if label >= 0 else None for label in labels)
    return dict(counted)


def test_frame_histogram(sample, ldc):
    assert histogram(sample) == histogram(ldc) == PINNED


def test_frame_histogram_against_a_loop_over_the_files(sample, shared_data):
    folding = phone_set("timit-39").folding
    counted = Counter()
    for path in (shared_data / "timit-sample").rglob("*.phn"):
        rows = [line.split() for line in path.read_text().splitlines()]
        for frame in range(frames_of(len(read_audio(path.with_suffix(".wav"))))):
            centre = 200 + 320 * frame
            found = [label for start, end, label in rows if int(start) <= centre < int(end)]
            counted[folding[found[0]] if found else None] += 1
    assert histogram(sample) == dict(counted)


def test_librispeech_with_textgrids_from_align(shared_data, tmp_path):
    pytest.importorskip("pocketsphinx", reason="needs the extra [align]")
    from sat_probe.phones.align_corpus import align_corpus

    corpus = load_corpus("librispeech", data_dir=shared_data / "librispeech-sample")
    assert len(corpus) == corpus.missing_alignments == 4
    run = align_corpus(corpus, tmp_path)
    assert (run.aligned, run.failed) == (4, {})
    for split in ("dev-clean", "test-clean", "train-clean-5"):
        aligned = load_corpus(
            "librispeech", data_dir=shared_data / "librispeech-sample", split=split, alignments=tmp_path
        )
        assert aligned.missing_alignments == 0
        for utterance in aligned:
            labels = utterance.alignment.frame_labels(aligned.phone_set, GRID, frames_of(utterance.alignment.duration))
            assert (labels >= 0).all()
            words = len(utterance.text.split())
            assert words < len(utterance.alignment) < 8 * words


def test_speechocean762(shared_data):
    corpus = load_corpus("speechocean762", data_dir=shared_data / "speechocean762")
    assert len(corpus) == corpus.missing_alignments == 3300
    assert len({utterance.speaker for utterance in corpus}) == 165
    test = load_corpus("speechocean762", data_dir=shared_data / "speechocean762", split="test")
    assert (len(test), test[0].text) == (300, "ANDY LIKES BROWN")
