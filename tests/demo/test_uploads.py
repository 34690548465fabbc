"""Files that visitors send are deleted when they were read or refused, and nothing is left of them."""

from __future__ import annotations

import shutil
from pathlib import Path

import gradio as gr
import pytest
from gradio.data_classes import FileData

from sat_probe.demo.compare import tab as compare_tab
from sat_probe.demo.uploads import delete_upload, uploads_only
from sat_probe.errors import ReportError
from tests.hub.made_reports import made_report


@pytest.fixture
def component(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with gr.Blocks():
        file = gr.File(type="filepath", file_types=[".TextGrid", ".phn"])
    uploads_only(file)
    return file


def sent(folder: Path, name: str) -> Path:
    path = folder / ("0a" * 32) / name  # as Gradio keeps it: a folder for each file
    path.parent.mkdir()
    path.write_text("0 1 a")
    return path


def test_a_file_of_another_kind_is_deleted_at_once(component, tmp_path):
    path = sent(tmp_path, "speech.exe")
    with pytest.raises(gr.Error, match=r"of this kind: \.TextGrid, \.phn"):
        component.preprocess(FileData(path=str(path)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.TextGrid", "a.textgrid", "b.PHN"])
def test_a_file_is_passed_on_and_leaves_nothing_beside_it(component, tmp_path, name):
    path = sent(tmp_path, name)
    assert component.preprocess(FileData(path=str(path))) == str(path)
    assert component.preprocess(None) is None
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]
    delete_upload(path)
    delete_upload(path)
    delete_upload(None)
    assert not list(tmp_path.iterdir())


def test_only_the_folder_of_the_file_goes_with_it(tmp_path):
    shutil.copy(__file__, tmp_path / "mine.wav")
    delete_upload(tmp_path / "mine.wav")
    assert tmp_path.is_dir()
    first, second = sent(tmp_path, "one.wav"), tmp_path / ("0a" * 32) / "two.wav"
    second.write_text("the same")
    delete_upload(first)
    assert second.exists()


def test_addresses_are_not_fetched(component):
    with pytest.raises(gr.Error, match="not an address"):
        component.async_move_resource_to_block_cache("https://example.org/a.phn").send(None)


def test_tables_of_heads_are_deleted_and_stay_with_their_visitor(tmp_path):
    good, other, bad = (str(tmp_path / name) for name in ("good.csv", "other.csv", "bad.csv"))
    made_report(seed=1).heads.to_csv(good, index=False)
    made_report(seed=2).heads.to_csv(other, index=False)
    Path(bad).write_text("a,b\n1,2\n")
    with pytest.raises(ReportError, match=r"bad\.csv"):
        compare_tab.with_uploads({}, good, bad)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.csv", "other.csv"]
    tables = compare_tab.with_uploads({}, good, None)
    assert list(tables) == [good]
    again = compare_tab.with_uploads(tables, good, other)
    assert again[good] is tables[good], "though its file is gone"
    assert not list(tmp_path.iterdir())
    assert compare_tab.with_uploads(again, None, None) == {}
