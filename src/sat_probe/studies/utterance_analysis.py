"""Analysis of one recording: the metrics of every head, and the phone boundaries that one head predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sat_probe.measures.bootstrap import PoissonBootstrap
from sat_probe.measures.boundaries.attention_features import attention_features
from sat_probe.measures.boundaries.kernel_gram import distances
from sat_probe.measures.head_accumulator import HeadMetricsAccumulator
from sat_probe.models.attention.probe import AttentionBlock
from sat_probe.models.probed import ProbedModel
from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.provenance import Provenance
from sat_probe.studies.example_utterance import UtteranceMaps
from sat_probe.studies.head_analysis import head_table
from sat_probe.studies.inputs import model_facts
from sat_probe.studies.run_options import versions
from sat_probe.studies.segmentation.sources import Settings, kernel_boundaries


class UtteranceAnalysis(NamedTuple):
    """The report of a recording, and one head in detail.

    Attributes:
        report: with all maps.
        head: (layer, head) of the most diagonal head.
        weights: (frames, frames) its map, rows are queries.
    """

    report: HeadReport
    head: tuple[int, int]
    weights: NDArray[np.float32]


def analyze_utterance(
    model: ProbedModel,
    waveform: NDArray[np.float32],
    name: str = "recording",
    phones: Sequence[tuple[float, float, str]] = (),
    model_name: str | None = None,
) -> UtteranceAnalysis:
    """Metrics and attention maps of every head on one recording, as :func:`analyze_model` gives them for a corpus.

    There are no intervals and no relation maps, which need several utterances.

    Args:
        model: in evaluation mode.
        waveform: (samples,) at the model's rate.
        name: of the recording.
        phones: (start, end, label) of each phone in seconds, for the page.
        model_name: name of the model in the report.

    Raises:
        AudioError: if the recording is too short, or too long for the model.
    """
    metrics = HeadMetricsAccumulator(model.num_probed_layers, model.num_probed_heads, PoissonBootstrap(replicates=1))
    metrics.begin([name])
    maps = UtteranceMaps(model.num_probed_layers, model.num_probed_heads)
    model.encode([waveform], observers=[metrics, maps])
    metrics.end()
    facts = model_facts(model)
    provenance = Provenance(
        model=model_name or str(model.config.name_or_path),
        **facts,
        corpus=name,
        utterances=1,
        seconds=round(len(waveform) / model.sampling_rate, 3),
        versions=versions(),
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
    )
    example = maps.example(model, waveform, name, phones)
    report = HeadReport(head_table(metrics.compute(), facts["frame_hop_ms"]), provenance, example=example)
    return UtteranceAnalysis(report, maps.clearest, maps.clearest_map)


def head_boundaries(
    model: ProbedModel, waveform: NDArray[np.float32], layer: int, head: int, alpha: float, beta: float
) -> NDArray[np.float64]:
    """Phone boundaries (s) that one head predicts in a recording (section 5 of the paper).

    Args:
        model: in evaluation mode.
        waveform: (samples,) at the model's rate.
        layer, head: from 0.
        alpha: scale of the kernel, in units of the mean distance between frames.
        beta: threshold in units of a row's mean similarity; larger gives more boundaries.
    """
    watching = OneHead(layer, head)
    model.encode([waveform], observers=[watching])
    return map_boundaries(model, watching.map(), alpha, beta)


def map_boundaries(model: ProbedModel, weights: NDArray[np.float32], alpha: float, beta: float) -> NDArray[np.float64]:
    """As `head_boundaries`, of the head's map (frames, frames) itself."""
    between = distances(attention_features(weights, "rows"))
    settings = Settings(alphas=(alpha,), betas=(beta,))
    return kernel_boundaries(between, settings, model.frame_grid, model.upsampling_factor)[0]


@dataclass(slots=True)
class OneHead:
    """An observer that keeps the map of one head and nothing of the others."""

    layer: int
    head: int
    _rows: list[NDArray[np.float32]] = field(default_factory=list)

    def observe(self, block: AttentionBlock) -> None:
        """Keep this head's rows of a block, which come in order."""
        heads = range(*block.heads.indices(block.heads.stop))
        if block.layer == self.layer and self.head in heads:
            self._rows.append(block.weights[self.head - heads.start].float().cpu().numpy().copy())

    def map(self) -> NDArray[np.float32]:
        """(frames, frames) weights, rows are queries."""
        return np.concatenate(self._rows)
