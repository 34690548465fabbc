"""`sat-probe convert-mockingjay` on the command line."""

from __future__ import annotations

import json

import pytest
from transformers import AutoModel

from sat_probe.cli import run
from tests.models.mockingjay.originals import checkpoint, save


@pytest.fixture
def states(tmp_path, monkeypatch):
    return save(checkpoint("s3prl"), tmp_path / "states.ckpt", monkeypatch)


def test_it_writes_a_folder_and_says_what_is_in_it(states, tmp_path, capsys):
    assert run(["convert-mockingjay", str(states), str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    model = AutoModel.from_pretrained(tmp_path / "out")
    assert "2 layers x 3 heads" in printed
    assert "reads online_log_mel (80 values per frame)" in printed
    assert model.config.num_attention_heads == 3


def test_json(states, tmp_path, capsys):
    arguments = ["convert-mockingjay", str(states), str(tmp_path / "out"), "--json", "--chunked", "--with-code"]
    assert run(arguments) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["generation"] == "s3prl"
    assert written["folder"] == str(tmp_path / "out")
    assert AutoModel.from_pretrained(tmp_path / "out").config.chunk_length == 12
    assert (tmp_path / "out" / "modeling_mockingjay.py").is_file()


def test_errors_are_one_line(states, tmp_path, capsys):
    states.write_bytes(states.read_bytes()[:1000])
    assert run(["convert-mockingjay", str(states), str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"Error: {states} cannot be read: it is truncated")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    assert run(["convert-mockingjay", str(states)]) == 2
