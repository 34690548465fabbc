"""The pass over a corpus that all studies share: batches go through a model and are summed up by accumulators.

A pass that was killed is resumed from its checkpoint, and several processes can share one.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from tqdm.auto import tqdm

from sat_probe.errors import AudioError, ReportError
from sat_probe.models.attention.probe import Observer
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.studies.corpus_pass.batches import Batch, Batching, Skipped, no_audio_left, skipped_for
from sat_probe.studies.corpus_pass.processes import Process, add_up, gather

CHECKPOINT_UTTERANCES = 256  # sums are saved after this many utterances ...
CHECKPOINT_SECONDS = 60.0  # ... or after this time, whichever comes first

logger = logging.getLogger(__name__)


class Stateful(Protocol):
    """Anything whose state can be saved and loaded."""

    def state_dict(self) -> Mapping[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class Checkpoint:
    """The state of an unfinished run in one file, which is replaced atomically.

    Args:
        path: the file.
        identity: what makes two runs the same run (model, corpus, options); the file of another run is refused.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        self._temporary = path.with_suffix(".writing")
        self.identity = json.dumps(identity, sort_keys=True, default=str)

    def save(self, parts: Mapping[str, Stateful], progress: Mapping[str, Any]) -> None:
        """Write a new file, then rename it: a reader sees the old state or the new one, never a mixture."""
        arrays = {f"{name}/{key}": value for name, one in parts.items() for key, value in one.state_dict().items()}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with self._temporary.open("wb") as file:
                np.savez(file, _identity=np.array(self.identity), _progress=np.array(json.dumps(progress)), **arrays)
                file.flush()
                os.fsync(file.fileno())
            self._temporary.replace(self.path)
        finally:
            self._temporary.unlink(missing_ok=True)

    def load(self, parts: Mapping[str, Stateful]) -> dict[str, Any] | None:
        """Load the state of each part; return the progress that was saved with it, or None without a checkpoint.

        Raises:
            ReportError: if the file is damaged or belongs to another run.
        """
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as file:
                stored = {name: file[name] for name in file.files}
            theirs = json.loads(str(stored["_identity"]))
            progress = json.loads(str(stored["_progress"]))
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise ReportError(
                f"{self.path}: is no checkpoint of sat-probe ({error}); delete it to start anew"
            ) from error
        ours = json.loads(self.identity)
        changed = [name for name in {**ours, **theirs} if theirs.get(name) != ours.get(name)]
        if changed:
            raise ReportError(
                f"{self.path}: belongs to another run, which differs in {', '.join(changed)}; "
                "delete it or choose another --output"
            )
        for name, one in parts.items():
            prefix = f"{name}/"
            one.load_state_dict(
                {key.removeprefix(prefix): value for key, value in stored.items() if key.startswith(prefix)}
            )
        return progress

    def delete(self) -> None:
        """Remove the file when the run is finished, with what a killed run may have left of a new one."""
        self.path.unlink(missing_ok=True)
        self._temporary.unlink(missing_ok=True)


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
