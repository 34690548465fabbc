"""Layout of a dataset repository with the reports of many models: paths, tables with keys, index."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sat_probe.errors import ReportError
from sat_probe.reports.report_folder import KEYS

INDEX = "reports/index.json"
CARD = "README.md"
UNVERSIONED = "unversioned"
_INDEX_FORMAT = 1
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One report of a repository, as listed in the index and on the card.

    Attributes:
        tables: columns and their types (in the Hub's names) of each table; the card declares them, so that
            tables of different versions of sat-probe load together.
        figures: pictures, by path in the repository.
    """

    path: str
    model: str
    revision: str
    corpus: str = ""
    split: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    categories: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    figures: tuple[str, ...] = ()

    @property
    def measured_on(self) -> tuple[str, str]:
        return self.corpus, self.split


def report_path(model: str, revision: str | None) -> str:
    """Folder of a model's report: `reports/{org}__{model}/{revision}`."""
    name = _UNSAFE.sub("-", model.strip("/").replace("/", "__"))
    if name.startswith((".", "__")):  # datasets leaves such folders out
        name = name.lstrip("._")
    version = _UNSAFE.sub("-", revision or UNVERSIONED)
    if not name.strip(".-"):
        raise ReportError(f"the report does not say which model it is about (model {model!r})")
    return f"reports/{name}/{version}"


def keyed_report(files: Mapping[str, bytes]) -> tuple[Entry, dict[str, bytes]]:
    """The index entry of a report, and its files with the model and its revision as first columns of every table.

    Args:
        files: content by path in the folder of the report.

    Raises:
        ReportError: if the report does not name its model, or a table is damaged.
    """
    described = describe("reports", {name: data for name, data in files.items() if name == "report.json"})
    path = report_path(described.model, described.revision)
    tables = {name: read_table(data, name) for name, data in files.items() if name.endswith(".parquet")}
    for position, key in enumerate(KEYS):
        for name, table in tables.items():
            if key not in table.column_names:
                column = pa.array([getattr(described, key)] * table.num_rows, pa.string())
                tables[name] = table.add_column(position, key, column)
    figures = tuple(f"{path}/{name}" for name in sorted(files) if name.endswith(".png"))
    entry = replace(_with_tables(described, tables), path=path, figures=figures)
    return entry, {**files, **{name: _written(table) for name, table in tables.items()}}


def read_table(content: bytes, name: str) -> pa.Table:
    """A parquet table; `name` is used in error messages."""
    try:
        return pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise ReportError(f"{name} is not a readable parquet file: {' '.join(str(error).split())[:150]}") from error


def describe(path: str, files: Mapping[str, bytes]) -> Entry:
    """The index entry of a report, from its files (by name inside its folder)."""
    try:
        content = json.loads(files["report.json"])
    except (KeyError, ValueError) as error:
        raise ReportError(f"{path}/report.json is missing or not JSON") from error
    provenance = dict(content.get("provenance", content))
    entry = Entry(
        path=path,
        model=str(provenance.get("model") or ""),
        revision=str(provenance.get("revision") or UNVERSIONED),
        corpus=str(provenance.get("corpus") or ""),
        split=str(provenance.get("split") or ""),
        provenance={key: value for key, value in sorted(provenance.items()) if _is_short(value)},
        figures=tuple(f"{path}/{name}" for name in sorted(files) if name.endswith(".png")),
    )
    tables = {name: read_table(data, f"{path}/{name}") for name, data in files.items() if name.endswith(".parquet")}
    return _with_tables(entry, tables)


def _with_tables(entry: Entry, tables: Mapping[str, pa.Table]) -> Entry:
    """The entry with the columns of its tables, by file name, and the number of heads of each category."""
    heads = tables.get("heads.parquet")
    found = [] if heads is None else heads.column("category").cast(pa.string()).to_pylist()
    columns = {
        name.removesuffix(".parquet"): {column.name: _hub_type(column.type) for column in table.schema}
        for name, table in sorted(tables.items())
    }
    return replace(entry, tables=columns, categories=dict(sorted(Counter(found).items())))


def read_index(content: bytes | None) -> list[Entry]:
    """The entries of an index file; empty if there is none, or it is not understood (it can be rebuilt)."""
    if content is None:
        return []
    try:
        index = json.loads(content)
        if index["format"] != _INDEX_FORMAT:
            return []
        return [replace(Entry(**row), figures=tuple(row["figures"])) for row in index["reports"]]
    except (ValueError, KeyError, TypeError):
        return []


def write_index(entries: Iterable[Entry]) -> bytes:
    """The index file; the same entries always give the same bytes."""
    rows = [asdict(entry) for entry in sorted(entries, key=lambda entry: entry.path)]
    return (json.dumps({"format": _INDEX_FORMAT, "reports": rows}, indent=1) + "\n").encode()


def table_features(entries: Iterable[Entry]) -> dict[str, dict[str, Any]]:
    """All columns of each table over all reports, with a type that fits all where they differ."""
    merged: dict[str, dict[str, Any]] = {}
    for entry in entries:
        for table, columns in entry.tables.items():
            known = merged.setdefault(table, {})
            for column, kind in columns.items():
                known[column] = _common(known.get(column, kind), kind)
    return dict(sorted(merged.items(), key=lambda item: (item[0] != "heads", item[0])))


def _common(first: Any, second: Any) -> Any:
    if first == second or second == "null":
        return first
    if first == "null":
        return second
    numbers = {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"}
    if isinstance(first, str) and isinstance(second, str) and {first, second} <= numbers:
        return "int64" if "float" not in first + second else "float64"
    return "string"


def _hub_type(kind: pa.DataType) -> Any:
    """An Arrow type as a `dtype` of `dataset_info` in a card."""
    if pa.types.is_dictionary(kind):
        return _hub_type(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return {"list": _hub_type(kind.value_type)}
    names = {"double": "float64", "float": "float32", "halffloat": "float16", "large_string": "string"}
    return names.get(str(kind), str(kind))


def _is_short(value: Any) -> bool:
    return isinstance(value, (str, int, float, bool, dict)) and len(json.dumps(value)) < 500


def _written(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())
