"""How a dataset repository keeps the reports of many models: paths, keyed tables, and the index they are listed in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sat_probe.errors import ReportError

INDEX = "reports/index.json"
CARD = "README.md"
KEYS = ("model", "revision")
UNVERSIONED = "unversioned"
_INDEX_FORMAT = 1
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One report of a repository, as the index and the card list it.

    Attributes:
        tables: columns and their types (as the Hub writes them) of each table; the card declares them, so that
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


def keyed_table(content: bytes, model: str, revision: str, name: str) -> bytes:
    """A parquet table with the model and its revision as its first columns, all else as it was.

    Raises:
        ReportError: if it is not parquet, or damaged.
    """
    table = read_table(content, name)
    for position, (key, value) in enumerate(zip(KEYS, (model, revision), strict=True)):
        if key not in table.column_names:
            table = table.add_column(position, key, pa.array([value] * table.num_rows, pa.string()))
    return _written(table)


def plain_table(content: bytes, name: str) -> bytes:
    """The table as it was before `keyed_table`."""
    table = read_table(content, name)
    return _written(table.drop_columns([key for key in KEYS if key in table.column_names]))


def read_table(content: bytes, name: str) -> pa.Table:
    """A parquet table; `name` is what errors call it."""
    try:
        return pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise ReportError(
            f"{name} is not a readable parquet file: {' '.join(str(error).split())[:150]}"
        ) from error


def describe(path: str, files: Mapping[str, bytes]) -> Entry:
    """The index entry of a report, from its files (by name inside its folder)."""
    try:
        content = json.loads(files["report.json"])
    except (KeyError, ValueError) as error:
        raise ReportError(f"{path}/report.json is missing or not JSON") from error
    provenance = dict(content.get("provenance", content))
    tables: dict[str, dict[str, Any]] = {}
    categories: dict[str, int] = {}
    for name, data in files.items():
        if not name.endswith(".parquet"):
            continue
        table = read_table(data, f"{path}/{name}")
        tables[name.removesuffix(".parquet")] = {
            column.name: _hub_type(column.type) for column in table.schema
        }
        if name == "heads.parquet":
            for category in table.column("category").cast(pa.string()).to_pylist():
                categories[category] = categories.get(category, 0) + 1
    return Entry(
        path=path,
        model=str(provenance.get("model") or ""),
        revision=str(provenance.get("revision") or UNVERSIONED),
        corpus=str(provenance.get("corpus") or ""),
        split=str(provenance.get("split") or ""),
        provenance={key: value for key, value in sorted(provenance.items()) if _is_short(value)},
        categories=dict(sorted(categories.items())),
        tables=dict(sorted(tables.items())),
        figures=tuple(f"{path}/{name}" for name in sorted(files) if name.endswith(".png")),
    )


def read_index(content: bytes | None) -> list[Entry]:
    """The entries of an index file; nothing if there is none, or it cannot be understood (it can be rebuilt)."""
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
    """Of each table, all columns that any report has; a type all can be read as where they differ."""
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
    """An Arrow type as the `dtype` of a card's `dataset_info` names it."""
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
