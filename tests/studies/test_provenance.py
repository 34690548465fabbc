"""What a report says about where it comes from."""

from __future__ import annotations

import pytest

from sat_probe.studies.run_options import command_line


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["analyze", "/home/me/model", "--output", "/home/me/out"], "analyze model --output out"),
        (["analyze", "--output=/home/me/out"], "analyze --output=out"),
        (["reproduce", "--set", "pretraining.config=/etc/own.yaml"], "reproduce --set pretraining.config=own.yaml"),
        (["analyze", "org/model", "--dataset", "../speech"], "analyze org/model --dataset ../speech"),
    ],
)
def test_the_command_tells_no_place_of_this_machine(monkeypatch, arguments, shown):
    monkeypatch.setattr("sys.argv", ["/opt/bin/sat-probe", *arguments])
    assert command_line() == f"sat-probe {shown}"


def test_other_programs_have_no_command(monkeypatch):
    monkeypatch.setattr("sys.argv", ["/usr/bin/pytest", "-q"])
    assert command_line() is None
