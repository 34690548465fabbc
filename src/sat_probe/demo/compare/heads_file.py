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
    if not Path(path).is_file():
        raise ReportError(f"{name}: has been deleted; please upload it again")
    size = Path(path).stat().st_size
    if size > MOST_BYTES:
        raise ReportError(
            f"{name}: {size / 2**20:.0f} MB is too large for a table of heads; the limit is 4 MB"
        )
    try:
        heads = _read_parquet(path, name) if _is_parquet(path) else _read_csv(path, name)
        model = _only_model(heads, name)
        heads = _checked(heads, name)
        return HeadReport(heads, Provenance(model=model or name, corpus="an uploaded table"))
    except ReportError as error:
        text = str(error)
        raise ReportError(text if text.startswith(name) else f"{name}: {text}") from None


def _is_parquet(path: str | Path) -> bool:
    with Path(path).open("rb") as file:
        return file.read(4) == b"PAR1"


def _read_parquet(path: str | Path, name: str) -> pd.DataFrame:
    try:
        file = pq.ParquetFile(path)
        groups = [file.metadata.row_group(index) for index in range(file.metadata.num_row_groups)]
        rows, size = file.metadata.num_rows, sum(group.total_byte_size for group in groups)
        if rows <= MOST_HEADS and size <= 16 * MOST_BYTES:
            columns = [column for column in _COLUMNS if column in file.schema_arrow.names]
            return file.read(columns).to_pandas()
    except (pa.ArrowException, OSError, ValueError, NotImplementedError):
        raise ReportError(f"{name}: cannot be read as a parquet file") from None
    raise ReportError(f"{name}: has {rows} rows; the limit is {MOST_HEADS} heads")


def _read_csv(path: str | Path, name: str) -> pd.DataFrame:
    try:
        table = pd.read_csv(
            path,
            nrows=MOST_HEADS + 1,
            usecols=lambda column: column in _COLUMNS,
            dtype=str,  # Python converts the numbers later, exactly
            encoding="utf-8-sig",
        )
    except (ValueError, OSError):  # pandas' parser errors are ValueErrors
        raise ReportError(f"{name}: is neither a parquet file nor CSV") from None
    if len(table) > MOST_HEADS:
        raise ReportError(f"{name}: has more than {MOST_HEADS} rows; the limit is {MOST_HEADS} heads")
    return table


def _only_model(heads: pd.DataFrame, name: str) -> str | None:
    models: list[str] = list(heads["model"].astype(str).unique()) if "model" in heads else []
    if len(models) > 1:
        raise ReportError(f"{name}: has the heads of {len(models)} models; upload a table of one model")
    return models[0][:120] if len(models) else None


def _checked(heads: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return the table with the column types of a report."""
    for column in ("layer", "head", "category", *RANKED):
        if column not in heads:
            raise ReportError(
                f"{name}: lacks the column {column!r}; a table of heads has layer, head, category, {', '.join(RANKED)}"
            )
    columns: dict[str, pd.Series] = {"category": heads["category"].astype(str).str.slice(0, 40)}
    for column in heads.columns.drop(["category", "model"], errors="ignore"):
        values = heads[column]
        numbers = pd.Series([_number(value) for value in values], index=values.index)
        wrong = np.isinf(numbers) | (numbers.isna() & values.notna())
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise ReportError(
                f"{name}: row {row + 1} has {str(values.iloc[row])[:40]!r} as its {column}, which is not a number"
            )
        columns[column] = numbers
    for column in ("layer", "head"):
        numbers = columns[column]
        whole = (numbers >= 0) & (numbers <= LARGEST_INDEX) & (numbers % 1 == 0)
        if not whole.all():
            row = int(np.flatnonzero(~whole)[0])
            raise ReportError(
                f"{name}: row {row + 1} has {numbers.iloc[row]:g} as its {column}, not a whole number from 0 to "
                f"{LARGEST_INDEX}"
            )
        columns[column] = numbers.astype("int64")
    return pd.DataFrame(columns)


def _number(value: object) -> float:
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return float("nan")
