"""The shared reader of audio: every study decodes in the same other process."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sat_probe.phones.corpora.rows import Utterance
from sat_probe.studies.corpus_pass.decoder_process import AudioDecoder

_DECODER = AudioDecoder()


def read_utterance(utterance: Utterance, sampling_rate: int) -> NDArray[np.float32]:
    """Return the audio of an utterance, (samples,) mono at `sampling_rate` (Hz), decoded in another process.

    Raises:
        AudioError: if it cannot be decoded, or the decoder dies of it.
    """
    return _DECODER.read(utterance.audio, sampling_rate, utterance.id)
