"""Errors reach visitors as one line of escaped text, without folders of this machine."""

from __future__ import annotations

import inspect

import gradio as gr
import pytest
from gradio.helpers import special_args

from sat_probe.demo.errors import UNEXPECTED, guard, message_html
from sat_probe.demo.settings import DemoSettings
from sat_probe.errors import AudioError, ModelError

SETTINGS = DemoSettings()


def test_sat_probe_errors_become_one_line_of_escaped_text():
    def refuse(path: str) -> None:
        raise AudioError(f"/var/lib/secret folder/{path}\nis <b>bad</b>")

    with pytest.raises(gr.Error) as raised:
        guard(refuse)("<img src=x onerror=alert(1)>.wav")
    assert raised.value.message == "&lt;img src=x onerror=alert(1)&gt;.wav is &lt;b&gt;bad&lt;/b&gt;"
    assert not raised.value.print_exception


def test_unexpected_errors_are_logged_and_not_shown(caplog):
    def fail() -> None:
        raise RuntimeError("/home/operator/token=abc")

    with pytest.raises(gr.Error) as raised:
        guard(fail)()
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
def test_messages_contain_file_names_without_folders(message, line):
    assert message_html(message) == line


def test_gradio_does_not_see_bound_arguments():
    def callback(settings: DemoSettings, text: str, event: gr.EventData) -> tuple[object, ...]:
        return settings, text, event

    wrapped = guard(callback, SETTINGS)
    assert list(inspect.signature(wrapped).parameters) == ["text", "event"]
    told = gr.EventData(None, {"head": 3})
    inputs, *_ = special_args(wrapped, ["typed"], event_data=told)
    settings, text, event = wrapped(*inputs)
    assert (settings, text, event.head) == (SETTINGS, "typed", 3)


def test_model_errors_keep_their_message():
    def load() -> None:
        raise ModelError("org/model: no such model on the Hub")

    with pytest.raises(gr.Error, match="org/model: no such model on the Hub"):
        guard(load)()
