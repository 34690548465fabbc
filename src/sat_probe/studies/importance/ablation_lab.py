"""Probing of ablated models, one point of the curves after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from sat_probe.models.probed import ProbedModel
from sat_probe.studies.corpus_pass.accumulation import Checkpoint
from sat_probe.studies.corpus_pass.processes import Process, gather
from sat_probe.studies.probing.features import Ablation, Layer, write_features
from sat_probe.studies.probing.prepared import ProbingCorpus
from sat_probe.studies.probing.probe import Probe, Score, dev_loss, score_probe, task_features, train_probe
from sat_probe.studies.probing.reconstruction import Reconstruction
from sat_probe.studies.probing.tasks import CLASSIFICATIONS, RECONSTRUCTION, task_rows

Mode = Literal["retrain", "frozen"]
MODES: tuple[Mode, ...] = ("retrain", "frozen")


@dataclass(slots=True)
class FinishedPoints:
    """Results by ablation, each on disk before the next one is measured.

    Args:
        process: this one of several; points are shared out among them.
        checkpoint: where the results of this process are kept; None keeps them in memory only.
        resume: continue from the checkpoint if there is one, instead of starting anew.
        results: those known to this process.

    Raises:
        ReportError: if the checkpoint is damaged or belongs to another run.
    """

    process: Process
    checkpoint: Checkpoint | None = None
    resume: InitVar[bool] = False
    results: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self, resume: bool) -> None:
        if self.checkpoint is not None and resume:
            self.checkpoint.load({"points": self})

    def measure(
        self, points: Mapping[str, Callable[[], Any]], unit: str, caption: str, progress: bool
    ) -> dict[str, Any]:
        """Measure what no process has measured yet, each process its share, and return the results of all points.

        Args:
            points: by key, a function that measures it.
            unit: what the progress bar counts.
            caption: of the progress bar.
            progress: show it.
        """
        self._exchange()
        left = [key for key in points if key not in self.results]
        mine = left[self.process.index :: self.process.count]
        with tqdm(total=len(mine), unit=unit, desc=caption, disable=not progress) as bar:
            for key in mine:
                self.results[key] = points[key]()
                if self.checkpoint is not None:
                    self.checkpoint.save({"points": self}, {})
                bar.update()
        self._exchange()
        return {key: self.results[key] for key in points}

    def _exchange(self) -> None:
        """Give every process the results of all."""
        for results in gather(self.process, self.results):
            self.results = {**self.results, **results}

    def state_dict(self) -> dict[str, Any]:
        """Return the results, for the checkpoint."""
        return {"results": np.frombuffer(json.dumps(self.results).encode(), dtype=np.uint8)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the results."""
        self.results = json.loads(state["results"].tobytes())


@dataclass(slots=True)
class AblationLab:
    """A model, a corpus prepared for it, and the probes of the intact model.

    Args:
        model: as it is, before any ablation.
        corpus: prepared for the model.
        tasks: names of the tasks.
        folder: for features.
        layer: the hidden state that the classifiers read.
    """

    model: ProbedModel
    corpus: ProbingCorpus
    tasks: Sequence[str]
    folder: Path
    layer: Layer = -1
    probes: dict[str, Probe] = field(default_factory=dict, init=False)
    reconstruction: Reconstruction | None = field(default=None, init=False)

    def prepare(self) -> None:
        """Train the probes of the intact model.

        Raises:
            CorpusError: for phones that do not occur in train, if they are to be refused.
        """
        features, last = self._features(Ablation())
        for name in self._classifications:
            task = CLASSIFICATIONS[name]
            self.probes[name] = train_probe(task, self.corpus, task_features(task, self.corpus, features))
        if RECONSTRUCTION in self.tasks:
            self.reconstruction = Reconstruction(self.model, self.corpus, self.folder, last)

    def tested(self, task: str) -> list[str]:
        """Return the ids of the test utterances that a task is scored on, in the order of the sums of `Score`."""
        if task in CLASSIFICATIONS:
            rows = task_rows(CLASSIFICATIONS[task], self.corpus, "test")
            return [self.corpus.ids[index] for index in np.unique(rows.utterances)]
        return [self.corpus.ids[index] for index in np.flatnonzero(self.corpus.in_part("test"))]

    @property
    def _classifications(self) -> list[str]:
        return [name for name in self.tasks if name in CLASSIFICATIONS]

    def _features(
        self, ablation: Ablation, refined: ProbedModel | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the features of the classifiers, and the last hidden state (frames, 1, size)."""
        path, model = self.folder / "features.npy", refined or self.model
        features = write_features(model, self.corpus, path, ablation, self.layer)
        if self.layer in (-1, "weighted") or RECONSTRUCTION not in self.tasks:
            return features, features[:, -1:]
        return features, write_features(model, self.corpus, self.folder / "last.npy", ablation)

    def measure(
        self, ablation: Ablation, modes: Sequence[Mode], refined: ProbedModel | None = None
    ) -> list[dict[str, Any]]:
        """Return the scores of every task on the ablated model: records of `Score` with their ``mode``.

        Reconstruction has only the mode ``frozen``: its decoder is never trained again.

        Args:
            ablation: what to remove.
            modes: which probes to use.
            refined: a copy of the model that was changed for good, to measure instead of the model.
        """
        features, last = self._features(ablation, refined)
        scores: list[tuple[Score, Mode]] = []
        if self.reconstruction is not None:
            scores.append((self.reconstruction.score(last), "frozen"))
        for name in self._classifications:
            task = CLASSIFICATIONS[name]
            rows = task_features(task, self.corpus, features)
            for mode in modes:
                probe = self.probes[name]
                if mode == "retrain" and (ablation != Ablation() or refined is not None):
                    probe = train_probe(task, self.corpus, rows)
                scores.append((score_probe(task, self.corpus, probe, rows), mode))
        return [{**asdict(score), "mode": mode} for score, mode in scores]

    def loss(self, ablation: Ablation, task: str) -> float:
        """Return the loss on dev of the unablated model's probe, or for reconstruction the L1 there."""
        features, last = self._features(ablation)
        if task == RECONSTRUCTION:
            assert self.reconstruction is not None
            return self.reconstruction.score(last, part="dev").value
        rows = task_features(CLASSIFICATIONS[task], self.corpus, features)
        return dev_loss(CLASSIFICATIONS[task], self.corpus, self.probes[task], rows)
