"""Results of phone segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from sat_probe.reports.head_report import HeadReport
from sat_probe.studies.example_boundaries import segmented_example


@dataclass(frozen=True)
class Segmentation:
    """Boundary scores of all sources.

    Attributes:
        table: one row per source, best validation score first: ``source``, ``layer``, ``head``, the tuned ``alpha`` and
            ``beta`` (for peaks the prominence), ``validation_r_value``, ``agreement`` with the fixed MFCC setting
            (R-value, heads only), then components, rates and the 95 % interval of the R-value on the test speakers;
            ``choice`` is "validation" or "label_free" at the heads that were chosen so.
        curve: test rates of each source at its tuned alpha, one row per beta.
        label_free: the row of the head, alpha and beta chosen without labels, in the columns of ``table``.
        provenance: model and corpus as in a report, speakers of both parts, counting rule, tolerance, settings.
        counts: boundary components per test utterance of the best source of each kind (by validation), so that two
            sources can be compared on the same utterances (:mod:`sat_probe.measures.boundaries.difference`).
    """

    table: pd.DataFrame
    curve: pd.DataFrame
    label_free: dict[str, Any]
    provenance: dict[str, Any]
    counts: pd.DataFrame = field(default_factory=pd.DataFrame)

    def added_to(self, report: HeadReport) -> HeadReport:
        """Return the report with the tables ``segmentation`` and ``segmentation_curve`` and their provenance."""
        tables = {**report.tables, "segmentation": self.table, "segmentation_curve": self.curve}
        described = {**self.provenance, "label_free": _plain(self.label_free)}
        provenance = report.provenance.replace(segmentation=described)
        example = segmented_example(report.example, self.table, described)
        return replace(report, tables=tables, provenance=provenance, example=example)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as lists and dicts that JSON can hold; missing values are None."""
        return {
            "provenance": self.provenance,
            "label_free": _plain(self.label_free),
            "segmentation": [_plain(row) for row in self.table.to_dict("records")],
            "segmentation_curve": [_plain(row) for row in self.curve.to_dict("records")],
        }

    def row(self, source: str) -> pd.Series:
        """Return the best row of a kind of source on the validation part."""
        return self.table[self.table["source"] == source].iloc[0]


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    values = {
        str(name): value.item() if isinstance(value, np.generic) else value for name, value in row.items()
    }
    return {name: None if pd.isna(value) else value for name, value in values.items()}
