"""Corpora in memory: datasets, paths, arrays, pairs of audio and alignment, and errors of one line."""

from __future__ import annotations

import io

import datasets
import numpy as np
import pandas
import pytest
import soundfile
import torch

from sat_probe.audio import read_audio
from sat_probe.errors import AlignmentError, AudioError, ConfigurationError, CorpusError
from sat_probe.phones.alignment import Alignment
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.phones.phone_set import phone_set
from sat_probe.phones.readers.textgrid import write_textgrid

from .speech_files import write_audio

SEGMENTS = [(0.0, 0.25, "sil"), (0.25, 0.5, "AA1")]
PHONES = [{"phoneme": label, "start": start, "end": end} for start, end, label in SEGMENTS]


def noise(seed=0, seconds=0.5, rate=16_000):
    return np.random.default_rng(seed).normal(scale=0.1, size=round(seconds * rate)).astype(np.float32)


def wav(samples, rate=16_000):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="FLOAT")
    return file.getvalue()


def samples_of(corpus):
    return [read_audio(utterance.audio) for utterance in corpus]


class TestArrays:
    @pytest.mark.parametrize(
        "form",
        [
            lambda one: one,
            lambda one: (one, 16_000),
            lambda one: {"array": one, "sampling_rate": 16_000},
            lambda one: {"array": one.tolist(), "sampling_rate": 16_000.0, "path": None},
            torch.from_numpy,
            lambda one: torch.from_numpy(one)[None],
            lambda one: np.stack([one, one], axis=1),
            lambda one: np.stack([one, one]),
        ],
        ids=["bare", "pair", "mapping", "list", "tensor", "one channel", "two channels", "channels first"],
    )
    def test_samples_arrive_exactly(self, form):
        clips = [noise(seed) for seed in range(3)]
        corpus = load_corpus([form(clip) for clip in clips], sampling_rate=16_000)
        for found, clip in zip(samples_of(corpus), clips, strict=True):
            np.testing.assert_array_equal(found, clip)
        assert [utterance.id for utterance in corpus] == ["00000000", "00000001", "00000002"]
        assert corpus.missing_alignments == 3
        assert corpus.name == "recordings"
        assert all(isinstance(utterance.audio, bytes) for utterance in corpus)

    def test_one_recording_needs_no_list(self):
        clip = noise()
        for source in (clip, (clip, 16_000), {"array": clip, "sampling_rate": 16_000}, clip[None], (clip, SEGMENTS)):
            corpus = load_corpus(source, sampling_rate=16_000)
            np.testing.assert_array_equal(samples_of(corpus), [clip])

    def test_integers_and_channels_are_read_like_files(self, tmp_path):
        stereo = np.random.default_rng(1).integers(-30_000, 30_000, (8000, 2)).astype(np.int16)
        soundfile.write(tmp_path / "stereo.wav", stereo, 8000)
        corpus = load_corpus([stereo], sampling_rate=8000)
        np.testing.assert_allclose(samples_of(corpus)[0], read_audio(tmp_path / "stereo.wav"), atol=1e-6)

    def test_half_precision_and_gradients(self):
        clip = torch.from_numpy(noise()).to(torch.bfloat16).requires_grad_()
        corpus = load_corpus([clip], sampling_rate=16_000)
        np.testing.assert_array_equal(samples_of(corpus)[0], clip.detach().float().numpy())

    def test_shards_limits_and_streaming(self):
        clips = [noise(seed) for seed in range(5)]
        corpus = load_corpus(clips, sampling_rate=16_000, limit=4, streaming=True)
        assert len(corpus) == 4
        assert [utterance.id for utterance in corpus.shard(1, 2)] == ["00000001", "00000003"]
        assert len(load_corpus(corpus, limit=2)) == 2
        assert load_corpus(corpus) is corpus

    def test_recordings_in_several_batches(self, monkeypatch):
        monkeypatch.setattr("sat_probe.phones.corpora.recordings._BATCH_BYTES", 50_000)
        clips = [noise(seed) for seed in range(5)]
        np.testing.assert_array_equal(samples_of(load_corpus(clips, sampling_rate=16_000)), clips)


class TestAlignments:
    @pytest.fixture
    def files(self, tmp_path):
        phones = Alignment("u", [0, 4000], [4000, 8000], ("sil", "AA1"))
        write_textgrid(tmp_path / "u.TextGrid", phones)
        (tmp_path / "u.phn").write_text("0 4000 h#\n4000 8000 aa\n")
        (tmp_path / "u.ctm").write_text("u 1 0.0 0.25 sil\nu 1 0.25 0.25 AA1\n")
        write_audio(tmp_path / "speech.wav")
        return tmp_path

    @pytest.mark.parametrize("kind", ["segments", "alignment", "8 kHz", "TextGrid", "ctm"])
    @pytest.mark.parametrize("audio", ["array", "path", "(array, rate)"])
    def test_a_pair_of_audio_and_alignment(self, files, kind, audio):
        alignment = {
            "segments": SEGMENTS,
            "alignment": Alignment("u", [0, 4000], [4000, 8000], ("sil", "AA1")),
            "8 kHz": Alignment("u", [0, 2000], [2000, 4000], ("sil", "AA1"), 8000),
        }.get(kind, files / f"u.{kind}")
        source = {"array": noise(), "path": files / "speech.wav"}.get(audio, (noise(), 16_000))
        for pairs in ([(source, alignment)], (source, alignment)):
            found = load_corpus(pairs, sampling_rate=16_000)[0].alignment
            assert (found.starts.tolist(), found.ends.tolist()) == ([0, 4000], [4000, 8000])
            assert found.labels == ("sil", "AA1")

    def test_labels_of_timit(self, files):
        corpus = load_corpus([(noise(), files / "u.phn")], sampling_rate=16_000)
        assert (corpus.phone_set.name, corpus[0].alignment.labels) == ("timit-39", ("h#", "aa"))

    def test_a_list_of_files_has_what_is_next_to_them(self, tmp_path):
        for name in ("a/one.wav", "b/one.wav"):
            write_audio(tmp_path / name)
        (tmp_path / "a" / "one.phn").write_text("0 4000 h#\n4000 8000 iy\n")
        (tmp_path / "b" / "one.txt").write_text("Hello there")
        corpus = load_corpus([tmp_path / "a" / "one.wav", str(tmp_path / "b" / "one.wav")])
        assert [utterance.id for utterance in corpus] == ["a/one", "b/one"]
        assert [utterance.alignment is None for utterance in corpus] == [False, True]
        assert corpus[1].text == "Hello there"
        alone = load_corpus([str(tmp_path / "a" / "one.wav")])
        assert [utterance.id for utterance in alone] == ["one"]

    def test_alignments_elsewhere(self, files):
        corpus = load_corpus(
            [{"bytes": wav(noise()), "path": "u.wav"}, files / "speech.wav"], alignments=files / "u.ctm"
        )
        assert [utterance.alignment is None for utterance in corpus] == [False, True]

    def test_the_tier_is_named(self, tmp_path):
        write_textgrid(tmp_path / "one.TextGrid", Alignment("u", [0], [8000], ("AA1",)))
        text = (tmp_path / "one.TextGrid").read_text().replace('"phones"', '"MAU"')
        (tmp_path / "one.TextGrid").write_text(text)
        write_audio(tmp_path / "one.wav")
        assert load_corpus(tmp_path, tier="MAU")[0].alignment.labels == ("AA1",)
        assert load_corpus([tmp_path / "one.wav"], tier="MAU", streaming=True)[0].alignment.labels == ("AA1",)
        with pytest.raises(AlignmentError, match=r"no tier 'phones'; its tiers: MAU; tier .* names one"):
            load_corpus(tmp_path)

    def test_gaps_are_refused_by_default(self):
        pair = (noise(), [(0.1, 0.2, "B"), (0.3, 0.4, "AA1")])
        with pytest.raises(AlignmentError, match=r"'AA1' starts at 0.3000 s, after the end of 'B' .* gaps \(--gaps\)"):
            load_corpus([pair], sampling_rate=16_000)
        for gaps, labels in (("unlabelled", ("B", "AA1")), ("silence", ("sil", "B", "sil", "AA1", "sil"))):
            assert load_corpus([pair], sampling_rate=16_000, gaps=gaps)[0].alignment.labels == labels


class Audio:
    """Ways in which a dataset holds audio."""

    @staticmethod
    def encoded(clips):
        return [{"bytes": wav(clip), "path": None} for clip in clips]

    @staticmethod
    def arrays(clips):
        return [{"array": clip.tolist(), "sampling_rate": 16_000} for clip in clips]

    @staticmethod
    def numbers(clips):
        return [clip.tolist() for clip in clips]


class TestDatasets:
    def dataset(self, form="encoded", count=3):
        clips = [noise(seed) for seed in range(count)]
        return datasets.Dataset.from_dict(
            {
                "audio": getattr(Audio, form)(clips),
                "id": [f"u{index}" for index in range(count)],
                "speaker_id": [1, 2, 3][:count],
                "sex": ["F", "male", None][:count],
                "text": ["A", "B", "C"][:count],
                "phonemes": [PHONES, [], PHONES][:count],
                "more": [0] * count,
            }
        )

    @pytest.mark.parametrize("streaming", [False, True])
    @pytest.mark.parametrize("form", ["encoded", "arrays", "numbers"])
    def test_every_way_to_hold_audio(self, form, streaming):
        corpus = load_corpus(self.dataset(form), streaming=streaming, sampling_rate=16_000)
        assert corpus.is_streaming == streaming
        utterances = list(corpus)
        for index, utterance in enumerate(utterances):
            np.testing.assert_array_equal(read_audio(utterance.audio), noise(index))
        assert [(one.id, one.speaker, one.gender, one.text) for one in utterances] == [
            ("u0", "1", "f", "A"), ("u1", "2", "m", "B"), ("u2", "3", None, "C"),
        ]  # fmt: skip
        assert [one.alignment is None for one in utterances] == [False, True, False]
        assert utterances[0].alignment.labels == ("sil", "AA1")
        assert corpus.missing_alignments == 1

    def test_an_audio_column_that_decodes_is_not_decoded(self):
        dataset = self.dataset().cast_column("audio", datasets.Audio(sampling_rate=16_000))
        np.testing.assert_array_equal(samples_of(load_corpus(dataset)), [noise(seed) for seed in range(3)])
        renamed = dataset.rename_column("audio", "take").with_format("torch")
        assert len(load_corpus(renamed, limit=2)) == 2

    def test_a_column_of_paths(self, tmp_path):
        paths = [str(write_audio(tmp_path / f"{name}.wav")) for name in "ab"]
        corpus = load_corpus(datasets.Dataset.from_dict({"audio": paths}))
        assert [utterance.id for utterance in corpus] == ["a", "b"]

    def test_rows_that_were_selected_and_shuffled_keep_their_audio(self):
        dataset = self.dataset().select([2, 0])
        corpus = load_corpus(dataset)
        np.testing.assert_array_equal(samples_of(corpus), [noise(2), noise(0)])
        assert [utterance.id for utterance in corpus] == ["u2", "u0"]

    def test_a_stream_of_unknown_features(self):
        def rows():
            for seed in range(2):
                yield {"audio": {"array": noise(seed), "sampling_rate": 16_000}, "id": f"u{seed}"}

        for stream in (
            datasets.IterableDataset.from_generator(rows),
            self.dataset("arrays", 2).to_iterable_dataset().map(lambda row: {"text": row["text"]}),
        ):
            corpus = load_corpus(stream)
            np.testing.assert_array_equal(samples_of(corpus), [noise(0), noise(1)])
            assert [utterance.id for utterance in corpus.limit(1)] == ["u0"]

    def test_a_split_is_named(self):
        parts = datasets.DatasetDict({"train": self.dataset(), "test": self.dataset(count=2)})
        corpus = load_corpus(parts, split="test")
        assert (len(corpus), corpus.split) == (2, "test")
        assert load_corpus(datasets.DatasetDict(dev=self.dataset())).split == "dev"
        with pytest.raises(CorpusError, match=r"the splits train, test; name one with split"):
            load_corpus(parts)
        with pytest.raises(CorpusError, match="split 'x' does not apply to a Dataset"):
            load_corpus(self.dataset(), split="x")

    def test_saved_to_disk(self, tmp_path):
        self.dataset().save_to_disk(tmp_path / "saved")
        datasets.DatasetDict(dev=self.dataset()).save_to_disk(tmp_path / "parts")
        for corpus in (load_corpus(tmp_path / "saved"), load_corpus(tmp_path / "parts", split="dev")):
            np.testing.assert_array_equal(samples_of(corpus), [noise(seed) for seed in range(3)])
        assert corpus.name == "parts"

    def test_phones_as_a_mapping_of_lists_and_in_another_form(self):
        rows = {"audio": Audio.encoded([noise()]), "phones": [{"start": [0.0], "end": [0.5], "phoneme": ["B"]}]}
        assert load_corpus(datasets.Dataset.from_dict(rows))[0].alignment.labels[0] == "B"
        for phones in ("AA B", ["AA", "B"]):
            with pytest.raises(AlignmentError, match=r"00000000: phones must be a list of \{start, end, phoneme\}"):
                load_corpus(datasets.Dataset.from_dict(rows | {"phones": [phones]}))

    def test_a_corpus_of_other_columns_is_refused(self):
        with pytest.raises(CorpusError, match=r"load_corpus\(dataset\) makes one .* this one has audio, id, "):
            Corpus("mine", None, self.dataset(), phone_set("timit-39"))


STEREO = np.zeros((2, 8000), np.float32)


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ([], CorpusError, "the list of recordings is empty; give at least one"),
        ([noise(), np.full(8000, np.nan)], AudioError, "recording 1: holds NaN or infinite samples"),
        ([np.full(8000, np.inf)], AudioError, "recording 0: holds NaN or infinite samples"),
        ([np.arange(8000)], AudioError, "recording 0: holds int64 values; give floats in -1 .. 1, or int16"),
        ([np.zeros((100, 100))], AudioError, r"recording 0: has the shape \(100, 100\); give one array per recording"),
        ([np.zeros((2, 3, 4))], AudioError, r"recording 0: has the shape \(2, 3, 4\)"),
        (STEREO, CorpusError, r"an array of shape \(2, 8000\) may be recordings or channels; pass a list"),
        ([noise(), None], TypeError, "recording 1 is None; a corpus is a name, .*, or a list of recordings: paths, "),
        ([noise(), [0.1, 0.2]], TypeError, "recording 1 is a list; a corpus is"),
        ([(noise(), "hello")], TypeError, "recording 0: 'hello' is not an alignment; give an Alignment, the path"),
        ([(noise(), [(0, "a")])], TypeError, "recording 0: a list is not an alignment"),
        ([(noise(), 8000), (noise(), 16_000)], CorpusError, "different sampling rates, 8000, 16000 Hz; resample them"),
        ([(noise(), "none.ctm")], AlignmentError, "none.ctm: no such file of alignments"),
        (pandas.DataFrame({"a": [1]}), TypeError, "; got a DataFrame"),
        ([(noise(), 0)], CorpusError, "a sampling rate is a whole number of Hz above 0, got 0"),
        ([(noise(), 16_000.5)], CorpusError, "a sampling rate is a whole number of Hz above 0, got 16000.5"),
        ([{"text": "no audio"}], TypeError, "recording 0 is a dict; audio is a path, an array, "),
        (["none.wav"], CorpusError, "recording 0: none.wav: no such audio file"),
        (None, TypeError, "a corpus is a name, a folder, .* or a list of recordings: .*; got None"),
        (17, TypeError, "got 17"),
        (torch.utils.data.DataLoader([0]), TypeError, "; got a DataLoader"),
        ({"a": 1}, TypeError, "got a dict"),
        (datasets.Dataset.from_dict({"text": ["a"]}), CorpusError, "dataset: has no audio column; its columns: text"),
        (datasets.Dataset.from_dict({"audio": []}), CorpusError, "the dataset has no rows"),
    ],
)  # fmt: skip
def test_errors(source, error, message):
    with pytest.raises(error, match=message) as caught:
        load_corpus(source, sampling_rate=16_000)
    assert "\n" not in str(caught.value)


def test_errors_of_options(tmp_path):
    audio = write_audio(tmp_path / "one.wav")
    with pytest.raises(CorpusError, match="recording 0: an array needs its sampling rate; pass sampling_rate="):
        load_corpus([noise()])
    with pytest.raises(CorpusError, match="have the same id, one"):
        load_corpus([audio, audio])
    with pytest.raises(CorpusError, match="row 0 of dataset: an array needs its sampling rate"):
        load_corpus(datasets.Dataset.from_dict({"audio": [noise().tolist()]}))
    with pytest.raises(AlignmentError, match="00000000: 'B' ends at 9.0000 s, but the audio is 0.5000 s long"):
        load_corpus([(noise(), [(0.0, 9.0, "B")])], sampling_rate=16_000)
    with pytest.raises(AlignmentError, match="segment 1 is 'xyz', not a label of the phone set arpabet-39"):
        load_corpus([(noise(), [(0.0, 0.5, "xyz")])], sampling_rate=16_000)
    with pytest.raises(ConfigurationError, match="gaps must be one of refuse, unlabelled, silence, got 'fill'"):
        load_corpus([noise()], sampling_rate=16_000, gaps="fill")
    corpus = load_corpus([noise()], sampling_rate=16_000)
    for source, options, what in (
        (corpus, {"phone_set": "timit-39"}, "phone_set does not apply to a Corpus"),
        ([noise()], {"data_dir": tmp_path}, "data_dir does not apply to a corpus in memory"),
        ([noise()], {"split": "train"}, "split does not apply to a list of recordings"),
        (tmp_path, {"sampling_rate": 8000}, "sampling_rate does not apply to a corpus given by name or folder"),
        (tmp_path, {"configuration": "en"}, "configuration does not apply to a corpus on disk"),
    ):
        with pytest.raises(CorpusError, match=what):
            load_corpus(source, **options)
