"""`sat-probe plot` draws a saved report again."""

from __future__ import annotations

import json

from sat_probe.cli import run
from tests.reports.report_to_draw import report_to_draw


def test_plot_draws_into_the_report_or_another_folder(tmp_path, capsys):
    folder = report_to_draw(aligned=False).save(tmp_path / "report", pictures=False)
    assert run(["plot", str(folder), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["page"] == str(folder / "report.html")
    assert str(folder / "figures" / "categories.svg") in written["figures"]
    assert "Attention heads of" in (folder / "report.html").read_text(encoding="utf-8")
    elsewhere = tmp_path / "elsewhere"
    assert run(["plot", str(folder), "--output", str(elsewhere)]) == 0
    assert (elsewhere / "figures" / "attention-grid.png").is_file()


def test_plot_without_a_report_is_one_line(tmp_path, capsys):
    assert run(["plot", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert error.count("\n") == 1
