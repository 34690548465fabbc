"""The utterance that a report shows head by head."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from sat_probe.audio import audio_duration
from sat_probe.errors import AudioError
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.phones.corpora.rows import Utterance
from sat_probe.reports.example import LONGEST, Example, Phone, make_example
from sat_probe.studies.utterance_maps import UtteranceMaps

_CANDIDATES = 64  # utterances among which a short and aligned one is chosen

Read = Callable[
    [Utterance], NDArray[np.float32]
]  # an utterance's samples at the model's rate; raises AudioError


def example_utterance(
    model: ProbedModel, corpus: Corpus, read: Read, skipped: Collection[str] = ()
) -> Example | None:
    """Attention maps of all heads on one utterance: the longest aligned one of at most 4 s among the first.

    If all are longer, the first 4 s of one are shown. None if no audio can be read.

    Args:
        model: on its device.
        corpus: of the report.
        read: decodes the audio of an utterance.
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
            return _example(model, read(utterance), utterance, corpus)
        except AudioError:
            continue
    return None


def _example(
    model: ProbedModel, waveform: NDArray[np.float32], utterance: Utterance, corpus: Corpus
) -> Example:
    waveform = waveform[: int(LONGEST * model.sampling_rate)]
    maps = UtteranceMaps(model.num_probed_layers, model.num_probed_heads)
    (length,) = model.encode([waveform], observers=[maps]).lengths
    return make_example(
        utterance.id,
        waveform,
        model.sampling_rate,
        model.frame_grid.times(length),
        maps.codes,
        maps.scale,
        _phones(corpus, utterance, len(waveform) / model.sampling_rate),
    )


def _phones(corpus: Corpus, utterance: Utterance, seconds: float) -> list[Phone]:
    if utterance.alignment is None:
        return []
    alignment = utterance.alignment.folded(corpus.phone_set)
    rate = alignment.sampling_rate
    segments = zip(alignment.starts / rate, alignment.ends / rate, alignment.labels, strict=True)
    return [
        (float(start), float(min(end, seconds)), label) for start, end, label in segments if start < seconds
    ]
