"""Boundary counts of many sources and settings, and their tables: tuned on some speakers, scored on the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_probe.errors import ConfigurationError, CorpusError
from sat_probe.measures.boundaries.counting import Counting
from sat_probe.measures.boundaries.hits import COMPONENTS, count_boundaries
from sat_probe.measures.boundaries.score import bootstrap_interval, boundary_rates, r_value
from sat_probe.phones.corpora.rows import Utterance
from sat_probe.studies.segmentation.sources import Boundaries, Settings, Source

Part = Literal["validation", "test"]
Counts = NDArray[np.int32]
_PLACE = {"layer": "Int64", "head": "Int64"}


class Tally:
    """Boundary counts of every source, setting and utterance, against references and against the teacher.

    Counts are kept in arrays with a place for each utterance, so the tallies of several processes can be added up.

    Args:
        sources: all sources.
        parts: the part of each utterance, by id, in the order of the corpus.
        settings: that are tried.
        tolerance: of a boundary (s).
        counting: rule of the score.

    Attributes:
        counted: (utterances,) 1 for those that were added.
        counts: (settings of all sources, utterances, components) against the reference.
        agreements: likewise against the teacher, filled for attention only.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        parts: Mapping[str, Part],
        settings: Settings,
        tolerance: float,
        counting: Counting,
    ) -> None:
        self.parts, self.settings = dict(parts), settings
        self.tolerance, self.counting = tolerance, counting
        self._places = {name: place for place, name in enumerate(self.parts)}
        self._rows: dict[Source, slice] = {}
        count = teachable = 0
        for source in sorted(sources, key=lambda one: one.kind != "attention"):  # attention first
            self._rows[source] = slice(count, count := count + len(source.parameters(settings)))
            teachable = count if source.kind == "attention" else teachable
        self.counted = np.zeros(len(self.parts), np.int32)
        self.counts = np.zeros((count, len(self.parts), len(COMPONENTS)), np.int32)
        self.agreements = np.zeros((teachable, len(self.parts), len(COMPONENTS)), np.int32)

    def add(
        self,
        utterance_id: str,
        reference: Boundaries,
        found: Iterable[tuple[Source, list[Boundaries]]],
        teacher: Boundaries,
    ) -> None:
        """Count one utterance.

        Args:
            utterance_id: one of the parts.
            reference: its reference boundaries (s).
            found: the boundaries (s) that each source predicts with each of its settings.
            teacher: the boundaries (s) of the teacher.
        """
        place = self._places[utterance_id]
        for source, predictions in found:
            rows, tried = self._rows[source], len(predictions)
            against = {"counts": reference} | ({"agreements": teacher} if source.kind == "attention" else {})
            for name, truth in against.items():
                hits = count_boundaries([truth] * tried, predictions, self.tolerance, self.counting)
                getattr(self, name)[rows, place] = hits
        self.counted[place] = 1

    @property
    def utterances(self) -> dict[str, Part]:
        """The part of each utterance that was added, by id."""
        return {name: part for name, part in self.parts.items() if self.counted[self._places[name]]}

    def state_dict(self) -> dict[str, Counts]:
        """Return the counts."""
        return {"counted": self.counted, "counts": self.counts, "agreements": self.agreements}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the counts."""
        for name, mine in self.state_dict().items():
            mine[...] = state[name]

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], pd.DataFrame]:
        """Return the table, the curve, the row chosen without labels, and the counts per utterance; see `Segmentation`.

        Raises:
            CorpusError: if a part has no utterance.
        """
        used = self.counted > 0
        validating = np.array(list(self.utterances.values())) == "validation"
        if validating.all() or not validating.any():
            raise CorpusError("one part has no utterance whose audio can be used; see the warnings")
        rows: list[dict[str, Any]] = []
        curves: list[dict[str, Any]] = []
        unlabelled: list[dict[str, Any]] = []
        tested: list[dict[str, Any]] = []  # per source, at its tuned setting
        ids = [name for name, part in self.utterances.items() if part == "test"]
        for source, rows_of in self._rows.items():
            counts = self.counts[rows_of][:, used]  # (settings, utterances, components)
            best = _best(_r_values(counts[:, validating]))
            row = self._row(source, counts, best, validating)
            if source.kind == "attention":
                agreement = _r_values(self.agreements[rows_of][:, used][:, validating])
                agreed = _best(agreement)
                row["agreement"] = float(agreement[agreed])
                unlabelled.append(self._row(source, counts, agreed, validating) | {"agreement": row["agreement"]})
            rows.append(row)
            curves += self._curve(source, counts, best, validating)
            components = zip(COMPONENTS, counts[best, ~validating].T.astype(np.int64), strict=True)
            tested.append({"utterance": ids, **_names(source), **dict(components)})
        label_free = max(unlabelled, key=lambda row: row["agreement"])
        table = pd.DataFrame(rows).sort_values("validation_r_value", ascending=False, kind="stable")
        of_kinds = [pd.DataFrame(tested[index]) for index in table.groupby("source", sort=False).head(1).index]
        table = table.reset_index(drop=True).astype(_PLACE)
        heads = table["source"] == "attention"
        table["choice"] = ""
        table.loc[table.index[heads][0], "choice"] = "validation"
        chosen = heads & (table["layer"] == label_free["layer"]) & (table["head"] == label_free["head"])
        table.loc[chosen, "choice"] = (table.loc[chosen, "choice"] + " label_free").str.strip()
        per_utterance = pd.concat(of_kinds, ignore_index=True).astype(_PLACE)
        return table, pd.DataFrame(curves).astype(_PLACE), label_free, per_utterance

    def _row(self, source: Source, counts: Counts, setting: int, validating: NDArray[np.bool_]) -> dict[str, Any]:
        alpha, beta = source.parameters(self.settings)[setting]
        validation = float(_r_values(counts[:, validating])[setting])
        low, high = bootstrap_interval(counts[setting, ~validating].astype(np.int64))
        return {
            **_names(source), "alpha": alpha, "beta": beta, "validation_r_value": validation, "agreement": np.nan,
            **_scores(counts[setting, ~validating]), "r_value_low": low, "r_value_high": high,
        }  # fmt: skip

    def _curve(
        self, source: Source, counts: Counts, best: int, validating: NDArray[np.bool_]
    ) -> Iterator[dict[str, Any]]:
        parameters = source.parameters(self.settings)
        for setting, (alpha, beta) in enumerate(parameters):
            if alpha == parameters[best][0] or np.isnan(alpha):
                scores = _scores(counts[setting, ~validating])
                yield {**_names(source), "alpha": alpha, "beta": beta, **scores}


def _best(scores: NDArray[np.float64]) -> int:
    """Return the index of the highest score; 0 if none is a number."""
    return int(np.argmax(np.where(np.isnan(scores), -np.inf, scores)))


def _names(source: Source) -> dict[str, Any]:
    names = source.kind, *(None if index < 0 else index for index in (source.layer, source.head))
    return dict(zip(("source", "layer", "head"), names, strict=True))


def _scores(counts: Counts) -> dict[str, Any]:
    references, predictions, hits, prediction_hits = (int(total) for total in counts.sum(axis=0, dtype=np.int64))
    rates = boundary_rates(references, predictions, hits, prediction_hits)
    components = {"references": references, "predictions": predictions, "hits": hits}
    return {**components, **{name: float(value) for name, value in rates.items()}}


def _r_values(counts: Counts) -> NDArray[np.float64]:
    """Return the R-value of each setting from (settings, utterances, components)."""
    totals = counts.sum(axis=1, dtype=np.int64)
    return r_value(totals[:, 0], totals[:, 1], totals[:, 2])


@dataclass(frozen=True, slots=True)
class SpeakerSplit:
    """Aligned utterances in two parts.

    Attributes:
        parts: the part of each aligned utterance, by id, in the order of the corpus.
        speakers: the speaker of each; its id where speakers are unknown, or there is only one.
        rate: reference boundaries per second of the validation part.
    """

    parts: dict[str, Part]
    speakers: dict[str, str]
    rate: float

    def speakers_of(self, part: Part) -> list[str]:
        """Return the speakers of a part, sorted."""
        return sorted({self.speakers[name] for name, own in self.parts.items() if own == part})


def split_speakers(corpus: Iterable[Utterance], share: float, seed: int) -> SpeakerSplit:
    """Split the aligned utterances of a corpus by speaker; by utterance if there are no two known speakers.

    Args:
        corpus: utterances.
        share: of the speakers that validate, 0 to 1.
        seed: random seed.

    Raises:
        CorpusError: if fewer than two utterances have an alignment.
        ConfigurationError: if share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ConfigurationError(f"validation_share must lie between 0 and 1, got {share!r}")
    known: dict[str, str | None] = {}
    sizes: dict[str, tuple[int, float]] = {}  # boundaries, seconds
    for one in corpus:
        if one.alignment is not None and len(one.alignment) > 1:
            samples = one.alignment.duration or int(one.alignment.ends[-1])
            known[one.id] = one.speaker
            sizes[one.id] = len(one.alignment.boundaries()), samples / one.alignment.sampling_rate
    if len(known) < 2:
        raise CorpusError(
            f"boundary scores need at least two utterances with phone alignments, found {len(known)}; "
            "put .phn or TextGrid files next to the audio, or make them with sat-probe align"
        )
    by_speaker = len(set(known.values()) - {None}) > 1
    speakers = {name: own if by_speaker and own is not None else name for name, own in known.items()}
    groups = sorted(set(speakers.values()))
    order = np.random.default_rng(seed).permutation(len(groups))
    count = min(max(round(share * len(groups)), 1), len(groups) - 1)
    validating = {groups[index] for index in order[:count]}
    parts: dict[str, Part] = {name: "validation" if own in validating else "test" for name, own in speakers.items()}
    chosen = [sizes[name] for name, part in parts.items() if part == "validation"]
    rate = sum(boundaries for boundaries, _ in chosen) / sum(seconds for _, seconds in chosen)
    return SpeakerSplit(parts, speakers, rate)
