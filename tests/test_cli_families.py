"""`sat-probe families`: the table that is printed is the table that is used."""

from __future__ import annotations

import json

from sat_probe.cli import run
from sat_probe.models.families.encoder_config import REFUSED
from sat_probe.models.families.table import FAMILIES


def test_every_family_is_printed_with_its_frame_rate(capsys):
    assert run(["families", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    rows = {row["model_type"]: row for row in printed["families"]}
    assert rows.keys() == FAMILIES.keys()
    assert printed["refused"] == REFUSED
    assert rows["wavlm"]["class"] == "ProbedWavLMModel"
    assert (rows["whisper"]["frame_hop_ms"], rows["whisper"]["first_centre_ms"]) == (20.0, 0.0)
    assert (rows["hubert"]["frame_hop_ms"], rows["hubert"]["batches"]) == (20.0, "with layer norm")
    assert (rows["mockingjay"]["frame_hop_ms"], rows["mockingjay"]["stacked_frames"]) == (30.0, 3)
    assert rows["audio-spectrogram-transformer"]["frame_hop_ms"] is None


def test_the_table_names_families_and_refusals(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert run(["families"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in (*FAMILIES, *REFUSED))
