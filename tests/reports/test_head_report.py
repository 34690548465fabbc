"""HeadReport: checks, saving and loading, questions, and views in a terminal or notebook."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from sat_probe import HeadReport
from sat_probe.errors import ReportError
from sat_probe.files import locked
from sat_probe.reports import report_folder
from tests.reports.examples import example_of_weights

PHONES = ("s", "aa", "sil")  # not in alphabetical order: maps keep the order of the table


def make_report(layers: int = 2, heads: int = 3, seed: int = 0, **provenance: object) -> HeadReport:
    generator = np.random.default_rng(seed)
    layer, head = (axis.ravel() for axis in np.indices((layers, heads)))
    table = {"layer": layer, "head": head, "category": np.resize(["global", "vertical", "diagonal"], layers * heads)}
    table["category_stability"] = np.linspace(0.5, 1.0, layers * heads)
    for name in ("globalness", "verticality", "diagonality", "mean_offset_ms", "spread_ms", "max_weight", "sink_share"):
        values = generator.normal(size=layers * heads)
        values = np.abs(values) if name == "spread_ms" else values
        table |= {name: values, f"{name}_low": values - 0.1, f"{name}_high": values + 0.1}
    cells = [(i, j, q, k) for i, j in zip(layer, head, strict=True) for q in PHONES for k in PHONES]
    maps = pd.DataFrame(cells, columns=["layer", "head", "query_phone", "key_phone"])
    maps["joint"], maps["relation"] = generator.random(len(maps)), generator.normal(size=len(maps))
    maps.loc[0, "relation"] = np.nan
    focus = maps.groupby(["layer", "head", "key_phone"], sort=False)["relation"].mean().rename("concentration")
    focus = focus.reset_index().rename(columns={"key_phone": "phone"})
    facts = {
        "model": "org/model",
        "revision": "abc",
        "corpus": "timit",
        "utterances": 7,
        "seconds": 12.25,
        **provenance,
    }
    return HeadReport(pd.DataFrame(table), facts, {"relation_maps": maps, "concentration": focus})


@pytest.fixture
def report() -> HeadReport:
    return make_report()


# Refused ------------------------------------------------------------------------------------------------------------


def test_heads_must_have_their_columns(report):
    with pytest.raises(ReportError, match="lacks the column 'diagonality'"):
        HeadReport(report.heads.drop(columns="diagonality"))


def test_every_head_is_listed_once(report):
    with pytest.raises(ReportError, match="every head once"):
        HeadReport(pd.concat([report.heads, report.heads.head(1)]))
    with pytest.raises(ReportError, match="every head once"):
        HeadReport(report.heads.head(0))


def test_unknown_category_is_refused(report):
    with pytest.raises(ReportError, match="'sideways' is no category"):
        HeadReport(report.heads.assign(category="sideways"))


@pytest.mark.parametrize("name", ["heads", "../outside", "two words"])
def test_table_names_are_safe_file_names(report, name):
    with pytest.raises(ReportError, match="cannot be the name"):
        HeadReport(report.heads, tables={name: report.heads})


# Kept ---------------------------------------------------------------------------------------------------------------


def test_save_and_load(report, tmp_path):
    example = example_of_weights(
        "u1", np.zeros(1600), 16_000, np.arange(4) / 50, np.full((2, 3, 4, 4), 0.25), [(0.0, 0.1, "s")]
    )
    provenance = report.provenance.replace(other={"when": np.float64("nan")})
    report = replace(report, provenance=provenance, example=example)
    folder = report.save(tmp_path / "deep" / "report")
    loaded = HeadReport.load(folder)
    assert loaded.equals(report)
    assert loaded.provenance["when"] is None
    pd.testing.assert_frame_equal(loaded.heads, report.heads)
    assert loaded.example.phones == ((0.0, 0.1, "s"),)
    assert {"report.json", "heads.parquet", "relation_maps.parquet", "README.md", "report.html", "figures"} <= {
        path.name for path in folder.iterdir()
    }
    assert (folder / "figures" / "categories.png").stat().st_size > 1000
    assert [path.name for path in folder.parent.iterdir()] == ["report"]


def test_equality_compares_every_part(report):
    assert report.equals(make_report())
    assert not report.equals(make_report(corpus="librispeech"))
    assert not report.equals(make_report(seed=1))
    changed = make_report()
    changed.tables["concentration"].loc[0, "concentration"] = 9.0
    assert not report.equals(changed)
    del changed.tables["concentration"]
    assert not report.equals(changed)


def test_a_report_replaces_a_report(report, tmp_path):
    target = tmp_path / "report"
    make_report(seed=1).save(target, pictures=False)
    report.save(target, pictures=False)
    assert HeadReport.load(target).equals(report)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


WEIGHTS = {"model": "org/model", "weights": "w1", "corpus": "speech", "corpus_digest": "c1", "split": "test"}


@pytest.mark.parametrize(
    "old, new",
    [
        (WEIGHTS, {"revision": "def", "model": "a copy"}),
        (WEIGHTS, {"corpus": "another name"}),
        ({**WEIGHTS, "weights": None}, {}),
        ({**WEIGHTS, "corpus_digest": None}, {}),
        ({**WEIGHTS, "weights": None, "revision": None}, {"revision": "def"}),
    ],
)
def test_a_report_of_the_same_model_and_corpus_is_replaced(tmp_path, caplog, old, new):
    target = make_report(**old).save(tmp_path / "report", pictures=False)
    assert not caplog.records
    report = make_report(seed=1, **{**WEIGHTS, **new})
    line = f"replaced the report of org/model on speech test in {target}"
    assert report_folder.check_destination(target, report.provenance) == line
    report.save(target, pictures=False)
    assert [record.getMessage() for record in caplog.records] == [line]
    assert HeadReport.load(target).equals(report)


@pytest.mark.parametrize(
    "new, message",
    [
        ({"weights": "w2", "model": "other"}, "holds the report of org/model on speech test; choose another"),
        ({"weights": "w2"}, "of org/model on speech test, whose content differs; choose another folder"),
        ({"limited_span": [3, "mask"]}, "of org/model on speech test, whose content differs"),
        ({"corpus_digest": "c2"}, "of org/model on speech test, whose content differs"),
        ({"split": "train"}, "of org/model on speech test; choose another folder or pass --overwrite"),
        ({"weights": None, "model": "other"}, r"or pass --overwrite \(overwrite=True\)"),
        ({"corpus_digest": None, "corpus": "other"}, r"or pass --overwrite \(overwrite=True\)"),
    ],
)
def test_a_report_of_another_model_or_corpus_is_kept(tmp_path, new, message):
    report = make_report(**WEIGHTS)
    target = report.save(tmp_path / "report", pictures=False)
    other = make_report(**{**WEIGHTS, **new})
    with pytest.raises(ReportError, match=message):
        other.save(target, pictures=False)
    assert HeadReport.load(target).equals(report)
    other.save(target, pictures=False, overwrite=True)
    assert HeadReport.load(target).equals(other)


def test_saving_segments_nothing_and_draws_nothing_without_pictures(tmp_path):
    make_report().save(tmp_path / "report", pictures=False)
    code = f"""
import sys
from sat_probe.reports.head_report import HeadReport
HeadReport.load({str(tmp_path / "report")!r}).save({str(tmp_path / "again")!r}, pictures=False)
unneeded = ("matplotlib", "torch", "transformers", "scipy", "sat_probe.measures.boundaries.kernel_gram")
print([name for name in unneeded if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_an_empty_folder_is_used(report, tmp_path):
    report.save(tmp_path, pictures=False)
    assert HeadReport.load(tmp_path).equals(report)


def test_nothing_else_is_overwritten(report, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ReportError, match="not empty and no head report"):
        report.save(tmp_path)
    file = tmp_path / "thesis.tex"
    with pytest.raises(ReportError, match="is a file"):
        report.save(file)
    with pytest.raises(ReportError, match="cannot be made"):
        report.save(file / "report")
    assert file.read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_other_files_in_the_folder_are_not_lost(report, tmp_path):
    report.save(tmp_path / "report", pictures=False)
    (tmp_path / "report" / "notes.txt").write_text("mine")
    with pytest.raises(ReportError, match="'notes.txt' beside the report, which would be lost"):
        report.save(tmp_path / "report")
    assert (tmp_path / "report" / "notes.txt").read_text() == "mine"


def test_json_of_something_else_is_not_a_report(report, tmp_path):
    (tmp_path / "report.json").write_text('{"name": "something else"}')
    with pytest.raises(ReportError, match="is no head report of sat-probe"):
        report.save(tmp_path)
    with pytest.raises(ReportError, match="is no head report of sat-probe"):
        HeadReport.load(tmp_path)


@pytest.mark.parametrize("kind", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("earlier", [False, True])
def test_a_failed_save_keeps_the_earlier_report(report, tmp_path, monkeypatch, kind, earlier):
    target = tmp_path / "report"
    if earlier:
        report.save(target, pictures=False)
    write = Path.write_bytes

    def fail_at_second_table(path: Path, data: bytes) -> int:
        if path.name == "relation_maps.parquet":
            raise kind
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", fail_at_second_table)
    expected = KeyboardInterrupt if isinstance(kind, KeyboardInterrupt) else ReportError
    with pytest.raises(
        expected, match=None if expected is KeyboardInterrupt else "No space left .*nothing of it was left"
    ):
        make_report(seed=1).save(target, pictures=False)
    assert [path.name for path in tmp_path.iterdir()] == (["report"] if earlier else [])
    assert not earlier or HeadReport.load(target).equals(report)


def test_a_failed_rename_brings_the_old_report_back(report, tmp_path, monkeypatch):
    target = report.save(tmp_path / "report", pictures=False)
    rename = Path.rename

    def fail_for_new(path: Path, other: Path) -> Path:
        if path.name.endswith(".writing"):
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, other)

    monkeypatch.setattr(Path, "rename", fail_for_new)
    with pytest.raises(ReportError, match="Input/output error"):
        make_report(seed=1).save(target, pictures=False)
    assert HeadReport.load(target).equals(report)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


@pytest.mark.parametrize("moved_aside", [False, True])
def test_leftovers_of_a_killed_save_are_removed_by_the_next(report, tmp_path, monkeypatch, moved_aside):
    """Killed while it wrote, or between its two renames; what a living process needs stays."""
    pytest.importorskip("fcntl", reason="Windows tells no leftover from a folder in use")
    target = make_report(seed=1).save(tmp_path / "report", pictures=False)
    if moved_aside:
        target.rename(tmp_path / ".report.00000001.replaced")
    (tmp_path / ".report.00000001.writing").mkdir()
    (tmp_path / ".report.00000001.writing" / "heads.parquet").write_text("a part of a table")
    others = [tmp_path / name for name in (".report.notes", ".reports.00000002.writing", ".report.00000003.writing")]
    for other in others:
        other.mkdir()
    with locked(others[-1]):
        with monkeypatch.context() as broken:
            broken.setattr(Path, "write_bytes", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "")))
            with pytest.raises(ReportError, match="No space left"):
                report.save(target, pictures=False)
        assert HeadReport.load(target).equals(make_report(seed=1))
        report.save(target, pictures=False)
    assert HeadReport.load(target).equals(report)
    assert set(tmp_path.iterdir()) == {target, *others}


@pytest.fixture
def saved(report, tmp_path) -> Path:
    return report.save(tmp_path / "report", pictures=False)


def edit(folder: Path, **changes: object) -> None:
    path = folder / "report.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda folder: (folder / "report.json").unlink(), "holds no report.json"),
        (lambda folder: (folder / "report.json").write_text("{"), "cannot be read"),
        (lambda folder: (folder / "report.json").write_bytes(b"\xff\xfe\x00"), "cannot be read"),
        (lambda folder: (folder / "report.json").write_text("[]"), "is no head report"),
        (lambda folder: edit(folder, version="1"), "is damaged"),
        (lambda folder: edit(folder, tables=["relation_maps"]), "is damaged"),
        (lambda folder: edit(folder, provenance=None), "is damaged"),
        (lambda folder: (folder / "heads.parquet").unlink(), "is missing though report.json names it"),
        (lambda folder: (folder / "heads.parquet").write_bytes(b"PAR1"), "no readable parquet file"),
        (lambda folder: (folder / "heads.parquet").write_bytes(b""), "no readable parquet file"),
        (lambda folder: pd.DataFrame({"layer": [0]}).to_parquet(folder / "heads.parquet"), "lacks the column"),
    ],
)
def test_damage_is_one_line(saved, damage, message):
    damage(saved)
    with pytest.raises(ReportError, match=message) as caught:
        HeadReport.load(saved)
    assert "\n" not in str(caught.value)
    assert str(saved) in str(caught.value)


def test_a_newer_report_asks_for_an_upgrade(saved):
    edit(saved, version=report_folder.VERSION + 1)
    with pytest.raises(ReportError, match=r"newer sat-probe \(report version 2, this one reads 1\); upgrade"):
        HeadReport.load(saved)


def test_missing_folder(tmp_path):
    with pytest.raises(ReportError, match="no such folder"):
        HeadReport.load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match="is a file; name the folder of the report"):
        HeadReport.load(tmp_path / "file")


# Asked --------------------------------------------------------------------------------------------------------------


def test_relation_map_keeps_the_order_of_phones(report):
    cells = report.tables["relation_maps"]
    wide = report.relation_map(1, 2)
    assert tuple(wide.index) == PHONES
    assert tuple(wide.columns) == PHONES
    row = cells.query("layer == 1 and head == 2 and query_phone == 'sil' and key_phone == 's'")
    assert wide.loc["sil", "s"] == row["relation"].item()
    assert np.isnan(report.relation_map(0, 0).loc["s", "s"])
    assert report.relation_map(1, 2, "joint").loc["sil", "s"] == row["joint"].item()


def test_relation_map_errors_name_the_alternatives(report):
    with pytest.raises(ReportError, match="no head 3 in layer 0"):
        report.relation_map(0, 3)
    with pytest.raises(ReportError, match="there are joint, relation"):
        report.relation_map(0, 0, "nonsense")
    with pytest.raises(ReportError, match="no phone alignments"):
        HeadReport(report.heads).relation_map(0, 0)
    with pytest.raises(ReportError, match="no phone alignments"):
        _ = HeadReport(report.heads).concentration


def test_concentration_has_one_row_per_head(report):
    focus = report.concentration
    assert focus.shape == (6, 3)
    assert tuple(focus.columns) == PHONES
    assert focus.loc[(1, 2), "aa"] == pytest.approx(report.relation_map(1, 2)["aa"].mean())


def test_compare_is_head_by_head_whatever_the_order(report):
    other = make_report(seed=3)
    other.heads.loc[4, "category"] = "global"
    other = HeadReport(other.heads.sample(frac=1, random_state=0))
    table = report.compare(other)
    assert table["changed"].tolist() == [False, False, False, False, True, False]
    assert table.loc[4, ["category", "category_other"]].tolist() == ["vertical", "global"]
    expected = make_report(seed=3).heads["globalness"] - report.heads["globalness"]
    np.testing.assert_allclose(table["globalness_difference"], expected)
    assert not any(name.endswith(("_low_difference", "_high_difference")) for name in table)


def test_compare_refuses_other_shapes(report):
    with pytest.raises(ReportError, match="has 2 layers x 3 heads and org/model 2 layers x 4 heads"):
        report.compare(make_report(layers=2, heads=4))


# Shown --------------------------------------------------------------------------------------------------------------


def test_repr_is_one_line(report):
    assert repr(report) == "HeadReport(org/model: 6 heads, 2 global, 2 vertical, 2 diagonal)"


def test_text_shows_every_head_and_fits_a_terminal(report):
    text = str(report)
    assert "org/model at abc: 6 attention heads" in text
    assert "timit, 7 utterances, 12.2 s of audio" in text
    alone = HeadReport(report.heads, {**report.provenance, "utterances": 1})
    assert "timit, 1 utterance, 12.2 s" in str(alone)
    grid = [line.split() for line in text.splitlines() if line.strip()[:1].isdigit()][:2]
    assert grid == [["0", "g", "v", "d"], ["1", "g", "V", "D"]]
    narrow = Console(width=80, color_system=None, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    with narrow.capture() as captured:
        narrow.print(report)
    assert "…" not in captured.get()


def test_text_of_a_bare_table(report):
    bare = HeadReport(report.heads[["layer", "head", "category", "globalness", "verticality", "diagonality"]])
    assert "an unnamed model: 6 attention heads" in str(bare)
    assert "G global 2, V vertical 2, D diagonal 2." in str(bare)


def test_html_escapes_what_a_report_says():
    shown = make_report(model="<script>alert(1)</script>")._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert shown.count("<td") == 6


def test_as_dict_is_json(report):
    report.heads.loc[0, "max_weight"] = np.nan
    content = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert content["heads"][0]["max_weight"] is None
    assert content["heads"][4]["globalness"] == report.heads.loc[4, "globalness"]
    assert content["provenance"]["corpus"] == "timit"
