"""The utterance that a report shows head by head."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np

from sat_probe.audio import audio_duration, read_audio
from sat_probe.errors import AudioError
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.phones.corpora.rows import Utterance
from sat_probe.reports.example import LONGEST, make_example

_LOOKED_AT = 64  # utterances among which a short and aligned one is looked for


def example_utterance(model: ProbedModel, corpus: Corpus) -> dict[str, Any]:
    """Attention maps of all heads on one utterance of the corpus, the longest aligned one of at most 4 s among the
    first.

    Where all are longer, the first 4 s of one are shown. Empty if no audio can be read.
    """
    candidates = []
    for utterance in islice(corpus, _LOOKED_AT):
        try:
            candidates.append((utterance, audio_duration(utterance.audio, utterance.id)))
        except AudioError:
            continue
    fitting = [pair for pair in candidates if pair[1] <= LONGEST] or candidates
    for utterance, _ in sorted(fitting, key=lambda pair: (pair[0].alignment is None, -min(pair[1], LONGEST))):
        try:
            return _example(model, corpus, utterance)
        except AudioError:
            continue
    return {}


def _example(model: ProbedModel, corpus: Corpus, utterance: Utterance) -> dict[str, Any]:
    waveform = read_audio(utterance.audio, model.sampling_rate, utterance.id)[
        : int(LONGEST * model.sampling_rate)
    ]
    output = model.encode([waveform], output_attentions=True)
    assert output.attentions is not None
    (length,) = output.lengths
    return make_example(
        utterance.id,
        waveform,
        model.sampling_rate,
        model.frame_grid.times(length),
        np.stack([layer[0].float().cpu().numpy() for layer in output.attentions]),
        _phones(corpus, utterance, len(waveform) / model.sampling_rate),
    )


def _phones(corpus: Corpus, utterance: Utterance, seconds: float) -> list[tuple[float, float, str]]:
    if utterance.alignment is None:
        return []
    alignment = utterance.alignment.folded(corpus.phone_set)
    rate = alignment.sampling_rate
    segments = zip(alignment.starts / rate, alignment.ends / rate, alignment.labels, strict=True)
    return [
        (float(start), float(min(end, seconds)), label) for start, end, label in segments if start < seconds
    ]
