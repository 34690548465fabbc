"""`HeadReport`: everything that is known about the attention heads of one model, with where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sat_probe.errors import ReportError
from sat_probe.measures.head_metrics import CATEGORIES, RANKED
from sat_probe.reports import report_folder
from sat_probe.reports.example import load_example, save_example
from sat_probe.reports.provenance import Provenance

if TYPE_CHECKING:
    from rich.console import RenderableType

    from sat_probe.hub.commit import Published

_REQUIRED = ("layer", "head", "category", *RANKED)


@dataclass(eq=False, repr=False)
class HeadReport:
    """What each head of a model does, and how that was measured.

    Attributes:
        heads: one row per head: `layer` and `head` (counted from 0), `category` ("global", "vertical" or "diagonal")
            and `category_stability` (share of bootstrap replicates that agree); the metrics `globalness`, `verticality`
            (nats) and `diagonality` (share of T) with their `_rank` (1 = highest), `max_weight`, `mean_offset_ms`,
            `spread_ms`, `globalness_per_log_length`, `verticality_per_log_length` and `sink_share`, each with its 95 %
            interval in `_low` and `_high`.
        provenance: model and revision, corpus and split, counts, versions, device, seed, date.
        tables: further tables by name ("relation_maps", "concentration", "operations", "segmentation", ...).
        examples: one utterance with its attention maps, as `sat_probe.reports.example` makes it; may be empty.

    Raises:
        ReportError: if `heads` lacks a column, lists a head twice, or has an unknown category.
    """

    heads: pd.DataFrame
    provenance: Provenance = field(default_factory=Provenance)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    examples: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.provenance = Provenance.from_mapping(self.provenance)
        missing = [column for column in _REQUIRED if column not in self.heads]
        if missing:
            raise ReportError(f"the table of heads lacks the column {missing[0]!r}")
        if self.heads.empty or self.heads.duplicated(["layer", "head"]).any():
            raise ReportError("the table of heads must list every head once")
        unknown = set(self.heads["category"]) - set(CATEGORIES)
        if unknown:
            raise ReportError(
                f"{sorted(map(str, unknown))[0]!r} is no category of heads; there are {', '.join(CATEGORIES)}"
            )
        wrong = [name for name in self.tables if not name.isidentifier() or name == "heads"]
        if wrong:
            raise ReportError(f"{wrong[0]!r} cannot be the name of a further table")

    # Kept ------------------------------------------------------------------------------------------------------------

    def save(self, folder: str | Path, *, pictures: bool = True) -> Path:
        """Write the report into a folder, as a whole or not at all; a report that is already there is replaced.

        Args:
            folder: new, empty, or an earlier report.
            pictures: also draw `figures/` and the page `report.html`, which takes some seconds.

        Raises:
            ReportError: if the folder holds anything else, or it cannot be written.
        """
        return report_folder.replace_report(folder, lambda fresh: self._write(fresh, pictures))

    def _write(self, folder: Path, pictures: bool) -> None:
        from sat_probe.reports.hub.card import report_card

        everything = {"heads": self.heads, **self.tables}
        report_folder.write_description(folder, self.provenance, list(everything))
        for name, table in everything.items():
            report_folder.write_table(folder, name, table)
        if self.examples:
            save_example(self.examples, folder)
        figures: list[Path] = []
        if pictures:
            from sat_probe.reports.page.render import write_page
            from sat_probe.reports.plots.all import save_figures

            figures = save_figures(self, folder / "figures")
            write_page(self, folder / "report.html")
        shown = [path.relative_to(folder).as_posix() for path in figures if path.suffix == ".png"]
        (folder / "README.md").write_text(report_card(self, shown), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> HeadReport:
        """Read a report that `save` wrote.

        Raises:
            ReportError: no report there, a damaged one, or one of a newer version of sat-probe.
        """
        path = Path(folder).expanduser()
        description = report_folder.read_description(path)
        tables = {name: report_folder.read_table(path, name) for name in description["tables"]}
        try:
            return cls(tables.pop("heads"), description["provenance"], tables, load_example(path))
        except ReportError as error:
            raise ReportError(f"{folder}: {error}") from error

    def push_to_hub(self, repo_id: str, **options: Any) -> Published:
        """Publish the report in a dataset repository; see `sat_probe.reports.hub.push.push_report` for the options."""
        from sat_probe.reports.hub.push import push_report

        return push_report(self, repo_id, **options)

    @classmethod
    def from_hub(
        cls, repo_id: str, model: str | None = None, revision: str | None = None, **options: Any
    ) -> HeadReport:
        """Read a published report of a model (at a revision of the model).

        Args:
            **options: `repo_revision` (commit, branch or pull request of the repository), `token`, `cache_dir`; see
                `sat_probe.reports.hub.pull.pull_report`.

        Raises:
            HubError: no such repository or report, a damaged download, or the Hub is out of reach.
        """
        from sat_probe.reports.hub.pull import pull_report

        return pull_report(repo_id, model, revision, **options)

    # Asked -----------------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> dict[str, int]:
        """How many heads each category has."""
        return {name: int((self.heads["category"] == name).sum()) for name in CATEGORIES}

    def relation_map(self, layer: int, head: int, value: str = "relation") -> pd.DataFrame:
        """Phone relation map of one head (eq. 5): rows are query phones, columns key phones; NaN is undefined.

        Args:
            value: another column of the table instead: "joint" (eq. 4), "uniform", "low", "high", "frames".

        Raises:
            ReportError: if the corpus had no alignments, or there is no such head or column.
        """
        table = self._table("relation_maps", "the corpus had no phone alignments")
        cells = table[(table["layer"] == layer) & (table["head"] == head)]
        if cells.empty:
            raise ReportError(f"there is no head {head} in layer {layer} (both are counted from 0)")
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

    def compare(self, other: HeadReport) -> pd.DataFrame:
        """Head by head against another report: both categories, whether they differ, other - self of each metric.

        Raises:
            ReportError: if the two models do not have the same heads.
        """
        keys = ["layer", "head"]
        mine, theirs = self.heads.set_index(keys).sort_index(), other.heads.set_index(keys).sort_index()
        if not mine.index.equals(theirs.index):
            raise ReportError(
                f"{self._name()} has {len(mine)} heads and {other._name()} {len(theirs)}, in other places: "
                "head by head only models of one shape compare"
            )
        numbers = [
            name
            for name in map(str, mine.select_dtypes("number"))
            if name in theirs and not name.endswith(("_low", "_high", "_rank"))
        ]
        changes = {f"{name}_difference": theirs[name] - mine[name] for name in numbers}
        categories = {"category": mine["category"], "category_other": theirs["category"]}
        changed = mine["category"].astype(str) != theirs["category"].astype(str)
        return pd.DataFrame({**categories, "changed": changed, **changes}).reset_index()

    def equals(self, other: HeadReport) -> bool:
        """Whether the other report says the same: provenance, tables and example (NaN equals NaN)."""
        return (
            report_folder.plain(self.provenance) == report_folder.plain(other.provenance)
            and self.tables.keys() == other.tables.keys()
            and self.heads.equals(other.heads)
            and all(self.tables[name].equals(other.tables[name]) for name in self.tables)
            and self.examples.keys() == other.examples.keys()
            and all(np.array_equal(value, other.examples[key]) for key, value in self.examples.items())
        )

    def as_dict(self) -> dict[str, Any]:
        """Provenance and heads as plain values that JSON can hold; NaN becomes None."""
        return report_folder.plain({"provenance": self.provenance, "heads": self.heads.to_dict("records")})

    def _table(self, name: str, why: str) -> pd.DataFrame:
        if name not in self.tables:
            there = f"; it has {', '.join(self.tables)}" if self.tables else ""
            raise ReportError(f"the report has no table {name!r} ({why}){there}")
        return self.tables[name]

    def _name(self) -> str:
        return str(self.provenance.get("model") or "an unnamed model")

    # Shown -----------------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        return f"HeadReport({self._name()}: {len(self.heads)} heads, {counts})"

    def __str__(self) -> str:
        from sat_probe.reports.terminal import as_text

        return as_text(self)

    def __rich__(self) -> RenderableType:
        from sat_probe.reports.terminal import as_rich

        return as_rich(self)

    def _repr_html_(self) -> str:
        from sat_probe.reports.terminal import as_html

        return as_html(self)
