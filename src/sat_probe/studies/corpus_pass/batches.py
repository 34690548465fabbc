"""Batches of decoded audio: read ahead, grouped by length, with bad files listed instead of fatal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sat_probe.errors import AudioError, CorpusError
from sat_probe.models.inputs_outputs import ModelInputs
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.rows import Utterance
from sat_probe.studies.corpus_pass.decoder_process import read_utterance

WINDOW_UTTERANCES = 32  # read ahead and sorted by length together
WINDOW_SECONDS = 1200.0  # most audio in a window, so that hours of it are not held in memory
BATCH_SECONDS = 60.0  # of padded audio in one batch

Samples = NDArray[np.float32]
Skipped = tuple[str, str]  # id of an utterance that cannot be used, and the reason


@dataclass(frozen=True, slots=True)
class Batch:
    """Utterances ready for the model.

    Attributes:
        utterances: the utterances.
        inputs: model inputs, in the same order.
        seconds: of audio, without padding.
        waveforms: (samples,) of each utterance at the model's rate; empty unless asked for.
    """

    utterances: tuple[Utterance, ...]
    inputs: tuple[ModelInputs, ...]
    seconds: float
    waveforms: tuple[Samples, ...] = ()

    @property
    def ids(self) -> list[str]:
        """Id of each utterance."""
        return [utterance.id for utterance in self.utterances]

    @property
    def lengths(self) -> tuple[int, ...]:
        """True encoder frames of each utterance."""
        return tuple(length for inputs in self.inputs for length in inputs.lengths)


class Window(NamedTuple):
    """Part of a corpus.

    Attributes:
        consumed: number of utterances, good and bad.
        batches: of the good ones.
        skipped: the bad ones.
    """

    consumed: int
    batches: list[Batch]
    skipped: list[Skipped]


@dataclass(frozen=True, slots=True)
class Batching:
    """How utterances become batches.

    Attributes:
        model: whose feature extractor and sampling rate are used.
        alone: one utterance per batch.
        waveforms: keep the audio in each batch.
    """

    model: ProbedModel
    alone: bool = False
    waveforms: bool = False

    def windows(self, utterances: Iterable[Utterance]) -> Iterator[Window]:
        """Yield the windows of a corpus in order; the next one is decoded in the meantime."""
        source = iter(utterances)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as pool:
            upcoming = pool.submit(self._read, source)
            while True:
                decoded = upcoming.result()
                if not decoded:
                    return
                upcoming = pool.submit(self._read, source)
                window = self._window(decoded)
                del decoded  # an hour of audio is 230 MB
                yield window

    def _read(self, source: Iterator[Utterance]) -> list[tuple[Utterance, Samples | AudioError]]:
        """Decode the next window: fewer utterances where they are long."""
        decoded: list[tuple[Utterance, Samples | AudioError]] = []
        left = WINDOW_SECONDS * self.model.sampling_rate
        for utterance in islice(source, WINDOW_UTTERANCES):
            try:
                audio = read_utterance(utterance, self.model.sampling_rate)
                decoded.append((utterance, audio))
                left -= len(audio)
            except AudioError as error:
                decoded.append((utterance, error))
            if left <= 0:
                break
        return decoded

    def _window(self, decoded: Sequence[tuple[Utterance, Samples | AudioError]]) -> Window:
        skipped = [skipped_for(one, audio) for one, audio in decoded if isinstance(audio, AudioError)]
        good = [(one, audio) for one, audio in decoded if not isinstance(audio, AudioError)]
        limit = BATCH_SECONDS * self.model.sampling_rate
        groups: list[list[tuple[Utterance, Samples]]] = []
        for pair in sorted(good, key=lambda pair: len(pair[1])):
            if self.alone or not groups or (len(groups[-1]) + 1) * len(pair[1]) > limit:
                groups.append([])
            groups[-1].append(pair)
        batches = [batch for pairs in groups if (batch := self._prepare(pairs, skipped)) is not None]
        return Window(len(decoded), batches, skipped)

    def _prepare(self, pairs: Sequence[tuple[Utterance, Samples]], skipped: list[Skipped]) -> Batch | None:
        """Make a batch of the utterances that the model can take, and list the others."""
        try:
            inputs = tuple(self.model.prepare([audio for _, audio in pairs]))
        except AudioError as error:
            if len(pairs) == 1:
                skipped.append(skipped_for(pairs[0][0], error))
                return None
            kept = [pair for pair in pairs if self._prepare([pair], skipped) is not None]
            return self._prepare(kept, skipped) if kept else None
        utterances, waveforms = zip(*pairs, strict=True)
        seconds = sum(map(len, waveforms)) / self.model.sampling_rate
        return Batch(utterances, inputs, seconds, waveforms if self.waveforms else ())


def skipped_for(utterance: Utterance, error: AudioError) -> Skipped:
    """Return the id of an utterance and the reason why it is left out."""
    return utterance.id, str(error).removeprefix(f"{utterance.id}: ")


def no_audio_left(corpus: str, skipped: Sequence[Skipped]) -> CorpusError:
    """Return the error for a corpus in which no utterance can be used."""
    if not skipped:
        return CorpusError(f"{corpus}: holds no utterance")
    first, reason = skipped[0]
    if len(skipped) == 1:
        return CorpusError(f"{corpus}: its only utterance cannot be used, {first}: {reason}")
    return CorpusError(f"{corpus}: none of its {len(skipped)} utterances can be used; the first, {first}: {reason}")
