"""`ReportData`: what is known about the attention heads of one model; all views show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from sat_probe.errors import ReportError
from sat_probe.measures.head_metrics import CATEGORIES, RANKED
from sat_probe.reports.example import Example
from sat_probe.reports.provenance import MOST_HEADS, Provenance
from sat_probe.reports.report_folder import plain

METRICS = dict(zip(CATEGORIES, RANKED, strict=True))  # the metric of each category
_REQUIRED = ("layer", "head", "category", *RANKED)


def clearest_heads(heads: pd.DataFrame, category: str, count: int) -> pd.DataFrame:
    """The rows of the heads of a category that are highest in its metric, the highest first."""
    return heads[heads["category"] == category].nlargest(count, METRICS[category])


@dataclass(frozen=True, eq=False, repr=False)
class ReportData:
    """What each head of a model does, and how that was measured.

    Attributes:
        heads: one row for each head that the model has: `layer` and `head` (counted from 0, as in the intact model),
            `category` ("global", "vertical" or "diagonal") and `category_stability` (share of bootstrap replicates that
            agree); the metrics `globalness`, `verticality` (nats) and `diagonality` (share of T) with their `_rank`
            (1 = highest), `max_weight`, `mean_offset_ms`, `spread_ms`, `globalness_per_log_length`,
            `verticality_per_log_length` and `sink_share`, each with its 95 % interval in `_low` and `_high`.
        provenance: model and revision, corpus and split, counts, versions, device, seed, date.
        tables: further tables by name ("relation_maps", "concentration", "operations", "segmentation", ...).
        example: one utterance with its attention maps; None if there is none.

    Raises:
        ReportError: if `heads` lacks a column, lists a head twice, or has an unknown category.
    """

    heads: pd.DataFrame
    provenance: Provenance = field(default_factory=Provenance)
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    example: Example | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "provenance", Provenance.from_mapping(self.provenance))
        object.__setattr__(self, "tables", dict(self.tables))
        missing = [column for column in _REQUIRED if column not in self.heads]
        if missing:
            raise ReportError(f"the table of heads lacks the column {missing[0]!r}")
        if self.heads.empty or self.heads.duplicated(["layer", "head"]).any():
            raise ReportError("the table of heads must list every head once")
        for column in ("layer", "head", *RANKED):
            if not pd.api.types.is_numeric_dtype(self.heads[column]):
                raise ReportError(f"the table of heads must have numbers in the column {column!r}")
        places = self.heads[["layer", "head"]]
        if not (places.ge(0) & places.lt(MOST_HEADS) & places.mod(1).eq(0)).all(axis=None):
            raise ReportError("the table of heads must count layers and heads from 0")
        unknown = set(self.heads["category"]) - set(CATEGORIES)
        if unknown:
            raise ReportError(
                f"{sorted(map(str, unknown))[0]!r} is no category of heads; there are {', '.join(CATEGORIES)}"
            )
        wrong = [name for name in self.tables if not name.isidentifier() or name == "heads"]
        if wrong:
            raise ReportError(f"{wrong[0]!r} cannot be the name of a further table")

    @property
    def model_name(self) -> str:
        """Name of the model, for titles and messages."""
        return str(self.provenance.model or "an unnamed model")

    @property
    def shape(self) -> tuple[int, int]:
        """Layers of the intact model, and heads per layer."""
        known = self.provenance.layers or 0, self.provenance.heads_per_layer or 0
        largest = int(self.heads["layer"].max()), int(self.heads["head"].max())
        return max(known[0], largest[0] + 1), max(known[1], largest[1] + 1)

    @property
    def counts(self) -> dict[str, int]:
        """Number of heads of each category."""
        return {name: int((self.heads["category"] == name).sum()) for name in CATEGORIES}

    def relation_map(self, layer: int, head: int, value: str = "relation") -> pd.DataFrame:
        """Phone relation map of one head (eq. 5): rows are query phones, columns key phones; NaN is undefined.

        Args:
            layer: from 0.
            head: from 0.
            value: another column of the table instead: "joint" (eq. 4), "uniform", "low", "high", "frames".

        Raises:
            ReportError: if the corpus had no alignments, or there is no such head or column.
        """
        table = self._table("relation_maps", "the corpus had no phone alignments")
        cells = table[(table["layer"] == layer) & (table["head"] == head)]
        if cells.empty:
            layers, heads = self.shape
            if not (0 <= layer < layers and 0 <= head < heads):
                raise ReportError(f"there is no head {head} in layer {layer} (both are counted from 0)")
            there = ((self.heads["layer"] == layer) & (self.heads["head"] == head)).any()
            reason = "has no relation map" if there else "was removed from the model: it has no relation map"
            raise ReportError(f"head {head} of layer {layer} {reason}")
        if value not in cells:
            raise ReportError(f"relation maps have no {value!r}; there are {', '.join(cells.columns[4:])}")
        phones = list(dict.fromkeys(cells["query_phone"]))
        wide = cells.pivot(index="query_phone", columns="key_phone", values=value)
        return wide.reindex(index=phones, columns=pd.Index(phones, name="key_phone"))

    @property
    def concentration(self) -> pd.DataFrame:
        """Focus (> 0) or neglect (< 0) of key phones (eq. 6): one row per (layer, head), one column per phone.

        Raises:
            ReportError: if the corpus had no alignments.
        """
        table = self._table("concentration", "the corpus had no phone alignments")
        phones = list(dict.fromkeys(table["phone"]))
        return table.pivot(index=["layer", "head"], columns="phone", values="concentration")[phones]

    def compare(self, other: ReportData) -> pd.DataFrame:
        """Head by head against another report: both categories, whether they differ, other - self of each metric.

        Heads that only one of the two models has are left out; their number is in the ``attrs`` of the result, under
        ``"missing"``.

        Raises:
            ReportError: if the two models have different numbers of layers or of heads per layer.
        """
        if self.shape != other.shape:
            shapes = [f"{layers} layers x {heads} heads" for layers, heads in (self.shape, other.shape)]
            raise ReportError(
                f"{self.model_name} has {shapes[0]} and {other.model_name} {shapes[1]}: only models of one shape "
                "can be compared head by head"
            )
        keys = ["layer", "head"]
        mine, theirs = self.heads.set_index(keys), other.heads.set_index(keys)
        common = mine.index.intersection(theirs.index).sort_values()
        if common.empty:
            raise ReportError(f"{self.model_name} and {other.model_name} have no head in common")
        missing = len(mine.index.union(theirs.index)) - len(common)
        mine, theirs = mine.loc[common], theirs.loc[common]
        numbers = [
            name
            for name in map(str, mine.select_dtypes("number"))
            if name in theirs and not name.endswith(("_low", "_high", "_rank"))
        ]
        changes = {f"{name}_difference": theirs[name] - mine[name] for name in numbers}
        categories = {"category": mine["category"], "category_other": theirs["category"]}
        changed = mine["category"].astype(str) != theirs["category"].astype(str)
        table = pd.DataFrame({**categories, "changed": changed, **changes}).reset_index()
        table.attrs["missing"] = missing
        return table

    def equals(self, other: ReportData) -> bool:
        """Whether the other report has the same provenance, tables and example (NaN equals NaN)."""
        return (
            plain(self.provenance) == plain(other.provenance)
            and self.tables.keys() == other.tables.keys()
            and self.heads.equals(other.heads)
            and all(self.tables[name].equals(other.tables[name]) for name in self.tables)
            and (other.example is None if self.example is None else self.example.equals(other.example))
        )

    def as_dict(self) -> dict[str, Any]:
        """Provenance and heads as plain values that JSON can hold; NaN becomes None."""
        content: dict[str, Any] = plain({"provenance": self.provenance, "heads": self.heads.to_dict("records")})
        return content

    def _table(self, name: str, why: str) -> pd.DataFrame:
        if name not in self.tables:
            there = f"; it has {', '.join(self.tables)}" if self.tables else ""
            raise ReportError(f"the report has no table {name!r} ({why}){there}")
        return self.tables[name]
