"""Corpora and alignments on the Hub, with the real clients and a local Hub."""

from __future__ import annotations

import shutil

import datasets
import huggingface_hub
import pyarrow
import pyarrow.parquet
import pytest

from sat_probe.errors import AlignmentError, CorpusError, HubError
from sat_probe.phones.alignment import Alignment
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.phones.readers.table import AlignmentTable
from sat_probe.phones.readers.textgrid import write_textgrid
from tests.conftest import LOCAL_HUB
from tests.local_hub import TOKEN

from .speech_files import write_audio

PHONES = [
    {"end": 0.2, "start": 0.1, "phoneme": "AH0"},
    {"end": 0.3, "start": 0.2, "phoneme": "B"},
    {"end": 0.45, "start": 0.4, "phoneme": "spn"},
]
ALIGNED = Alignment(
    "1-1-0", [0, 1600, 3200, 4800, 6400, 7200], [1600, 3200, 4800, 6400, 7200, 8000],
    ("sil", "AH0", "B", "sil", "spn", "sil"),
)  # fmt: skip


def rows(tmp_path, count=3):
    encoded = write_audio(tmp_path / "x.flac").read_bytes()
    return [
        {
            "id": f"1-1-{number}",
            "audio": {"bytes": encoded, "path": f"1-1-{number}.flac"},
            "transcript": f"WORD {number}",
            "sex": "F",
            "speaker_id": 1,
            "phonemes": PHONES if number != 1 else [],
        }
        for number in range(count)
    ]


def write_parquet(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(table), path)
    return path


def without(table, *columns):
    return [{name: value for name, value in row.items() if name not in columns} for row in table]


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty Hub with a corpus `me/speech` and a table of alignments `me/alignments`."""
    LOCAL_HUB.reset()
    for cache in ("hub", "datasets"):
        shutil.rmtree(LOCAL_HUB.folder / "home" / cache, ignore_errors=True)
    monkeypatch.setattr("datasets.config.USE_PARQUET_EXPORT", False)  # else it asks datasets-server.127.0.0.1
    huggingface_hub.HfFileSystem.clear_instance_cache()
    api = huggingface_hub.HfApi(token=TOKEN)
    table = rows(tmp_path)
    for name, content in (("speech", without(table, "phonemes")), ("alignments", without(table[:2], "audio", "sex"))):
        api.create_repo(f"me/{name}", repo_type="dataset")
        api.upload_file(
            path_or_fileobj=write_parquet(tmp_path / f"{name}.parquet", content),
            path_in_repo="data/test-00000-of-00001.parquet",
            repo_id=f"me/{name}",
            repo_type="dataset",
        )
    yield api
    LOCAL_HUB.reset()


def configuration(tmp_path, hub="repository: me/speech", alignments="repository: me/alignments"):
    path = tmp_path / "corpus.yaml"
    path.write_text(
        "description: d\nlicense: l\nhomepage: h\nlayout: librispeech\nphone_set: arpabet-39\n"
        f"hub: {{{hub}, columns: {{text: transcript}}, default_split: heldout, splits: {{heldout: test}}}}\n"
        f"alignments: {{{alignments}, default_split: heldout, splits: {{heldout: test}}}}\n"
    )
    return path


@pytest.mark.parametrize("streaming", [False, True])
def test_a_corpus_is_joined_with_its_alignments(hub, tmp_path, streaming):
    corpus = load_corpus(configuration(tmp_path), streaming=streaming)
    utterances = list(corpus)
    assert [utterance.id for utterance in utterances] == ["1-1-0", "1-1-1", "1-1-2"]
    assert [utterance.alignment for utterance in utterances] == [ALIGNED, None, None]  # one is empty, one not there
    assert corpus.missing_alignments == 2
    first = utterances[0]
    assert (first.speaker, first.gender, first.text, first.alignment.duration) == ("1", "f", "WORD 0", 8000)
    assert first.audio == (tmp_path / "x.flac").read_bytes()
    assert corpus.split == "heldout"


@pytest.mark.parametrize("streaming", [False, True])
def test_any_dataset_on_the_hub(hub, streaming):
    corpus = load_corpus("me/speech", streaming=streaming, limit=2)
    assert [(utterance.id, utterance.text) for utterance in corpus] == [("1-1-0", "WORD 0"), ("1-1-1", "WORD 1")]


@pytest.mark.parametrize("streaming", [False, True])
def test_rows_without_audio_are_kept(hub, tmp_path, streaming):
    table = without(rows(tmp_path, count=3), "phonemes")
    table[1]["audio"] = None
    table[2]["audio"] = {"bytes": None, "path": None}
    file = write_parquet(tmp_path / "holes.parquet", table).read_bytes()
    LOCAL_HUB.state.create("dataset", "me/holes", {"data/train-00000.parquet": file})
    utterances = list(load_corpus("me/holes", streaming=streaming))
    assert [utterance.audio for utterance in utterances] == [(tmp_path / "x.flac").read_bytes(), b"", b""]
    assert [utterance.id for utterance in utterances] == ["1-1-0", "1-1-1", "1-1-2"]


def test_an_audio_column_is_found_by_its_type(hub, tmp_path):
    table = [{"take": row["audio"], "text": "A"} for row in rows(tmp_path)]
    features = datasets.Features(
        {
            "take": {"bytes": datasets.Value("binary"), "path": datasets.Value("string")},
            "text": datasets.Value("string"),
        }
    )
    dataset = datasets.Dataset.from_list(table, features=features)
    dataset.cast_column("take", datasets.Audio(decode=False)).push_to_hub("me/takes", token=TOKEN)
    assert [utterance.id for utterance in load_corpus("me/takes")] == ["1-1-0", "1-1-1", "1-1-2"]


@pytest.mark.parametrize("streaming", [False, True])
def test_a_folder_of_tables_is_read_like_a_dataset(tmp_path, streaming):
    folder = tmp_path / "tables"
    write_parquet(folder / "data" / "train-00000-of-00001.parquet", rows(tmp_path))
    for split in (None, "train"):
        corpus = load_corpus(folder, split=split, streaming=streaming)
        assert [utterance.alignment is None for utterance in corpus] == [False, True, False]
    with pytest.raises(HubError, match=r"tables: cannot be loaded \(split 'dev'\)"):
        load_corpus(folder, split="dev", streaming=streaming)
    write_audio(folder / "one.wav")
    assert [utterance.id for utterance in load_corpus(folder, streaming=streaming)] == ["one"]


def test_a_configuration_is_chosen(hub, tmp_path):
    file = write_parquet(tmp_path / "x.parquet", rows(tmp_path)).read_bytes()
    card = (
        b"---\nconfigs:\n"
        b"- {config_name: en, data_files: en.parquet}\n- {config_name: de, data_files: de.parquet}\n---\n"
    )
    LOCAL_HUB.state.create("dataset", "me/tongues", {"README.md": card, "en.parquet": file, "de.parquet": file})
    with pytest.raises(CorpusError, match=r"has the configurations en, de; name one with configuration"):
        load_corpus("me/tongues")
    assert len(load_corpus("me/tongues", configuration="de")) == 3


def test_a_local_corpus_with_the_table_on_the_hub(hub, tmp_path):
    for number in range(2):
        write_audio(tmp_path / "tree" / "1" / "1" / f"1-1-{number}.flac")
    (tmp_path / "tree" / "1" / "1" / "1-1.trans.txt").write_text("1-1-0 A\n1-1-1 B\n")
    corpus = load_corpus(configuration(tmp_path), data_dir=tmp_path / "tree", alignments="hub")
    assert [utterance.alignment for utterance in corpus] == [ALIGNED, None]
    assert load_corpus(configuration(tmp_path), data_dir=tmp_path / "tree").missing_alignments == 2


@pytest.mark.parametrize(
    ("configured", "error", "message"),
    [
        ({"hub": "repository: me/none"}, HubError, r"me/none: cannot be loaded from the Hub \(split 'heldout'\)"),
        ({"hub": "repository: me/alignments"}, CorpusError, "me/alignments: has no audio column; its columns: id, "),
        ({"alignments": "repository: me/speech"}, AlignmentError, "me/speech: has no column phonemes"),
    ],
)
def test_errors(hub, tmp_path, configured, error, message):
    with pytest.raises(error, match=message):
        load_corpus(configuration(tmp_path, **configured))


def test_the_digest_of_a_streamed_dataset_changes_with_its_commit(hub, tmp_path):
    digests = [load_corpus("me/speech", streaming=True).digest for _ in range(2)]
    assert digests[0] == digests[1]
    assert digests[0] != load_corpus("me/speech", streaming=True, limit=2).digest
    file = write_parquet(tmp_path / "new.parquet", without(rows(tmp_path, count=2), "phonemes"))
    hub.upload_file(
        path_or_fileobj=file, path_in_repo="data/test-00000-of-00001.parquet", repo_id="me/speech", repo_type="dataset"
    )
    assert digests[0] != load_corpus("me/speech", streaming=True).digest


def test_textgrids_for_a_corpus_on_the_hub(hub, tmp_path):
    (tmp_path / "grids").mkdir()
    for number in range(2):
        write_textgrid(tmp_path / "grids" / f"1-1-{number}.TextGrid", Alignment("u", [0], [8000], ("AA1",)))
    corpus = load_corpus("me/speech", alignments=tmp_path / "grids")
    assert [utterance.alignment is None for utterance in corpus] == [False, False, True]
    write_textgrid(tmp_path / "grids" / "1-1-0.TextGrid", Alignment("u", [0], [8000], ("B",)))
    assert load_corpus("me/speech", alignments=tmp_path / "grids")[0].alignment.labels == ("B",)


def test_an_unknown_split(hub, tmp_path):
    with pytest.raises(HubError, match="split 'dev'"):
        load_corpus(configuration(tmp_path), split="dev")


class TestTable:
    def test_a_file_or_folder_of_tables_for_local_audio(self, tmp_path):
        for number in range(3):
            write_audio(tmp_path / "speech" / f"1-1-{number}.wav")
        table = rows(tmp_path)
        write_parquet(tmp_path / "table" / "a.parquet", table[:1])
        write_parquet(tmp_path / "table" / "b.parquet", table[1:])
        for streaming in (False, True):
            corpus = load_corpus(tmp_path / "speech", alignments=tmp_path / "table", streaming=streaming)
            labels = [utterance.alignment and utterance.alignment.labels for utterance in corpus]
            assert labels == [ALIGNED.labels, None, ALIGNED.labels]
            assert corpus.missing_alignments == 1
        single = load_corpus(tmp_path / "speech", alignments=tmp_path / "table" / "a.parquet", num_proc=2)
        assert single.missing_alignments == 2

    def test_gaps_option(self, tmp_path):
        write_audio(tmp_path / "speech" / "1-1-0.wav")
        table = write_parquet(tmp_path / "a.parquet", rows(tmp_path, 1))
        unlabelled = load_corpus(tmp_path / "speech", alignments=table, gaps="unlabelled")
        assert unlabelled[0].alignment.labels == ("AH0", "B", "spn")
        with pytest.raises(
            AlignmentError, match="1-1-0: segment 3, 'spn' starts at 0.4000 s, after the end of 'B' at 0.3000 s"
        ):
            load_corpus(tmp_path / "speech", alignments=table, gaps="refuse")

    def test_other_tables_are_refused(self, tmp_path):
        table = write_parquet(tmp_path / "a.parquet", without(rows(tmp_path), "phonemes"))
        with pytest.raises(AlignmentError, match=r"a\.parquet: .*phonemes"):
            AlignmentTable.from_parquet(table)
        (tmp_path / "b.parquet").write_bytes(b"nothing")
        with pytest.raises(AlignmentError, match=r"b\.parquet: is not a table"):
            AlignmentTable.from_parquet(tmp_path / "b.parquet")

    def test_phones_without_a_start_are_refused(self, tmp_path):
        write_audio(tmp_path / "speech" / "1-1-0.wav")
        broken = [{"id": "1-1-0", "phonemes": [{"phoneme": "B", "end": 0.5}]}]
        table = write_parquet(tmp_path / "a.parquet", broken)
        with pytest.raises(AlignmentError, match="1-1-0: a phone of its alignment has no 'start'; it has"):
            load_corpus(tmp_path / "speech", alignments=table)
