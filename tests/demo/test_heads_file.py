"""Uploaded tables of heads: read exactly, or refused in one line that names the file."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sat_probe.demo.compare import heads_file
from sat_probe.demo.compare.heads_file import read_heads_file
from sat_probe.errors import ReportError
from tests.hub.made_reports import made_report


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_table_is_read_exactly(tmp_path, kind):
    heads = made_report().heads
    path = tmp_path / f"mine.{kind}"
    table = heads.assign(model="org/mine", secret="not read")
    table.to_parquet(path) if kind == "parquet" else table.to_csv(path, index=False)
    report = read_heads_file(path)
    assert report.provenance["model"] == "org/mine"
    pd.testing.assert_frame_equal(
        report.heads[list(heads)], heads, check_exact=True, check_dtype=False, check_like=True
    )
    assert "secret" not in report.heads


def changed(**columns: object) -> pd.DataFrame:
    return made_report().heads.assign(**columns)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (changed(layer=-1), "row 1 has -1 as its layer"),
        (changed(head=10**9), "not a whole number from 0 to 255"),
        (changed(layer=0.5), "row 1 has 0.5 as its layer"),
        (changed(layer=np.nan), "row 1 has nan as its layer"),
        (changed(globalness=np.inf), "'inf' as its globalness, which is not a number"),
        (changed(diagonality=["a", 1, 2, 3, 4, 5]), "'a' as its diagonality"),
        (changed(category="<script>"), "'<script>' is no category"),
        (changed(head=0), "must list every head once"),
        (made_report().heads.drop(columns="verticality"), "lacks the column 'verticality'"),
        (changed(model=list("aabbcc")), "heads of 3 models"),
        (pd.DataFrame(), "neither a parquet file nor CSV"),
    ],
)
def test_wrong_tables_are_refused_in_one_line(tmp_path, table, message):
    path = tmp_path / "bad.csv"
    table.to_csv(path, index=False)
    with pytest.raises(ReportError, match=message) as raised:
        read_heads_file(path)
    assert str(raised.value).startswith("bad.csv: ")
    assert "\n" not in str(raised.value)


def test_limits_are_checked_before_reading(tmp_path, monkeypatch):
    heads = made_report().heads
    many = pd.concat([heads] * 800)
    many.to_parquet(tmp_path / "many.parquet")
    many.to_csv(tmp_path / "many.csv", index=False)
    for name in ("many.parquet", "many.csv"):
        with pytest.raises(ReportError, match=f"{name}: has .*4800 rows|more than 4096 rows"):
            read_heads_file(tmp_path / name)
    monkeypatch.setattr(heads_file, "MOST_BYTES", 100)
    with pytest.raises(ReportError, match="too large"):
        read_heads_file(tmp_path / "many.csv")


def test_files_that_are_no_table_are_refused(tmp_path):
    for name, content in (("cut.parquet", b"PAR1 and no more"), ("noise.csv", b"\xff\xfe\x00\x01" * 9)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ReportError, match=name):
            read_heads_file(tmp_path / name)
    with pytest.raises(ReportError, match=r"gone\.csv: has been deleted"):
        read_heads_file(tmp_path / "gone.csv")
