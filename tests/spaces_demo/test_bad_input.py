"""Bad input to the running head explorer: one clear line each, and the app keeps running."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from benchmarks.demo import MODEL, RATE, Space, analyzed, recording
from sat_probe.demo.clips import examples
from tests.spaces_demo.plain_requests import called

EXAMPLE = next(iter(examples()))
NOISE = np.random.default_rng(0).normal(0, 0.1, (RATE, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def client(explorer) -> Client:
    return explorer.client()


def written(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    soundfile.write(path, samples, rate, subtype="FLOAT")
    return path


def two_hours(path: Path) -> Path:
    """Two hours of digital silence: some ten kilobytes of FLAC."""
    with soundfile.SoundFile(path, "w", 8_000, 1, "PCM_16") as file:
        for _ in range(120):
            file.write(np.zeros(60 * 8_000, np.int16))
    return path


def uploads_of(space: Space) -> set[Path]:
    """Return the uploads that the Space keeps on its disk."""
    return {path for path in Path(space.process.environ()["GRADIO_TEMP_DIR"]).rglob("*") if path.is_file()}


def text_file(path: Path) -> Path:
    path.write_text("This is not audio at all.\n" * 40, encoding="utf-8")
    return path


REFUSED = {
    "text named .wav": (lambda folder: text_file(folder / "speech.wav"), r"speech\.wav: cannot be read as audio"),
    "two hours": (
        lambda folder: two_hours(folder / "long.flac"),
        r"long\.flac: 120 min is too long; the limit is 20 s",
    ),
    "silence": (lambda folder: written(folder / "hush.wav", np.zeros(RATE)), r"hush\.wav: .*silence"),
    "9 channels": (
        lambda folder: written(folder / "nine.wav", np.repeat(NOISE, 9, axis=1)),
        r"nine\.wav: has 9 channels; the limit is 8",
    ),
    "20 ms": (lambda folder: written(folder / "short.wav", NOISE[:320]), r"short\.wav"),
    "NaN": (lambda folder: written(folder / "nan.wav", np.full(RATE, np.nan)), r"nan\.wav"),
    "empty": (lambda folder: written(folder / "empty.wav", NOISE[:0]), r"empty\.wav"),
    "markup in the name": (lambda folder: text_file(folder / "<img src=x onerror=alert(1)>.wav"), r"cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_recordings_are_refused_in_one_line_and_deleted(client, explorer, tmp_path, case):
    make, message = REFUSED[case]
    before = uploads_of(explorer)
    with pytest.raises(AppError, match=message) as raised:
        analyzed(client, make(tmp_path))
    line = str(raised.value)
    assert "\n" not in line
    assert uploads_of(explorer) == before
    assert not re.search(r"Traceback|/tmp|<img|site-packages", line)


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 6), (48_000, 2)])
def test_other_rates_and_channels_are_analyzed(client, tmp_path, rate, channels):
    samples = np.repeat(np.resize(NOISE, (rate, 1)), channels, axis=1)
    status, heads = analyzed(client, written(tmp_path / "other.wav", samples, rate))
    assert "other.wav: 1.0 s" in status
    assert len({(head["layer"], head["head"]) for head in heads}) == len(heads) > 1


@pytest.mark.parametrize("model", ["org/evil", "../../etc/passwd", "/etc", "", MODEL.lower(), ["x"], None, 7])
def test_models_that_are_not_listed_cannot_be_run(client, tmp_path, model):
    with pytest.raises(AppError) as raised:
        client.predict(
            label=model, recording=handle_file(str(recording(tmp_path, 0.5, 0))), alignment=None, api_name="/analyze"
        )
    assert "\n" not in str(raised.value)
    assert not re.search(r"Traceback|site-packages|404|Hub", str(raised.value))


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "app.py",
        "../../../../etc/passwd",
        "{package}/demo/settings.py",
        "{package}/data/report/report.json",
    ],
)
def test_no_file_of_the_machine_is_served_or_read(client, explorer, path):
    import sat_probe

    path = path.format(package=Path(sat_probe.__file__).parent)
    for route in ("gradio_api/file=", "gradio_api/file/", "file=", "gradio_api/stream/", "static/../"):
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(explorer.url + route + urllib.request.quote(path, safe="/."), timeout=30)
        assert raised.value.code in {403, 404, 405, 422}, route
    sent = {"path": path, "meta": {"_type": "gradio.FileData"}, "orig_name": "speech.wav"}
    answer = called(explorer.url, "analyze", [MODEL, EXAMPLE, sent, None, 0.32, 1.5])
    assert answer.startswith("event: error")
    assert not re.search("root:|audio|Traceback", answer)


def test_paths_in_upload_names_are_ignored(client, explorer, tmp_path):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="../../../../tmp/climbed.wav"\r\n'
        b"Content-Type: audio/wav\r\n\r\n" + recording(tmp_path, 0.5, 1).read_bytes() + b"\r\n--x--\r\n"
    )
    request = urllib.request.Request(
        f"{explorer.url}gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=x"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        stored = answer.read().decode()
    assert ".." not in stored
    assert not Path("/tmp/climbed.wav").exists()


def test_a_file_above_the_limit_is_refused(explorer):
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="big.wav"\r\n\r\n'
    body += bytes(17 * 2**20) + b"\r\n--x--\r\n"
    request = urllib.request.Request(
        f"{explorer.url}gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=x"}
    )
    with pytest.raises((urllib.error.HTTPError, ConnectionError)) as raised:
        urllib.request.urlopen(request, timeout=60)
    if isinstance(raised.value, urllib.error.HTTPError):
        assert raised.value.code == 413


def test_a_recording_is_deleted_after_reading(client, explorer, tmp_path):
    analyzed(client, recording(tmp_path, 0.5, 3))
    assert "visitor-3.wav" not in {path.name for path in uploads_of(explorer)}


def test_bad_phones_leave_the_recording_analyzed(client, explorer, tmp_path):
    (tmp_path / "a.phn").write_text("not an alignment")
    before = uploads_of(explorer)
    status, _, boundaries = client.predict(
        label=MODEL,
        recording=handle_file(str(recording(tmp_path, 0.5, 4))),
        alignment=handle_file(str(tmp_path / "a.phn")),
        api_name="/analyze",
    )
    assert "visitor-4.wav" in status
    assert "Scores need the phones" in boundaries
    assert uploads_of(explorer) == before
