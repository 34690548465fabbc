"""Phone segmentation: boundaries from every head, every layer and baselines without a model, on the same utterances.

Settings are tuned on some speakers and scored on the others. The head is chosen twice: by its validation score, and
without any label, by the agreement of its boundaries with those of MFCC at a fixed setting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_probe.errors import ReportError
from sat_probe.measures.boundaries.counting import Counting
from sat_probe.measures.boundaries.kernel_gram import distances
from sat_probe.measures.cepstra import cepstra_grid, mfcc
from sat_probe.models.attention.probe import Observer
from sat_probe.models.probed import ProbedModel
from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.report_folder import check_destination
from sat_probe.studies.choices import StudyKeywords
from sat_probe.studies.corpus_pass.accumulation import Accumulator, CorpusPass
from sat_probe.studies.corpus_pass.batches import Batch
from sat_probe.studies.corpus_pass.processes import gather
from sat_probe.studies.example_utterance import segmented_example
from sat_probe.studies.head_analysis import AnalysisOptions, analyze
from sat_probe.studies.inputs import Inputs
from sat_probe.studies.run_options import RunOptions, lists_keywords, open_study, run_facts
from sat_probe.studies.segmentation.sources import (
    BASELINES,
    Boundaries,
    Settings,
    Source,
    baseline_boundaries,
    kernel_boundaries,
    model_boundaries,
    model_sources,
)
from sat_probe.studies.segmentation.tally import Tally, split_speakers

if TYPE_CHECKING:
    from typing_extensions import Unpack

# the fixed MFCC setting that the choice without labels agrees with
TEACHER = Settings(alphas=(0.5,), betas=(1.75,))


@dataclass(frozen=True, slots=True)
class SegmentationOptions:
    """What a segmentation measures; as `segment_model` describes it."""

    counting: Counting
    tolerance: float = 0.02
    settings: Settings = field(default_factory=Settings)
    validation_share: float = 0.5
    seed: int = 0


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
    values = {str(name): value.item() if isinstance(value, np.generic) else value for name, value in row.items()}
    return {name: None if pd.isna(value) else value for name, value in values.items()}


@lists_keywords
def segment_model(
    model: Any = None,
    dataset: Any = None,
    *,
    counting: Counting,
    tolerance: float = 0.02,
    settings: Settings | None = None,
    validation_share: float = 0.5,
    seed: int = 0,
    **keywords: Unpack[StudyKeywords],
) -> Segmentation:
    """Predict the phone boundaries of a corpus from every head of a model, and score them.

    The tables are added to the report in `output`, if there is one; otherwise such a report is made first.

    Args:
        model: as `analyze_model` takes it.
        dataset: likewise, with phone alignments; the inner boundaries of their segments are the reference.
        counting: rule of the score, see `sat_probe.measures.boundaries.score`.
        tolerance: of a boundary (s).
        settings: alphas, betas, features and shifts to try.
        validation_share: share of the speakers that validate; the others are for the test.
        seed: random seed for the choice of validating speakers and the random boundaries.
        **keywords: of the corpus, the model and the run, see `StudyKeywords`.

    Raises:
        CorpusError: if fewer than two utterances have an alignment, or a part has none that can be used.
        ConfigurationError: if validation_share leaves a part empty, or a setting is out of range.
        ModelError: if the model cannot be loaded.
        AudioError: at the first bad file, if strict.
        ReportError: if `output` holds something else, or a checkpoint belongs to another run.

    Example:
        >>> from sat_probe import segment_model
        >>> found = segment_model(counting="rasanen", limit=2, progress=False)
        >>> len(found.table)  # 36 heads, 4 hidden states, 5 baselines
        45
    """
    options = SegmentationOptions(counting, tolerance, settings or Settings(), validation_share, seed)
    inputs, run = open_study(model, dataset, keywords)
    found = segment(inputs, options, run)
    if run.output is not None:
        run.finish(found.added_to(_report(inputs, seed, run)), inputs.process)
    return found


def segment(inputs: Inputs, options: SegmentationOptions, run: RunOptions) -> Segmentation:
    """Return the scores of a model and a corpus that are open already, unsaved; see `segment_model`."""
    model, settings = inputs.model, options.settings
    chosen = split_speakers(inputs.corpus, options.validation_share, options.seed)
    sources = [*model_sources(model), *map(Source, BASELINES)]
    tally = Tally(sources, chosen.parts, settings, options.tolerance, options.counting)
    sums = _BoundarySums(model, tally, settings, chosen.rate, options.seed)
    seen = CorpusPass(
        model,
        inputs.corpus,
        {"boundaries": sums},
        inputs.process,
        run.strict,
        only=chosen.parts.keys(),
        caption="Segmenting",
    )
    seen.run(run.checkpoint("segmentation", inputs, asdict(options)), run.resume, run.progress)
    seen.warn()
    table, curve, label_free, counts = tally.tables()
    used = list(tally.utterances.values())
    provenance = {
        **inputs.provenance,
        **seen.provenance(),
        "unaligned": inputs.corpus.missing_alignments,
        "utterances": {part: used.count(part) for part in ("validation", "test")},
        "speakers": {part: chosen.speakers_of(part) for part in ("validation", "test")},
        "counting": options.counting,
        "tolerance": options.tolerance,
        "alphas": list(settings.alphas),
        "betas": list(settings.betas),
        "attention_features": settings.features,
        "shifts": settings.shifts,
        "upsampling_factor": model.upsampling_factor,
        "seed": options.seed,
        **run_facts(),
    }
    return Segmentation(table, curve, label_free, provenance, counts)


@dataclass(slots=True)
class _BoundarySums(Accumulator):
    """Boundaries of every source, counted utterance by utterance."""

    alone = waveforms = True

    model: ProbedModel
    sums: Tally
    settings: Settings
    rate: float
    seed: int

    def begin(self, batch: Batch) -> Sequence[Observer]:
        """Count the boundaries of one utterance."""
        (utterance,), (waveform,) = batch.utterances, batch.waveforms
        assert utterance.alignment is not None
        sampling_rate = self.model.sampling_rate
        found = chain(
            model_boundaries(self.model, waveform, self.settings),
            baseline_boundaries(waveform, sampling_rate, self.rate, utterance.id, self.seed, self.settings),
        )
        teacher = _teacher(waveform, sampling_rate)
        self.sums.add(utterance.id, utterance.alignment.boundaries(), found, teacher)
        return ()


def _teacher(waveform: NDArray[np.float32], sampling_rate: int) -> Boundaries:
    grid = cepstra_grid(sampling_rate // 100, sampling_rate)
    cepstra = mfcc(waveform, hop=grid.hop, window=sampling_rate // 40, sampling_rate=sampling_rate)
    return kernel_boundaries(distances(cepstra), TEACHER, grid)[0]


def _report(inputs: Inputs, seed: int, run: RunOptions) -> HeadReport:
    """Return the report in the output folder if it is of the same model and corpus, else a new one."""
    assert run.output is not None
    earlier = None
    if inputs.process.is_main:
        with suppress(ReportError):
            if check_destination(run.output, inputs.provenance):
                earlier = HeadReport.load(run.output)
    earlier = gather(inputs.process, earlier)[0]
    return analyze(inputs, AnalysisOptions(seed=seed), run) if earlier is None else earlier
