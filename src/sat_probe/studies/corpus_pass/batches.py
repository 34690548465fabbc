"""A corpus as batches of decoded audio: read ahead, bucketed by length, bad files counted instead of fatal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from sat_probe.errors import AudioError, CorpusError
from sat_probe.models.inputs_outputs import ModelInputs
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.corpus import Utterance
from sat_probe.studies.corpus_pass.decoder_process import AudioDecoder

WINDOW_UTTERANCES = 32  # read ahead and sorted by length together
WINDOW_SECONDS = 1200.0  # of audio at most: hours of it are not held
BATCH_SECONDS = 60.0  # of padded audio in one batch

_DECODER = AudioDecoder()  # one for all studies of this process


@dataclass(frozen=True, slots=True)
class Batch:
    """Utterances ready for the model.

    Attributes:
        utterances: what they are.
        inputs: model inputs, in the same order.
        seconds: their audio, padding not counted.
    """

    utterances: tuple[Utterance, ...]
    inputs: tuple[ModelInputs, ...]
    seconds: float

    @property
    def lengths(self) -> tuple[int, ...]:
        """True encoder frames of each utterance."""
        return tuple(length for inputs in self.inputs for length in inputs.lengths)


@dataclass(slots=True)
class AudioStream:
    """Turns utterances into batches for one model.

    Args:
        model: whose feature extractor and frame rate count.
        strict: raise at the first bad file instead of leaving it out.
        skipped: (utterance id, reason) of each file left out so far.
    """

    model: ProbedModel
    strict: bool = False
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def windows(self, utterances: Iterable[Utterance]) -> Iterator[tuple[int, list[Batch]]]:
        """Windows of the corpus: (utterances consumed, batches of the good ones); the next is decoded meanwhile.

        Raises:
            AudioError: at a bad file, if strict.
        """
        source = iter(utterances)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="decode") as pool:
            upcoming = pool.submit(self._read, source)
            while True:
                window = upcoming.result()
                if not window:
                    return
                upcoming = pool.submit(self._read, source)
                count, batches = len(window), self._batches(window)
                del window  # the waveforms: an hour is 230 MB
                yield count, batches

    def _read(self, source: Iterator[Utterance]) -> list[tuple[Utterance, NDArray[np.float32] | AudioError]]:
        """The next window: so many utterances, or fewer long ones."""
        decoded: list[tuple[Utterance, NDArray[np.float32] | AudioError]] = []
        left = WINDOW_SECONDS * self.model.sampling_rate
        for utterance in islice(source, WINDOW_UTTERANCES):
            try:
                audio = _DECODER.read(utterance.audio, self.model.sampling_rate, utterance.id)
                decoded.append((utterance, audio))
                left -= len(audio)
            except AudioError as error:
                decoded.append((utterance, error))
            if left <= 0:
                break
        return decoded

    def _batches(self, window: Sequence[tuple[Utterance, NDArray[np.float32] | AudioError]]) -> list[Batch]:
        """The good utterances of a window, those of similar length together."""
        good = []
        for utterance, audio in window:
            if isinstance(audio, AudioError):
                self._skip(utterance, audio)
            else:
                good.append((utterance, audio))
        good.sort(key=lambda pair: len(pair[1]))
        limit = BATCH_SECONDS * self.model.sampling_rate
        batches: list[list[tuple[Utterance, NDArray[np.float32]]]] = []
        for pair in good:
            if not batches or (len(batches[-1]) + 1) * len(pair[1]) > limit:
                batches.append([])
            batches[-1].append(pair)
        return [batch for pairs in batches if (batch := self._prepare(pairs)) is not None]

    def _prepare(self, pairs: Sequence[tuple[Utterance, NDArray[np.float32]]]) -> Batch | None:
        try:
            inputs = tuple(self.model.prepare([audio for _, audio in pairs]))
        except AudioError as error:
            if len(pairs) == 1:
                self._skip(pairs[0][0], error)
                return None
            kept = [pair for pair in pairs if self._prepare([pair]) is not None]
            return self._prepare(kept) if kept else None
        seconds = sum(len(audio) for _, audio in pairs) / self.model.sampling_rate
        return Batch(tuple(utterance for utterance, _ in pairs), inputs, seconds)

    def _skip(self, utterance: Utterance, error: AudioError) -> None:
        reason = str(error).removeprefix(f"{utterance.id}: ")
        if self.strict:
            raise AudioError(f"{utterance.id}: {reason}") from error
        self.skipped.append((utterance.id, reason))


def no_audio_left(corpus: str, skipped: Sequence[tuple[str, str]]) -> CorpusError:
    """The error for a corpus in which no utterance could be used."""
    if not skipped:
        return CorpusError(f"{corpus}: holds no utterance")
    first, reason = skipped[0]
    if len(skipped) == 1:
        return CorpusError(f"{corpus}: its only utterance cannot be used, {first}: {reason}")
    return CorpusError(
        f"{corpus}: none of its {len(skipped)} utterances can be used; the first, {first}: {reason}"
    )
