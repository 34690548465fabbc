"""Whatever visitors send, they read one calm line, and nothing of this machine or of their own markup."""

from __future__ import annotations

import inspect
import wave

import gradio as gr
import numpy as np
import pytest
import soundfile
from gradio.helpers import special_args

from sat_probe.demo.errors_and_uploads import UNEXPECTED, guarded, one_line, read_upload, shown_name
from sat_probe.demo.settings import DemoSettings, ModelChoice
from sat_probe.errors import AudioError, ConfigurationError, ModelError

SETTINGS = DemoSettings(models=(ModelChoice("bundled"),), max_seconds=2.0, max_upload_bytes=300_000)
NOISE = 0.1 * np.random.default_rng(0).standard_normal(16_000)


def written(path, samples, rate=16_000, **options):
    soundfile.write(path, samples, rate, **options)
    return path


def test_what_was_foreseen_becomes_one_line_of_text():
    def refuse(path: str) -> None:
        raise AudioError(f"/var/lib/secret folder/{path}\nis <b>bad</b>")

    with pytest.raises(gr.Error) as raised:
        guarded(refuse)("<img src=x onerror=alert(1)>.wav")
    assert raised.value.message == "&lt;img src=x onerror=alert(1)&gt;.wav is &lt;b&gt;bad&lt;/b&gt;"
    assert not raised.value.print_exception


def test_what_was_not_foreseen_is_logged_and_not_shown(caplog):
    def fail() -> None:
        raise RuntimeError("/home/operator/token=abc")

    with pytest.raises(gr.Error) as raised:
        guarded(fail)()
    assert raised.value.message == UNEXPECTED
    assert "fail failed" in caplog.text


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("/tmp/gradio/0a1b/a.wav: no such audio file", "a.wav: no such audio file"),
        ("org/model: has no such revision", "org/model: has no such revision"),
        (r"C:\Users\me\a.wav: is empty", "a.wav: is empty"),
        ("at http://host/page", "at http://host/page"),
        ("x" * 1000, "x" * 400 + " …"),
    ],
)
def test_messages_name_files_and_not_folders(message, line):
    assert one_line(message) == line


def test_gradio_sees_the_callback_without_what_is_bound():
    def callback(settings: DemoSettings, text: str, event: gr.EventData) -> tuple[object, ...]:
        return settings, text, event

    wrapped = guarded(callback, SETTINGS)
    assert list(inspect.signature(wrapped).parameters) == ["text", "event"]
    told = gr.EventData(None, {"head": 3})
    inputs, *_ = special_args(wrapped, ["typed"], event_data=told)
    settings, text, event = wrapped(*inputs)
    assert (settings, text, event.head) == (SETTINGS, "typed", 3)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.ogg"])
def test_usual_formats_are_read(tmp_path, name):
    assert len(read_upload(written(tmp_path / name, NOISE), 16_000, SETTINGS)) == 16_000


def test_other_rates_and_channels_are_brought_to_one(tmp_path):
    narrow = read_upload(written(tmp_path / "8k.wav", NOISE[:8000], 8000), 16_000, SETTINGS)
    assert narrow.shape == (16_000,)
    six = written(tmp_path / "six.wav", np.tile(NOISE[:, None], 6))
    np.testing.assert_allclose(read_upload(six, 16_000, SETTINGS), NOISE, atol=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_text("no audio at all"), "cannot be read as audio; WAV, FLAC, MP3 and Ogg"),
        (lambda path: path.write_bytes(b""), "cannot be read as audio"),
        (lambda path: path.write_bytes(b"\0" * 400_000), "is too large, at most 0.286 MB"),
        (lambda path: written(path, np.zeros(16_000)), "nothing but silence"),
        (lambda path: written(path, NOISE[:100]), "too short"),
        (lambda path: written(path, np.tile(NOISE[:, None], 9)[:2000]), "9 channels are too many"),
        (lambda path: written(path, NOISE[:2000], 200), "200 Hz is no rate of recorded speech"),
        (lambda path: written(path, np.zeros(48_000), subtype="PCM_U8"), "3.0 s is too long, at most 2 s"),
        (lambda path: written(path, np.full(2000, np.nan), subtype="FLOAT"), "NaN"),
    ],
)
def test_bad_recordings_are_refused_by_name(tmp_path, make, message):
    path = tmp_path / "bad.wav"
    make(path)
    with pytest.raises(AudioError, match=f"^bad.wav: .*{message}"):
        read_upload(path, 16_000, SETTINGS)


def test_two_hours_are_refused_without_being_decoded(tmp_path, monkeypatch):
    path = tmp_path / "long.flac"
    with soundfile.SoundFile(path, "w", 16_000, 1) as file:
        for _ in range(121):
            file.write(np.zeros(16_000 * 60))
    monkeypatch.setattr(
        "sat_probe.demo.errors_and_uploads.read_audio", lambda *_: pytest.fail("it was decoded")
    )
    with pytest.raises(AudioError, match="121 min is too long"):
        read_upload(path, 16_000, DemoSettings(models=SETTINGS.models))


def test_a_header_that_lies_about_its_length_is_no_way_around(tmp_path):
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
def test_files_are_called_by_their_own_name(path, name):
    assert shown_name(path) == name


def test_only_what_the_operator_lists_can_be_run():
    offered = DemoSettings()
    assert offered.models[0].model is None, "the bundled model comes first"
    assert all(len(choice.revision or "") == 40 for choice in offered.models[1:]), "presets are pinned"
    assert offered.model(offered.models[1].label) is offered.models[1]
    for asked in ("someone/evil", "../../etc", ""):
        with pytest.raises(ConfigurationError, match="not offered here"):
            offered.model(asked)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ()}, "one or more"),
        ({"models": (ModelChoice("a"), ModelChoice("a", "b"))}, "own label"),
        ({"max_seconds": 0}, "max_seconds must be positive"),
        ({"concurrency": -1}, "concurrency must be positive"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        DemoSettings(**options)


def test_errors_of_models_keep_their_words():
    def load() -> None:
        raise ModelError("org/model: no such model on the Hub")

    with pytest.raises(gr.Error, match="org/model: no such model on the Hub"):
        guarded(load)()
