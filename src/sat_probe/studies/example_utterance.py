"""The utterance that a report shows head by head: the attention maps of all heads, and the boundaries they predict."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sat_probe.audio import audio_duration
from sat_probe.errors import AudioError
from sat_probe.measures.boundaries.attention_features import attention_features, upsampled_map
from sat_probe.measures.boundaries.kernel_gram import curve_minima, distances, filtered_matrix, score_curve
from sat_probe.models.attention.probe import AttentionBlock
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.phones.corpora.rows import Utterance
from sat_probe.reports.example import LONGEST, Example, Head, Phone, SegmentedHead, make_example, map_codes
from sat_probe.studies.corpus_pass.decoder_process import read_utterance

_CANDIDATES = 64  # utterances among which a short and aligned one is chosen
SHORTEST = 3  # frames below which there is no inner minimum to find


def example_utterance(model: ProbedModel, corpus: Corpus, skipped: Collection[str] = ()) -> Example | None:
    """Attention maps of all heads on one utterance: the longest aligned one of at most 4 s among the first.

    If all are longer, the first 4 s of one are shown. None if no audio can be read.

    Args:
        model: on its device.
        corpus: of the report.
        skipped: ids of utterances that cannot be used.
    """
    candidates = []
    for utterance in islice(corpus, _CANDIDATES):
        if utterance.id in skipped:
            continue
        try:
            candidates.append((utterance, audio_duration(utterance.audio, utterance.id)))
        except AudioError:
            continue
    fitting = [pair for pair in candidates if pair[1] <= LONGEST] or candidates
    for utterance, _ in sorted(fitting, key=lambda pair: (pair[0].alignment is None, -min(pair[1], LONGEST))):
        try:
            return _example(model, read_utterance(utterance, model.sampling_rate), utterance, corpus)
        except AudioError:
            continue
    return None


def _example(model: ProbedModel, waveform: NDArray[np.float32], utterance: Utterance, corpus: Corpus) -> Example:
    waveform = waveform[: int(LONGEST * model.sampling_rate)]
    maps = UtteranceMaps(model.num_probed_layers, model.num_probed_heads)
    model.encode([waveform], observers=[maps])
    if utterance.alignment is None:
        return maps.example(model, waveform, utterance.id, ())
    alignment = utterance.alignment.folded(corpus.phone_set)
    starts, ends = (edges / alignment.sampling_rate for edges in (alignment.starts, alignment.ends))
    phones = zip(starts.tolist(), ends.tolist(), alignment.labels, strict=True)
    return maps.example(model, waveform, utterance.id, phones)


class UtteranceMaps:
    """An observer that keeps every map in 8 bits a weight, and the map of the most diagonal head in full.

    All maps in float32 would take four times as much memory: hundreds of megabytes for twenty seconds.

    Args:
        layers: of the model.
        heads: per layer.

    Attributes:
        codes: (layers, heads, frames, frames), see `map_codes`; empty before the first forward pass.
        scale: (layers, heads) largest weights; NaN for heads that are not there.
        clearest: (layer, head) of the most diagonal head, the first of equals.
        clearest_map: (frames, frames) its weights, rows are queries.
    """

    def __init__(self, layers: int, heads: int) -> None:
        self.codes: NDArray[np.uint8] = np.zeros((layers, heads, 0, 0), np.uint8)
        self.scale: NDArray[np.float32] = np.full((layers, heads), np.nan, np.float32)
        self.clearest = (0, 0)
        self.clearest_map: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self._nearest = np.inf  # mean distance of the clearest head
        self._rows: NDArray[np.float32] = self.clearest_map[None]
        self._distance: NDArray[np.float32] = self.clearest_map

    def observe(self, block: AttentionBlock) -> None:
        """Keep the rows of some heads, which come in order; the maps are complete with the last."""
        length, heads = block.length, range(*block.heads.indices(block.heads.stop))
        if self.codes.shape[-1] != length:
            self.codes = np.zeros((*self.scale.shape, length, length), np.uint8)
            moments = np.arange(length, dtype=np.float32)
            self._distance = np.abs(moments[:, None] - moments)
        if block.first_query == 0:
            self._rows = np.empty((len(heads), length, length), np.float32)
        end = block.first_query + block.weights.shape[1]
        self._rows[:, block.first_query : end] = block.weights.float().cpu().numpy()
        if end == length:
            for head, weights in zip(heads, self._rows, strict=True):
                self._keep(block.layer, head, weights)

    def example(self, model: ProbedModel, waveform: NDArray[np.float32], name: str, phones: Iterable[Phone]) -> Example:
        """Return the recording (samples,) with its maps, and the phones that begin in it."""
        rate, times = model.sampling_rate, model.frame_grid.times(self.codes.shape[-1])
        seconds = len(waveform) / rate
        inside = [(start, min(end, seconds), label) for start, end, label in phones if start < seconds]
        return make_example(name, waveform, rate, times, self.codes, self.scale, inside)

    def _keep(self, layer: int, head: int, weights: NDArray[np.float32]) -> None:
        self.codes[layer, head], self.scale[layer, head] = map_codes(weights)
        distance = float(np.vdot(weights, self._distance))  # eq. 3, up to a factor that all heads share
        if distance < self._nearest:
            self._nearest, self.clearest, self.clearest_map = distance, (layer, head), weights.copy()


def segmented_example(example: Example | None, table: pd.DataFrame, described: Mapping[str, Any]) -> Example | None:
    """The example with the boundaries that every head predicts, and with the steps of the best head.

    Args:
        example: of a report; None is returned as it is.
        table: ``segmentation``, best first, with the tuned ``alpha`` and ``beta`` of each head.
        described: provenance of the study: ``upsampling_factor``, ``attention_features``.
    """
    if example is None:
        return None
    boundaries: dict[Head, NDArray[np.float64]] = {}
    best = None
    for row in table[table["source"] == "attention"].to_dict("records"):
        head = int(row["layer"]), int(row["head"])
        if len(example.times) >= SHORTEST and np.isfinite(example.scale[head]):
            steps, boundaries[head] = _segment(example, head, row["alpha"], row["beta"], described)
            best = best or steps
    return dataclasses.replace(example, boundaries=boundaries, segmented=best)


def _segment(
    example: Example, head: Head, alpha: float, beta: float, described: Mapping[str, Any]
) -> tuple[SegmentedHead, NDArray[np.float64]]:
    """The steps from the map of a head to its boundaries, and the boundaries (s); section 5 of the paper."""
    factor = described.get("upsampling_factor", 1)
    weights = upsampled_map(example.weights(*head), factor)
    between = distances(attention_features(weights, described.get("attention_features", "rows")))
    centres = example.times
    hop = (centres[1] - centres[0]) / factor
    times = centres[0] + hop * (np.arange(len(weights)) - (factor - 1) / 2)
    # alpha is in units of the mean distance, which is 0 if no two frames differ
    similarity = np.exp(-between / (alpha * (between.mean() or 1.0)))
    filtered = filtered_matrix(similarity, beta)
    curve = score_curve(filtered)
    steps = SegmentedHead(head, times, similarity.astype(np.float16), filtered, curve)
    return steps, times[0] + hop * curve_minima(curve)
