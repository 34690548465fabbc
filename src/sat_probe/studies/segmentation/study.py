"""Which head knows where phones begin? Every head, every layer and baselines without a model, on the same utterances.

Settings are tuned on some speakers and scored on the others. The head is chosen twice: by its validation score, and
without any label, by how well its boundaries agree with those that MFCC give at a fixed setting.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from sat_probe.audio import read_audio
from sat_probe.errors import AudioError, ConfigurationError, CorpusError
from sat_probe.measures.boundaries.counting import Counting
from sat_probe.measures.boundaries.kernel_gram import distances
from sat_probe.measures.cepstra import cepstra_grid, mfcc
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.corpus import Corpus, load_corpus
from sat_probe.phones.corpora.rows import Utterance
from sat_probe.reports.head_report import HeadReport
from sat_probe.studies.choices import BUNDLED, ModelChoice, shown_name
from sat_probe.studies.example_boundaries import segmented_example
from sat_probe.studies.inputs import load_model
from sat_probe.studies.provenance import versions
from sat_probe.studies.segmentation.sources import (
    Boundaries,
    Settings,
    Source,
    baseline_boundaries,
    kernel_boundaries,
    model_boundaries,
)
from sat_probe.studies.segmentation.tally import Part, Tally

# the fixed setting that the choice without labels listens to
TEACHER = Settings(alphas=(0.5,), betas=(1.75,))

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Segmentation:
    """Scores of all sources.

    Attributes:
        table: one row per source, best validation score first: ``source``, ``layer``, ``head``, the tuned ``alpha`` and
            ``beta`` (for peaks the prominence), ``validation_r_value``, ``agreement`` with the fixed MFCC setting
            (R-value, heads only), then components, rates and the 95 % interval of the R-value on the test speakers;
            ``choice`` is "validation" and "label_free" at the heads chosen by either.
        curve: test rates of each source at its tuned alpha, one row per beta.
        label_free: the row of the head, alpha and beta chosen without labels, in the columns of ``table``.
        provenance: model, corpus, speakers of both parts, counting rule, tolerance, settings, versions.
        counts: boundary components per test utterance of the best source of each kind (by validation), so that two
            sources can be compared on the same utterances (:mod:`sat_probe.measures.boundaries.difference`).
    """

    table: pd.DataFrame
    curve: pd.DataFrame
    label_free: dict[str, Any]
    provenance: dict[str, Any]
    counts: pd.DataFrame = field(default_factory=pd.DataFrame)

    def added_to(self, report: HeadReport) -> HeadReport:
        """The report with the tables ``segmentation`` and ``segmentation_curve``, and where they come from."""
        tables = {**report.tables, "segmentation": self.table, "segmentation_curve": self.curve}
        described = {**self.provenance, "label_free": _plain(self.label_free)}
        provenance = report.provenance.replace(segmentation=described)
        example = segmented_example(report.example, self.table, described)
        return replace(report, tables=tables, provenance=provenance, example=example)

    def as_dict(self) -> dict[str, Any]:
        """Everything as lists and dicts that JSON can hold; missing values are None."""
        return {
            "provenance": self.provenance,
            "label_free": _plain(self.label_free),
            "segmentation": [_plain(row) for row in self.table.to_dict("records")],
            "segmentation_curve": [_plain(row) for row in self.curve.to_dict("records")],
        }

    def row(self, source: str) -> pd.Series:
        """The best row of a kind of source on the validation part."""
        return self.table[self.table["source"] == source].iloc[0]


def segment_model(
    model: str | Path | ProbedModel | None = None,
    dataset: str | Path | Corpus | None = None,
    *,
    counting: Counting,
    tolerance: float = 0.02,
    settings: Settings | None = None,
    validation_share: float = 0.5,
    data_dir: str | Path | None = None,
    alignments: str | Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    revision: str | None = None,
    allow_pickle: bool = False,
    device: str | torch.device | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Segmentation:
    """Predict the phone boundaries of a corpus from every head of a model, and score them.

    Args:
        model: as :func:`~sat_probe.studies.head_analysis.analyze_model`.
        dataset: a corpus with phone alignments; the inner boundaries of its segments are the reference.
        counting: rule of the score, see :mod:`sat_probe.measures.boundaries.score`.
        tolerance: seconds.
        settings: alphas, betas, features and shifts that are tried.
        validation_share: of the speakers; the others are for the test.
        data_dir, alignments, split, limit, revision, allow_pickle, device: as ``analyze_model``.
        seed: decides which speakers validate, and where random boundaries lie.
        progress: show a progress bar on standard error.

    Raises:
        CorpusError: if fewer than two utterances have an alignment.
        ConfigurationError: if validation_share leaves a part empty, or a setting is out of range.
        ModelError: if the model cannot be loaded.
    """
    settings = settings or Settings()
    corpus = dataset if isinstance(dataset, Corpus) else load_corpus(
        dataset or BUNDLED, data_dir=data_dir, alignments=alignments, split=split, limit=limit
    )  # fmt: skip
    parts, grouping = split_speakers(corpus, validation_share, seed)
    probed = load_model(model, revision=revision, device=device, allow_pickle=allow_pickle)
    rate = _boundary_rate(corpus, parts)
    tally = Tally(settings, tolerance, counting)
    counted: list[str] = []
    aligned = (utterance for utterance in corpus if utterance.id in parts)
    for utterance in tqdm(aligned, total=len(parts), unit="utt", desc="Segmenting", disable=not progress):
        try:
            waveform = read_audio(utterance.audio, probed.sampling_rate, utterance.id)
            found = _all_boundaries(probed, waveform, rate, utterance.id, seed, settings)
            assert utterance.alignment is not None
            teacher = _teacher(waveform, probed.sampling_rate)
            tally.add(utterance.alignment.boundaries(), parts[utterance.id], found, teacher)
            counted.append(utterance.id)
        except AudioError as error:
            logger.warning("%s: left out: %s", utterance.id, error)
    speakers = {
        part: sorted({g for u, g in grouping.items() if parts[u] == part}) for part in ("validation", "test")
    }
    provenance = {
        "model": ModelChoice(model).name,
        "revision": getattr(probed.config, "_commit_hash", None),
        "corpus": shown_name(corpus.name),
        "split": corpus.split,
        "utterances": {part: tally.parts.count(part) for part in ("validation", "test")},
        "speakers": speakers,
        "counting": counting,
        "tolerance": tolerance,
        "alphas": list(settings.alphas),
        "betas": list(settings.betas),
        "attention_features": settings.features,
        "shifts": settings.shifts,
        "upsampling_factor": probed.upsampling_factor,
        "seed": seed,
        "versions": versions(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }
    table, curve, label_free = tally.tables()
    return Segmentation(table, curve, label_free, provenance, tally.per_utterance(table, counted))


def split_speakers(
    corpus: Iterable[Utterance], share: float, seed: int
) -> tuple[dict[str, Part], dict[str, str]]:
    """Which part each aligned utterance belongs to, no speaker in both; and each utterance's speaker.

    Where speakers are unknown, or there is but one, utterances take their place.

    Raises:
        CorpusError: if fewer than two utterances have an alignment.
        ConfigurationError: if share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ConfigurationError(f"validation_share must lie between 0 and 1, got {share!r}")
    speakers = {u.id: u.speaker for u in corpus if u.alignment is not None and len(u.alignment) > 1}
    if len(speakers) < 2:
        raise CorpusError(
            f"boundary scores need at least two utterances with phone alignments, found {len(speakers)}; "
            "put .phn or TextGrid files beside the audio, or make them with sat-probe align"
        )
    known = {speaker for speaker in speakers.values() if speaker is not None}
    grouping = {u: s if s is not None and len(known) > 1 else u for u, s in speakers.items()}
    groups = sorted(set(grouping.values()))
    order = np.random.default_rng(seed).permutation(len(groups))
    count = min(max(round(share * len(groups)), 1), len(groups) - 1)
    validating = {groups[index] for index in order[:count]}
    parts: dict[str, Part] = {u: "validation" if g in validating else "test" for u, g in grouping.items()}
    return parts, grouping


def _all_boundaries(
    model: ProbedModel,
    waveform: NDArray[np.float32],
    rate: float,
    utterance_id: str,
    seed: int,
    settings: Settings,
) -> Iterator[tuple[Source, list[Boundaries]]]:
    yield from model_boundaries(model, waveform, settings)
    yield from baseline_boundaries(waveform, model.sampling_rate, rate, utterance_id, seed, settings)


def _teacher(waveform: NDArray[np.float32], sampling_rate: int) -> Boundaries:
    grid = cepstra_grid(sampling_rate // 100, sampling_rate)
    cepstra = mfcc(waveform, hop=grid.hop, window=sampling_rate // 40, sampling_rate=sampling_rate)
    return kernel_boundaries(distances(cepstra), TEACHER, grid)[0]


def _boundary_rate(corpus: Iterable[Utterance], parts: dict[str, Part]) -> float:
    """Reference boundaries per second of the validation part."""
    boundaries, seconds = 0, 0.0
    for utterance in corpus:
        alignment = utterance.alignment
        if alignment is not None and parts.get(utterance.id) == "validation":
            boundaries += len(alignment.boundaries())
            seconds += (alignment.duration or int(alignment.ends[-1])) / alignment.sampling_rate
    return boundaries / seconds


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    values = {
        str(name): value.item() if isinstance(value, np.generic) else value for name, value in row.items()
    }
    return {name: None if pd.isna(value) else value for name, value in values.items()}
