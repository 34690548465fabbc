"""Head analysis: one pass of a corpus through a model, one report of what each head does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd

from sat_probe.errors import ConfigurationError
from sat_probe.frames import FrameGrid
from sat_probe.measures.bootstrap import PoissonBootstrap
from sat_probe.measures.head_accumulator import HeadMetrics, HeadMetricsAccumulator
from sat_probe.measures.head_metrics import RANKED
from sat_probe.measures.relations.accumulator import RelationMapAccumulator
from sat_probe.measures.relations.result import RelationMaps
from sat_probe.measures.relations.tables import concentration_frame, operations_frame, relation_frame
from sat_probe.models.attention.probe import Observer
from sat_probe.phones.phone_set import PhoneSet
from sat_probe.reports.head_report import HeadReport
from sat_probe.studies.choices import StudyKeywords
from sat_probe.studies.corpus_pass.accumulation import Accumulator, CorpusPass
from sat_probe.studies.corpus_pass.batches import Batch
from sat_probe.studies.corpus_pass.processes import Process, gather, share
from sat_probe.studies.example_utterance import example_utterance
from sat_probe.studies.inputs import Inputs
from sat_probe.studies.run_options import RunOptions, lists_keywords, open_study, run_facts

if TYPE_CHECKING:
    from typing_extensions import Unpack

RelationRate = Literal["upsampled", "model"]
_MILLISECONDS = {"mean_offset": "mean_offset_ms", "spread": "spread_ms"}  # frames inside, time in reports


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """What a head analysis measures; as `analyze_model` describes it."""

    relation_rate: RelationRate = "upsampled"
    leave_out_own_segment: bool = False
    seed: int = 0
    bootstrap_replicates: int = 1000

    def check(self) -> None:
        """Raise a ConfigurationError for a value that does not exist."""
        if self.relation_rate not in get_args(RelationRate):
            raise ConfigurationError(
                f"unknown relation_rate {self.relation_rate!r}: choose one of {', '.join(get_args(RelationRate))}"
            )
        if self.bootstrap_replicates < 1:
            raise ConfigurationError(f"replicates must be 1 or more, got {self.bootstrap_replicates}")


@lists_keywords
def analyze_model(
    model: Any = None,
    dataset: Any = None,
    *,
    relation_rate: RelationRate = "upsampled",
    leave_out_own_segment: bool = False,
    seed: int = 0,
    replicates: int = 1000,
    **keywords: Unpack[StudyKeywords],
) -> HeadReport:
    """Run a corpus through a model once and report what each attention head does.

    Args:
        model: a name on the Hub, a folder, "bundled", or a speech model of transformers in memory; by default the
            Mockingjay that comes with sat-probe.
        dataset: a name, a folder of audio, an id on the Hub, or data in memory, as `load_corpus` takes it; by default
            the speech that comes with sat-probe.
        relation_rate: "upsampled" labels every input frame of a model that stacks frames, as the paper's supplement
            does; "model" gives each encoder frame one label. The same where nothing is stacked.
        leave_out_own_segment: relation maps without pairs of frames in the same phone (Shim et al. 2022).
        seed: random seed for the bootstrap intervals.
        replicates: number of bootstrap replicates.
        **keywords: of the corpus, the model and the run, see `StudyKeywords`.

    Returns:
        The report: one row in `report.heads` per head that the model has, under its original number; with alignments
        also relation maps. Of several processes, the report of the first one holds the example.

    Raises:
        ModelError: if the model cannot be loaded or probed.
        CorpusError: if the corpus cannot be found, or none of it can be used.
        AudioError: at the first bad file, if strict.
        ConfigurationError: for an unknown rate of relations, or no replicates.
        ReportError: if `output` holds something else, or the checkpoint belongs to another run.

    Example:
        >>> from sat_probe import analyze_model
        >>> report = analyze_model(limit=2, replicates=100, progress=False)
        >>> len(report.heads)
        36
    """
    options = AnalysisOptions(relation_rate, leave_out_own_segment, seed, replicates)
    options.check()
    inputs, run = open_study(model, dataset, keywords)
    return run.finish(analyze(inputs, options, run), inputs.process)


def analyze(inputs: Inputs, options: AnalysisOptions, run: RunOptions) -> HeadReport:
    """Return the report of a model and a corpus that are open already, unsaved; see `analyze_model`."""
    model, corpus, process = inputs.model, inputs.corpus, inputs.process
    layers, heads = model.num_probed_layers, model.num_probed_heads
    metrics = HeadMetricsAccumulator(layers, heads, PoissonBootstrap(options.bootstrap_replicates, options.seed))
    relations = RelationMapAccumulator(
        layers,
        heads,
        corpus.phone_set.phones,
        upsampling_factor=model.upsampling_factor if options.relation_rate == "upsampled" else 1,
        leave_out_own_segment=options.leave_out_own_segment,
    )
    seen = CorpusPass(
        model,
        corpus,
        {"heads": HeadSums(metrics), "relations": RelationSums(relations, corpus.phone_set, model.frame_grid)},
        process,
        run.strict,
    )
    seen.run(run.checkpoint("heads", inputs, asdict(options)), run.resume, run.progress)
    seen.warn()
    return HeadReport(
        heads=head_table(metrics.compute(), 1000 * model.frame_grid.hop_seconds),
        provenance=inputs.provenance.replace(
            **asdict(options), **seen.provenance(), unaligned=relations.unlabelled, **run_facts()
        ),
        tables=relation_tables(relations, corpus.phone_set, process),
        example=example_utterance(model, corpus, {name for name, _ in seen.skipped}) if process.is_main else None,
    )


@dataclass(slots=True)
class HeadSums(Accumulator):
    """Head metrics of every utterance."""

    sums: HeadMetricsAccumulator

    def begin(self, batch: Batch) -> Sequence[Observer]:
        """Start a batch."""
        self.sums.begin(batch.ids)
        return [self.sums]

    def end(self, batch: Batch) -> None:
        """Add the batch."""
        self.sums.end()


@dataclass(slots=True)
class RelationSums(Accumulator):
    """Phone relation maps of the utterances that have an alignment.

    Args:
        sums: of the maps.
        phone_set: that labels are folded into.
        grid: frames of the model, at its own rate.
    """

    sums: RelationMapAccumulator
    phone_set: PhoneSet
    grid: FrameGrid

    def begin(self, batch: Batch) -> Sequence[Observer]:
        """Start a batch; utterances without alignment are counted."""
        factor = self.sums.upsampling_factor
        grid = self.grid.upsampled(factor)
        labels = [
            None
            if utterance.alignment is None
            else utterance.alignment.frame_labels(self.phone_set, grid, length * factor)
            for utterance, length in zip(batch.utterances, batch.lengths, strict=True)
        ]
        self.sums.begin(batch.ids, labels)
        return [self.sums] if any(label is not None for label in labels) else []

    def end(self, batch: Batch) -> None:
        """Add the batch."""
        self.sums.end()


def head_table(metrics: HeadMetrics, hop_ms: float) -> pd.DataFrame:
    """Return one row per head that the model has: category, metrics with intervals and ranks; offsets in ms.

    Args:
        metrics: computed by the accumulator, offsets in frames.
        hop_ms: milliseconds per frame.
    """
    here = metrics.present
    layer, head = np.nonzero(here)
    columns: dict[str, Any] = {
        "layer": layer,
        "head": head,
        "category": metrics.category[here],
        "category_stability": metrics.category_stability[here],
    }
    for name, values in metrics.values.items():
        scale = hop_ms if name in _MILLISECONDS else 1.0
        shown = _MILLISECONDS.get(name, name)
        columns[shown] = scale * values[here]
        columns[f"{shown}_low"] = scale * metrics.low[name][here]
        columns[f"{shown}_high"] = scale * metrics.high[name][here]
        if name in RANKED:
            columns[f"{name}_rank"] = metrics.ranks[name][here].astype(int)
    return pd.DataFrame(columns)


def relation_tables(relations: RelationMapAccumulator, phones: PhoneSet, process: Process) -> dict[str, pd.DataFrame]:
    """Return the tables of relation maps by name, over phones, natural classes and voicing, concentration and named
    operations; no table if no utterance was aligned.

    Args:
        relations: the sums of all processes.
        phones: the phone set of the sums.
        process: this one of several, which share the work of resampling.
    """
    if not relations.utterances:
        return {}
    mine = relations.of_layers(share(process, relations.layers))
    parts = gather(process, mine.compute() if mine.layers else None)
    maps = RelationMaps.of_parts([part for part in parts if part is not None])
    manner = {phone: phones.natural_class(phone) for phone in phones.phones}
    voicing = {phone: "voiced" if phones.is_voiced(phone) else "voiceless" for phone in phones.phones}
    voicing |= {phone: manner[phone] for phone in phones.phones if manner[phone] == "silence"}
    return {
        "relation_maps": relation_frame(maps),
        "concentration": concentration_frame(maps),
        "operations": operations_frame(maps),
        "relation_maps_by_class": relation_frame(relations.compute(manner)),
        "relation_maps_by_voicing": relation_frame(relations.compute(voicing)),
    }
