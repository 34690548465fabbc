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
from pathlib import Path
from typing import Any

import pandas as pd

from sat_probe.errors import ReportError
from sat_probe.files import replace_folder
from sat_probe.reports.report_folder import DESCRIPTION, plain, write_table

DIGITS = "%.6g"  # of numbers in the published tables; the page shows three or four
OF_MODELS = {
    "heads": "analysis", "concentration": "analysis", "operations": "analysis", "speed": "speed",
}  # fmt: skip
BOUNDARIES = ("segmentation", "segmentation_counts")
ABLATIONS = ("importance", "importance_counts")
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

    def keep(table: str, folder: Path, name: str) -> None:
        source = folder / f"{table}.parquet"
        if source.is_file():
            frame = pd.read_parquet(source)
            frame.to_csv(tables / f"{name}.csv", index=False, float_format=DIGITS, lineterminator="\n")
            origins.setdefault(folder.name, provenance_of(folder))

    for model in facts["models"]:
        for table, stage in OF_MODELS.items():
            keep(table, output / f"{stage}-{model}", f"{model}-{table}")
        for corpus in facts["probing"]:
            for table in ABLATIONS:
                keep(table, output / f"importance-{model}-{corpus}", f"{model}-{table}-{corpus}")
    for model in [*facts["models"], *facts["tried"]]:
        for setting in facts["settings"]:
            for table in BOUNDARIES:
                keep(table, output / f"segmentation-{model}-{setting}", f"{model}-{setting}-{table}")
    for table in ("control", "control_runs"):
        keep(table, output / "control", table)
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
