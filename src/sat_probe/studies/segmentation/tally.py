"""Boundary counts of many sources and settings, and the tables that follow: tuned on one part, scored on the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_probe.errors import CorpusError
from sat_probe.measures.boundaries.counting import Counting
from sat_probe.measures.boundaries.hits import COMPONENTS, count_boundaries
from sat_probe.measures.boundaries.score import bootstrap_interval, boundary_rates, r_value
from sat_probe.studies.segmentation.sources import PEAK_PROMINENCES, Boundaries, Settings, Source

Part = Literal["validation", "test"]
_PLACE = ("layer", "head")


class Tally:
    """Boundary counts of every source, setting and utterance, against references and against the teacher."""

    def __init__(self, settings: Settings, tolerance: float, counting: Counting) -> None:
        self.settings = settings
        self.tolerance, self.counting = tolerance, counting
        self.parts: list[Part] = []
        self.counts: dict[Source, list[NDArray[np.int64]]] = {}
        self.agreements: dict[Source, list[NDArray[np.int64]]] = {}

    def add(
        self,
        reference: Boundaries,
        part: Part,
        found: Iterable[tuple[Source, list[Boundaries]]],
        teacher: Boundaries,
    ) -> None:
        """Count one utterance: its reference boundaries, and what each source predicts with each setting (s)."""
        for source, predictions in found:
            tried = len(predictions)
            counts = count_boundaries([reference] * tried, predictions, self.tolerance, self.counting)
            self.counts.setdefault(source, []).append(counts)
            if source.kind == "attention":
                agreed = count_boundaries([teacher] * tried, predictions, self.tolerance, self.counting)
                self.agreements.setdefault(source, []).append(agreed)
        self.parts.append(part)

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
        """Table, curve and the row chosen without labels."""
        validating = np.array(self.parts) == "validation"
        if validating.all() or not validating.any():
            raise CorpusError("one part has no utterance whose audio can be used; see the warnings")
        rows: list[dict[str, Any]] = []
        curves: list[dict[str, Any]] = []
        unlabelled: list[dict[str, Any]] = []
        for source, utterances in self.counts.items():
            counts = np.stack(utterances, axis=1)  # (settings, utterances, components)
            scores = _r_values(counts[:, validating])
            best = int(np.nanargmax(np.where(np.isnan(scores), -np.inf, scores)))
            row = self._row(source, counts, best, validating)
            if source in self.agreements:
                agreement = _r_values(np.stack(self.agreements[source], axis=1)[:, validating])
                agreed = int(np.nanargmax(np.where(np.isnan(agreement), -np.inf, agreement)))
                row["agreement"] = float(agreement[agreed])
                unlabelled.append(
                    self._row(source, counts, agreed, validating) | {"agreement": row["agreement"]}
                )
            rows.append(row)
            curves += self._curve(source, counts, best, validating)
        label_free = max(unlabelled, key=lambda row: row["agreement"])
        table = pd.DataFrame(rows).sort_values("validation_r_value", ascending=False, kind="stable")
        table = table.reset_index(drop=True).astype({"layer": "Int64", "head": "Int64"})
        heads = table["source"] == "attention"
        table["choice"] = ""
        table.loc[table.index[heads][0], "choice"] = "validation"
        chosen = heads & (table["layer"] == label_free["layer"]) & (table["head"] == label_free["head"])
        table.loc[chosen, "choice"] = (table.loc[chosen, "choice"] + " label_free").str.strip()
        curve = pd.DataFrame(curves).astype({"layer": "Int64", "head": "Int64"})
        return table, curve, label_free

    def per_utterance(self, table: pd.DataFrame, ids: Sequence[str]) -> pd.DataFrame:
        """Components per test utterance of the best source of each kind at its tuned setting, to compare sources by.

        Args:
            table: as :meth:`tables` gives it.
            ids: of the utterances, in the order they were added.

        Returns:
            Columns ``utterance``, ``source``, ``layer``, ``head`` and those of ``boundary_hits.COMPONENTS``.
        """
        testing = [index for index, part in enumerate(self.parts) if part == "test"]
        parts = []
        for _, row in table.groupby("source", sort=False).head(1).iterrows():
            source = Source(row["source"], *(-1 if pd.isna(row[name]) else int(row[name]) for name in _PLACE))
            wanted = np.array([row["alpha"], row["beta"]], dtype=float)
            tried = np.array(self._parameters(source), dtype=float)
            setting = int(np.flatnonzero([np.array_equal(one, wanted, equal_nan=True) for one in tried])[0])
            counts = np.stack([self.counts[source][index][setting] for index in testing])
            named = {"utterance": [ids[index] for index in testing], **_names(source)}
            parts.append(pd.DataFrame({**named, **dict(zip(COMPONENTS, counts.T, strict=True))}))
        return pd.concat(parts, ignore_index=True).astype({"layer": "Int64", "head": "Int64"})

    def _parameters(self, source: Source) -> list[tuple[float, float]]:
        if source.kind in ("uniform", "random"):
            return [(np.nan, np.nan)]
        if source.kind == "mel_difference":
            return [(np.nan, prominence) for prominence in PEAK_PROMINENCES]
        return self.settings.pairs()

    def _row(
        self, source: Source, counts: NDArray[np.int64], setting: int, validating: NDArray[np.bool_]
    ) -> dict[str, Any]:
        alpha, beta = self._parameters(source)[setting]
        validation = float(_r_values(counts[:, validating])[setting])
        low, high = bootstrap_interval(counts[setting, ~validating])
        return {
            **_names(source), "alpha": alpha, "beta": beta, "validation_r_value": validation, "agreement": np.nan,
            **_scores(counts[setting, ~validating]), "r_value_low": low, "r_value_high": high,
        }  # fmt: skip

    def _curve(
        self, source: Source, counts: NDArray[np.int64], best: int, validating: NDArray[np.bool_]
    ) -> Iterator[dict[str, Any]]:
        parameters = self._parameters(source)
        for setting, (alpha, beta) in enumerate(parameters):
            if alpha == parameters[best][0] or np.isnan(alpha):
                scores = _scores(counts[setting, ~validating])
                yield {**_names(source), "alpha": alpha, "beta": beta, **scores}


def _names(source: Source) -> dict[str, Any]:
    names = source.kind, *(None if index < 0 else index for index in (source.layer, source.head))
    return dict(zip(("source", "layer", "head"), names, strict=True))


def _scores(counts: NDArray[np.int64]) -> dict[str, Any]:
    references, predictions, hits, prediction_hits = (int(total) for total in counts.sum(axis=0))
    rates = boundary_rates(references, predictions, hits, prediction_hits)
    components = {"references": references, "predictions": predictions, "hits": hits}
    return {**components, **{name: float(value) for name, value in rates.items()}}


def _r_values(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """R-value of each setting from (settings, utterances, components)."""
    totals = counts.sum(axis=1)
    return r_value(totals[:, 0], totals[:, 1], totals[:, 2])
