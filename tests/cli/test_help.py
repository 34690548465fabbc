"""What `--help` prints: nothing swallowed by markup, nothing broken in the middle, the README's table of commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from sat_probe.cli import COMMANDS, app, run

STYLES = {"bold", "/bold", "dim", "/dim"}
README = Path(__file__).parents[2] / "README.md"


@pytest.mark.parametrize("name", COMMANDS)
def test_no_words_in_brackets_are_taken_for_markup(name):
    command = typer.main.get_command(app).commands[name]
    texts = [command.help, *(getattr(parameter, "help", None) or "" for parameter in command.params)]
    for text in texts:
        assert set(re.findall(r"(?<!\\)\[([a-z#/@][^\]]*)\]", text)) <= STYLES, text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_parameter_is_explained(name):
    command = typer.main.get_command(app).commands[name]
    assert [parameter.name for parameter in command.params if not parameter.help] == []


def test_defaults_that_are_no_values_are_shown(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "240")
    assert run(["analyze", "--help"]) == 0
    assert "[default: (next to the audio)]" in capsys.readouterr().out
    assert run(["compare", "--help"]) == 0
    assert "OWNER/NAME[:MODEL[@REVISION]]" in capsys.readouterr().out


def test_paragraphs_fill_the_terminal_and_examples_keep_their_lines(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "240")
    assert run(["analyze", "--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert any("heads.parquet to compute with, figures and provenance" in line for line in lines)
    assert lines[lines.index("# the bundled model on the bundled speech, no network needed") + 1] == (
        "sat-probe analyze"
    )


def test_commands_stand_in_the_order_of_the_readme():
    table = re.findall(r"^\| `sat-probe ([\w-]+)` \|", README.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert list(COMMANDS) == table


def test_commands_on_phones_take_alignments_that_lie_elsewhere():
    commands = typer.main.get_command(app).commands
    for name in ("analyze", "segment", "importance", "refine"):
        assert "--alignments" in {option for parameter in commands[name].params for option in parameter.opts}
