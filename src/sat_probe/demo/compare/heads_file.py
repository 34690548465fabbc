"""Uploaded tables of heads (`heads.parquet` or CSV): limits are checked before reading, the content afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sat_probe.demo.uploads import file_name
from sat_probe.errors import ReportError
from sat_probe.measures.head_metrics import RANKED
from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.palette import AXIS_NAMES
from sat_probe.reports.provenance import Provenance

MOST_BYTES = 4 * 2**20
MOST_HEADS = 4096
LARGEST_INDEX = 255  # of layers and heads; figures have a cell for each
_NUMBERS = tuple(f"{name}{end}" for name in (*RANKED, *AXIS_NAMES) for end in ("", "_low", "_high", "_rank"))
_COLUMNS = ("layer", "head", "category", "category_stability", *dict.fromkeys(_NUMBERS), "model")


def read_heads_file(path: str | Path) -> HeadReport:
    """Return a report that has only the table of heads; unknown columns are dropped.

    Raises:
        ReportError: if the file is too large, neither parquet nor CSV, not a table of heads, or has several models.
    """
    name = file_name(path)
    try:
        heads = _read(Path(path))
        models = heads["model"].astype(str).unique().tolist() if "model" in heads else []
        if len(models) > 1:
            raise ReportError(f"has the heads of {len(models)} models; upload a table of one model")
        model = models[0][:120] if models else name
        return HeadReport(_checked(heads), Provenance(model=model, corpus="an uploaded table"))
    except ReportError as error:
        raise ReportError(f"{name}: {error}") from None


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise ReportError("has been deleted; please upload it again")
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ReportError(f"{size / 2**20:.0f} MB is too large for a table of heads; the limit is 4 MB")
    with path.open("rb") as file:
        return _read_parquet(path) if file.read(4) == b"PAR1" else _read_csv(path)


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        file = pq.ParquetFile(path)
        groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
        rows, size = file.metadata.num_rows, sum(group.total_byte_size for group in groups)
        if rows <= MOST_HEADS and size <= 16 * MOST_BYTES:
            return file.read([column for column in _COLUMNS if column in file.schema_arrow.names]).to_pandas()
    except (pa.ArrowException, OSError, ValueError, NotImplementedError):
        raise ReportError("cannot be read as a parquet file") from None
    raise ReportError(f"has {rows} rows; the limit is {MOST_HEADS} heads")


def _read_csv(path: Path) -> pd.DataFrame:
    try:  # Python converts the numbers later, exactly
        table = pd.read_csv(
            path, nrows=MOST_HEADS + 1, usecols=lambda name: name in _COLUMNS, dtype=str, encoding="utf-8-sig"
        )
    except (ValueError, OSError):  # pandas' parser errors are ValueErrors
        raise ReportError("is neither a parquet file nor CSV") from None
    if len(table) > MOST_HEADS:
        raise ReportError(f"has more than {MOST_HEADS} rows; the limit is {MOST_HEADS} heads")
    return table


def _checked(heads: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the column types of a report."""
    for column in ("layer", "head", "category", *RANKED):
        if column not in heads:
            raise ReportError(
                f"lacks the column {column!r}; a table of heads has layer, head, category, {', '.join(RANKED)}"
            )
    columns: dict[str, pd.Series] = {"category": heads["category"].astype(str).str.slice(0, 40)}
    for column in heads.columns.drop(["category", "model"], errors="ignore"):
        values = heads[column]
        numbers = pd.Series([_number(value) for value in values], values.index, name=column)
        _refuse(numbers.isin([np.inf, -np.inf]) | (numbers.isna() & values.notna()), values, "which is not a number")
        columns[column] = numbers
    for column in ("layer", "head"):
        numbers = columns[column]
        whole = (numbers >= 0) & (numbers <= LARGEST_INDEX) & (numbers % 1 == 0)
        _refuse(~whole, numbers, f"not a whole number from 0 to {LARGEST_INDEX}")
        columns[column] = numbers.astype("int64")
    return pd.DataFrame(columns)


def _refuse(wrong: pd.Series, values: pd.Series, problem: str) -> None:
    """Raise a ReportError about the first value that is wrong."""
    for row in np.flatnonzero(wrong)[:1]:
        value = values.iloc[row]
        shown = f"{value:g}" if isinstance(value, float) else repr(str(value)[:40])
        raise ReportError(f"row {row + 1} has {shown} as its {values.name}, {problem}")


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
