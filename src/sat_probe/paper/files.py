"""Files of a study: report folders of the stages, and the published CSV and JSON tables.

A stage leaves a folder with `report.json` and parquet tables. `publish_tables` writes the tables of the page as CSV and
JSON, which browsers show and git compares; `StudyFiles` reads those.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from sat_probe.errors import ReportError
from sat_probe.files import replace_folder
from sat_probe.reports.report_folder import DESCRIPTION, plain, write_table

DIGITS = "%.6g"  # of numbers in the published tables; the page shows three or four
PUBLISHED = {  # name of a published table: folder and name of the table of a stage
    "{model}-heads": "analysis-{model}/heads",
    "{model}-concentration": "analysis-{model}/concentration",
    "{model}-operations": "analysis-{model}/operations",
    "{model}-speed": "speed-{model}/speed",
    "{model}-importance-{corpus}": "importance-{model}-{corpus}/importance",
    "{model}-importance_counts-{corpus}": "importance-{model}-{corpus}/importance_counts",
    "{model}-{setting}-segmentation": "segmentation-{model}-{setting}/segmentation",
    "{model}-{setting}-segmentation_counts": "segmentation-{model}-{setting}/segmentation_counts",
    "control": "control/control",
    "control_runs": "control/control_runs",
}
STUDY = "study.json"


def save_tables(folder: Path, provenance: Mapping[str, Any], tables: Mapping[str, pd.DataFrame]) -> None:
    """Save tables as a folder of parquet files with `report.json`, completely or not at all."""

    def write(fresh: Path) -> None:
        for name, table in tables.items():
            write_table(fresh, name, table)
        content = {"provenance": plain(provenance), "tables": list(tables)}
        (fresh / DESCRIPTION).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    folder.parent.mkdir(parents=True, exist_ok=True)
    replace_folder(folder, write)


def provenance_of(folder: Path) -> dict[str, Any]:
    """Return the provenance in the `report.json` of a folder.

    Raises:
        ReportError: if it cannot be read.
    """
    try:
        return dict(json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))["provenance"])
    except (OSError, ValueError, KeyError) as error:
        raise ReportError(f"{folder / DESCRIPTION}: cannot be read ({error})") from error


def read_run(folder: Path) -> dict[str, Any]:
    """Return the run.json of a model; {} if there is none."""
    try:
        return dict(json.loads((folder / "run.json").read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV, the same bytes on every machine."""
    table.to_csv(path, index=False, float_format=DIGITS, lineterminator="\n")


def publish_tables(output: Path, published: Path, facts: Mapping[str, Any]) -> None:
    """Write the tables of the finished stages into `published`/tables, and the facts into `published`/study.json.

    Args:
        output: folder of the study.
        published: folder of the future README.md.
        facts: names of `models`, `settings` of segmentation, corpora for `probing` and `tried` models, and anything
            else the page shows.
    """
    tables = published / "tables"
    shutil.rmtree(tables, ignore_errors=True)
    tables.mkdir(parents=True)
    origins: dict[str, Any] = {}
    every = product([*facts["models"], *facts["tried"]], facts["probing"], facts["settings"])
    for (model, corpus, setting), (name, place) in product(every, PUBLISHED.items()):
        named = {"model": model, "corpus": corpus, "setting": setting}
        source = output / f"{place.format(**named)}.parquet"
        target = tables / f"{name.format(**named)}.csv"
        if source.is_file() and not target.exists():
            write_csv(pd.read_parquet(source), target)
            origins.setdefault(source.parent.name, provenance_of(source.parent))
    content = plain({**facts, "origins": origins})
    (published / STUDY).write_text(json.dumps(content, indent=1, sort_keys=True) + "\n", encoding="utf-8")


class StudyFiles:
    """The published tables of a study, read on demand.

    Args:
        folder: contains `study.json` and `tables/`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def facts(self) -> dict[str, Any]:
        """`study.json`.

        Raises:
            ReportError: if it cannot be read.
        """
        try:
            return dict(json.loads((self.folder / STUDY).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise ReportError(f"{self.folder}: holds no study ({error})") from error

    @property
    def models(self) -> dict[str, int]:
        """C_num of each model, in the order of the study."""
        return dict(self.facts["models"])

    @property
    def settings(self) -> list[str]:
        """Settings of segmentation, the paper's first."""
        return list(self.facts["settings"])

    @property
    def probing(self) -> list[str]:
        """Corpora that probes were trained on."""
        return list(self.facts.get("probing", []))

    def has(self, name: str) -> bool:
        """Return whether a table exists."""
        return (self.folder / self.links(name)).is_file()

    def links(self, *names: str) -> str:
        """Return the paths of tables, relative to the study, separated by commas."""
        return ", ".join(f"tables/{name}.csv" for name in names)

    def table(self, name: str) -> pd.DataFrame:
        """Return a table by the name of its file.

        Raises:
            ReportError: if it does not exist.
        """
        if not self.has(name):
            raise ReportError(f"the study has no table {name!r}")
        return pd.read_csv(io.StringIO((self.folder / self.links(name)).read_text(encoding="utf-8")))

    def origin(self, folder: str) -> dict[str, Any]:
        """Return the provenance of a stage's folder, {} if the stage is not finished."""
        return dict(self.facts["origins"].get(folder, {}))
