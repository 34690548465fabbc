"""Uploads are checked before they are read, and deleted afterwards."""

from __future__ import annotations

import shutil
import wave
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
import soundfile
from gradio.data_classes import FileData

from sat_probe.demo.compare import tab as compare_tab
from sat_probe.demo.settings import DemoSettings
from sat_probe.demo.uploads import accept_uploads_only, delete_upload, file_name, read_upload
from sat_probe.errors import AudioError, ReportError
from tests.hub.made_reports import made_report

SETTINGS = DemoSettings(max_seconds=2.0, max_upload_bytes=300_000)
NOISE = 0.1 * np.random.default_rng(0).standard_normal(16_000)


@pytest.fixture
def component(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with gr.Blocks():
        file = gr.File(type="filepath", file_types=[".TextGrid", ".phn"])
    accept_uploads_only(file)
    return file


def sent(folder: Path, name: str) -> Path:
    path = folder / ("0a" * 32) / name  # Gradio makes a folder for each file
    path.parent.mkdir()
    path.write_text("0 1 a")
    return path


def test_a_file_of_another_type_is_deleted_at_once(component, tmp_path):
    path = sent(tmp_path, "speech.exe")
    with pytest.raises(gr.Error, match=r"of type \.TextGrid or \.phn"):
        component.preprocess(FileData(path=str(path)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.TextGrid", "a.textgrid", "b.PHN"])
def test_an_accepted_file_leaves_no_other_file(component, tmp_path, name):
    path = sent(tmp_path, name)
    assert component.preprocess(FileData(path=str(path))) == str(path)
    assert component.preprocess(None) is None
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]
    delete_upload(path)
    delete_upload(path)
    delete_upload(None)
    assert not list(tmp_path.iterdir())


def test_only_a_folder_made_by_gradio_is_deleted(tmp_path):
    shutil.copy(__file__, tmp_path / "mine.wav")
    delete_upload(tmp_path / "mine.wav")
    assert tmp_path.is_dir()
    first, second = sent(tmp_path, "one.wav"), tmp_path / ("0a" * 32) / "two.wav"
    second.write_text("the same")
    delete_upload(first)
    assert second.exists()


def test_addresses_are_not_fetched(component):
    with pytest.raises(gr.Error, match="not an address"):
        component.async_move_resource_to_block_cache("https://example.org/a.phn").send(None)


def test_uploaded_tables_are_deleted_and_kept_in_the_session(tmp_path):
    good, other, bad = (str(tmp_path / name) for name in ("good.csv", "other.csv", "bad.csv"))
    made_report(seed=1).heads.to_csv(good, index=False)
    made_report(seed=2).heads.to_csv(other, index=False)
    Path(bad).write_text("a,b\n1,2\n")
    with pytest.raises(ReportError, match=r"bad\.csv"):
        compare_tab.with_uploads({}, good, bad)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.csv", "other.csv"]
    tables = compare_tab.with_uploads({}, good, None)
    assert list(tables) == [good]
    again = compare_tab.with_uploads(tables, good, other)
    assert again[good] is tables[good], "although its file is deleted"
    assert not list(tmp_path.iterdir())
    assert compare_tab.with_uploads(again, None, None) == {}


def written(path, samples, rate=16_000, **options):
    soundfile.write(path, samples, rate, **options)
    return path


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
def test_common_formats_are_read(tmp_path, name):
    assert len(read_upload(written(tmp_path / name, NOISE), 16_000, SETTINGS)) == 16_000


def test_rates_and_channels_are_converted(tmp_path):
    narrow = read_upload(written(tmp_path / "8k.wav", NOISE[:8000], 8000), 16_000, SETTINGS)
    assert narrow.shape == (16_000,)
    six = written(tmp_path / "six.wav", np.tile(NOISE[:, None], 6))
    np.testing.assert_allclose(read_upload(six, 16_000, SETTINGS), NOISE, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("no audio at all"), "cannot be read as audio; use WAV, FLAC, MP3 or Ogg"),
        (lambda path: path.write_bytes(b""), "cannot be read as audio"),
        (lambda path: path.write_bytes(b"\0" * 400_000), "is too large; the limit is 0.286 MB"),
        (lambda path: written(path, np.zeros(16_000)), "contains only silence"),
        (lambda path: written(path, NOISE[:100]), "too short"),
        (lambda path: written(path, np.tile(NOISE[:, None], 9)[:2000]), "has 9 channels; the limit is 8"),
        (lambda path: written(path, NOISE[:2000], 200), "a sampling rate of 200 Hz is not supported"),
        (lambda path: written(path, np.zeros(48_000), subtype="PCM_U8"), "3.0 s is too long; the limit is 2 s"),
        (lambda path: written(path, np.full(2000, np.nan), subtype="FLOAT"), "NaN"),
    ],
)
def test_bad_recordings_are_refused_with_their_name(tmp_path, make, message):
    path = tmp_path / "bad.wav"
    make(path)
    with pytest.raises(AudioError, match=f"^bad.wav: .*{message}"):
        read_upload(path, 16_000, SETTINGS)


def test_two_hours_are_refused_without_decoding(tmp_path, monkeypatch):
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 16_000, 1) as file:
        for _ in range(121):
            file.write(np.zeros(16_000 * 60))
    monkeypatch.setattr("sat_probe.demo.uploads.read_audio", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(AudioError, match="121 min is too long"):
        read_upload(path, 16_000, DemoSettings())


def test_a_wrong_length_in_the_header_reads_only_what_is_there(tmp_path):
    path = tmp_path / "liar.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((NOISE * 32_767).astype("<i2").tobytes())
    content = bytearray(path.read_bytes())
    content[40:44] = (2**31 - 2).to_bytes(4, "little")  # the length of the data chunk
    path.write_bytes(content)
    assert len(read_upload(path, 16_000, SETTINGS)) <= 16_000


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("../../etc/passwd", "passwd"),
        (r"..\..\x.wav", "x.wav"),
        ("a\nb.wav", "ab.wav"),
        ("y" * 99, "y" * 40 + "…" + "y" * 15),
    ],
)
def test_file_names_have_no_folders_and_are_short(path, name):
    assert file_name(path) == name
