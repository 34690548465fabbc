"""One pass of a corpus through a model, shown to accumulators; killed runs go on, several processes share the work."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from sat_probe.measures.head_accumulator import HeadMetricsAccumulator
from sat_probe.measures.relations.accumulator import RelationMapAccumulator
from sat_probe.models.attention.probe import Observer
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.studies.corpus_pass.batches import AudioStream, Batch, no_audio_left
from sat_probe.studies.corpus_pass.checkpoint import Checkpoint
from sat_probe.studies.corpus_pass.processes import Process, add_up, gather
from sat_probe.studies.corpus_pass.utterance_progress import SHOWN_FROM, Headway

CHECKPOINT_UTTERANCES = 256  # sums are saved after so many utterances ...
CHECKPOINT_SECONDS = 60.0  # ... or after so much time, whichever comes first

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class CorpusPass:
    """What is seen in one pass, and how far it got.

    Args:
        model: the model.
        corpus: all of it; the process takes its shard.
        heads: head metrics.
        relations: relation maps; utterances without alignment are counted there.
        process: this one of several.
        strict: raise at the first bad file.

    Attributes:
        seconds: of audio, so far.
        skipped: (utterance id, reason) of the files left out.
    """

    model: ProbedModel
    corpus: Corpus
    heads: HeadMetricsAccumulator
    relations: RelationMapAccumulator
    process: Process = field(default_factory=Process)
    strict: bool = False
    seconds: float = 0.0
    skipped: list[tuple[str, str]] = field(default_factory=list)

    @property
    def accumulators(self) -> dict[str, Any]:
        """What is summed, by name."""
        return {"heads": self.heads, "relations": self.relations}

    def run(self, checkpoint: Checkpoint | None = None, resume: bool = False, progress: bool = True) -> None:
        """See the whole corpus, or the rest of it if ``checkpoint`` holds a part.

        Raises:
            CorpusError: if not one utterance could be used.
            AudioError: at the first bad file, if strict.
            ReportError: if the checkpoint belongs to another run.
        """
        done = checkpoint.load(self.accumulators) if checkpoint is not None and resume else None
        done = done or {"utterances": 0, "seconds": 0.0, "skipped": []}
        self.seconds = done["seconds"]
        self.skipped = [(name, reason) for name, reason in done["skipped"]]
        shard = self.corpus
        if self.process.count > 1:
            shard = shard.shard(self.process.index, self.process.count)
        self._stream(shard, done["utterances"], checkpoint, progress and self.process.is_main)
        add_up(self.process, self.accumulators)
        parts = gather(self.process, (self.seconds, self.skipped))
        self.seconds = sum(seconds for seconds, _ in parts)
        self.skipped = [one for _, skipped in parts for one in skipped]
        if not self.heads.utterances:
            raise no_audio_left(self.corpus.name, self.skipped)
        if self.process.is_main:
            for name, reason in self.skipped:
                logger.warning("%s: left out: %s", name, reason)

    def _stream(self, shard: Corpus, consumed: int, checkpoint: Checkpoint | None, progress: bool) -> None:
        stream = AudioStream(self.model, self.strict, self.skipped)
        total = None if shard.is_streaming else len(shard)
        saved, saved_at = consumed, time.monotonic()
        with tqdm(total=total, initial=consumed, unit="utt", desc="Analyzing", disable=not progress) as bar:
            for count, batches in stream.windows(islice(shard, consumed, None)):
                for batch in batches:
                    self._observe(batch, *_headways(self.model, batch, bar))
                    bar.set_postfix_str("", refresh=False)
                    self.seconds += batch.seconds
                    bar.update(len(batch.utterances))
                consumed += count
                bar.update(consumed - bar.n)
                due = time.monotonic() - saved_at > CHECKPOINT_SECONDS
                if checkpoint is not None and (due or consumed - saved >= CHECKPOINT_UTTERANCES):
                    reached = {"utterances": consumed, "seconds": self.seconds, "skipped": self.skipped}
                    checkpoint.save(self.accumulators, reached)
                    saved, saved_at = consumed, time.monotonic()

    def _observe(self, batch: Batch, *others: Observer) -> None:
        ids = [utterance.id for utterance in batch.utterances]
        factor = self.relations.upsampling_factor  # 1, or the model's R
        grid = self.model.frame_grid.upsampled(factor)
        labels: list[np.ndarray | None] = [
            None
            if utterance.alignment is None
            else utterance.alignment.frame_labels(self.corpus.phone_set, grid, length * factor)
            for utterance, length in zip(batch.utterances, batch.lengths, strict=True)
        ]
        aligned = any(label is not None for label in labels)
        self.heads.begin(ids)
        self.relations.begin(ids, labels)
        measured: list[Observer] = [self.heads, self.relations] if aligned else [self.heads]
        self.model.encode(batch.inputs, observers=[*measured, *others])
        self.heads.end()
        self.relations.end()


def _headways(model: ProbedModel, batch: Batch, bar: Any) -> list[Observer]:
    """What shows progress within a long utterance, if anybody looks; long ones are alone in their batch."""
    if bar.disable or len(batch.utterances) > 1 or batch.seconds < SHOWN_FROM:
        return []
    rows = sum(map(len, model.present_heads)) * batch.lengths[0]
    return [Headway(bar, batch.utterances[0].id, rows)]


def checkpoint_path(output: str | Path, process: Process) -> Path:
    """Where the sums of an unfinished pass lie: beside the report to be."""
    folder = Path(output)
    part = "" if process.count == 1 else f".{process.index}-of-{process.count}"
    return folder.parent / f".{folder.name}{part}.checkpoint.npz"
