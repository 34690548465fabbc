"""`sat-probe demo` from the shell: it serves until Ctrl-C, and says in one line what is missing."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from sat_probe.cli import run
from sat_probe.studies.choices import ModelChoice


def test_it_serves_until_interrupted():
    command = [sys.executable, "-m", "sat_probe", "demo", "--json", "--model", "org/one", "--max-seconds", "5"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # shells start background jobs with Ctrl-C ignored, and children inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        address = json.loads(process.stdout.readline())["url"]
        page = urllib.request.urlopen(address, timeout=60).read().decode()
        assert "up to 5 s" in page
        assert "org/one" in page
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


def test_without_gradio_it_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("sat_probe.demo.find_spec", lambda name: None)
    assert run(["demo"]) == 1
    assert "pip install -c constraints.txt '.[demo]'" in capsys.readouterr().err


def test_a_port_that_is_taken_is_one_line(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run(["demo", "--port", str(port)]) == 1
    assert f"port {port}: choose another port" in capsys.readouterr().err


def test_a_report_that_is_not_there_is_one_line_at_the_start(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sat_probe.demo.app.serve", lambda *_, **__: pytest.fail("served all the same"))
    (tmp_path / "empty").mkdir()
    for source in ("nowhere", "./nowhere", str(tmp_path / "nowhere"), str(tmp_path / "empty")):
        assert run(["demo", "--report", source]) == 1
        error = capsys.readouterr().err
        assert error.startswith("Error: ")
        assert Path(source).name in error
        assert error.count("\n") == 1


@pytest.mark.parametrize("options", [["--max-seconds", "0"], ["--port", "many"]])
def test_wrong_usage_is_status_2(options):
    assert run(["demo", *options]) == 2


def test_models_are_offered_with_the_options_of_the_model_group(monkeypatch):
    taken = []

    def serve(settings, **_):
        taken.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr("sat_probe.demo.app.serve", serve)
    own = ["org/one", "--revision", "v1", "--device", "cpu", "--model", "org/two@v2"]
    assert run(["demo", *own]) == 130
    (settings,) = taken
    assert next(iter(settings.models)) == "org/one"
    assert settings.models["org/one"] == ModelChoice("org/one", "v1", device="cpu")
    assert settings.models["org/two@v2"] == ModelChoice("org/two", "v2", device="cpu")
    assert all(choice.device == "cpu" for choice in settings.models.values())
    assert run(["demo"]) == 130
    assert next(iter(taken[1].models.values())).is_bundled
