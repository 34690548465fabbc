"""The pass over a corpus that all studies share: batches go through a model and are summed up by accumulators.

A pass that was killed is resumed from its checkpoint, and several processes can share one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tqdm.auto import tqdm

from sat_probe.errors import AudioError
from sat_probe.models.attention.probe import Observer
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.studies.corpus_pass.batches import Batch, Batching, Skipped, no_audio_left, skipped_for
from sat_probe.studies.corpus_pass.checkpoint import Checkpoint, Stateful
from sat_probe.studies.corpus_pass.processes import Process, add_up, gather

CHECKPOINT_UTTERANCES = 256  # sums are saved after this many utterances ...
CHECKPOINT_SECONDS = 60.0  # ... or after this time, whichever comes first

logger = logging.getLogger(__name__)


class Accumulator:
    """What a study sums up during a pass; this base class sums up nothing.

    Attributes:
        alone: wants batches of one utterance.
        waveforms: wants the audio of each batch.
        sums: state for checkpoints, which is added up over processes; only of those that have such a state.
    """

    alone: bool = False
    waveforms: bool = False
    sums: Stateful

    def begin(self, batch: Batch) -> Sequence[Observer]:
        """Start a batch and return what should observe the model's attention on it.

        The model runs once for all accumulators, if there is any observer.

        Raises:
            AudioError: if the utterance of a batch of one cannot be used; it is then skipped.
        """
        return ()

    def end(self, batch: Batch) -> None:
        """Add the finished batch to the sums."""


@dataclass(slots=True)
class CorpusPass:
    """One pass of a corpus through a model.

    Args:
        model: the model.
        corpus: the whole corpus; each process takes its shard.
        accumulators: by name.
        process: this one of several.
        strict: raise at the first bad file.
        only: ids of the utterances to use; None for all.
        caption: of the progress bar.

    Attributes:
        utterances: used so far.
        seconds: of their audio.
        skipped: (utterance id, reason) of each file left out.
    """

    model: ProbedModel
    corpus: Corpus
    accumulators: Mapping[str, Accumulator]
    process: Process = field(default_factory=Process)
    strict: bool = False
    only: Collection[str] | None = None
    caption: str = "Analyzing"
    utterances: int = 0
    seconds: float = 0.0
    skipped: list[Skipped] = field(default_factory=list)

    def run(self, checkpoint: Checkpoint | None = None, resume: bool = False, progress: bool = True) -> None:
        """Go through the corpus, or through the rest of it if `checkpoint` holds a part.

        Raises:
            CorpusError: if not one utterance can be used.
            AudioError: at the first bad file, if strict.
            ReportError: if the checkpoint belongs to another run.
        """
        done = checkpoint.load(self._sums) if checkpoint is not None and resume else None
        done = done or {"consumed": 0, "utterances": 0, "seconds": 0.0, "skipped": []}
        self.utterances, self.seconds = done["utterances"], done["seconds"]
        self.skipped = [(name, reason) for name, reason in done["skipped"]]
        self._stream(done["consumed"], checkpoint, progress and self.process.is_main)
        add_up(self.process, self._sums)
        parts = gather(self.process, (self.utterances, self.seconds, self.skipped))
        self.utterances = sum(utterances for utterances, _, _ in parts)
        self.seconds = sum(seconds for _, seconds, _ in parts)
        self.skipped = [one for _, _, skipped in parts for one in skipped]
        if not self.utterances:
            raise no_audio_left(self.corpus.name, self.skipped)

    @property
    def _sums(self) -> dict[str, Stateful]:
        return {name: one.sums for name, one in self.accumulators.items() if hasattr(one, "sums")}

    def warn(self) -> None:
        """Log a warning for each file left out, in the first process."""
        for name, reason in self.skipped if self.process.is_main else ():
            logger.warning("%s: left out: %s", name, reason)

    def provenance(self) -> dict[str, Any]:
        """Return what a report says about the audio of a finished pass."""
        return {
            "utterances": self.utterances,
            "skipped": len(self.skipped),
            "skipped_files": [f"{name}: {reason}" for name, reason in self.skipped[:20]],
            "seconds": round(self.seconds, 3),
        }

    def _stream(self, consumed: int, checkpoint: Checkpoint | None, progress: bool) -> None:
        shard = self.corpus
        if self.process.count > 1:
            shard = shard.shard(self.process.index, self.process.count)
        total = None if shard.is_streaming else len(shard)
        if self.only is not None:
            total = -(-len(self.only) // self.process.count)
        wanted = (one for one in shard if self.only is None or one.id in self.only)
        sums = self.accumulators.values()
        batching = Batching(self.model, any(one.alone for one in sums), any(one.waveforms for one in sums))
        saved, saved_at = consumed, time.monotonic()
        with tqdm(total=total, initial=consumed, unit="utt", desc=self.caption, disable=not progress) as bar:
            for window in batching.windows(islice(wanted, consumed, None)):
                self._skip(window.skipped)
                for batch in window.batches:
                    self._use(batch)
                    bar.set_postfix_str(f"{self.seconds:.0f} s of audio", refresh=False)
                    bar.update(len(batch.utterances))
                consumed += window.consumed
                bar.update(consumed - bar.n)
                due = time.monotonic() - saved_at > CHECKPOINT_SECONDS
                if checkpoint is not None and (due or consumed - saved >= CHECKPOINT_UTTERANCES):
                    reached = {name: getattr(self, name) for name in ("utterances", "seconds", "skipped")}
                    checkpoint.save(self._sums, {"consumed": consumed, **reached})
                    saved, saved_at = consumed, time.monotonic()

    def _use(self, batch: Batch) -> None:
        try:
            observers = [one for sums in self.accumulators.values() for one in sums.begin(batch)]
            if observers:
                self.model.encode(batch.inputs, observers=observers)
            for sums in self.accumulators.values():
                sums.end(batch)
        except AudioError as error:
            if len(batch.utterances) > 1:
                raise
            self._skip([skipped_for(batch.utterances[0], error)])
        else:
            self.utterances += len(batch.utterances)
            self.seconds += batch.seconds

    def _skip(self, skipped: Sequence[Skipped]) -> None:
        if skipped and self.strict:
            raise AudioError(": ".join(skipped[0]))
        self.skipped += skipped
