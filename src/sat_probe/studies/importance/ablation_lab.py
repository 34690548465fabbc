"""Ablated models probed one after the other; every finished one is on disk before the next begins."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sat_probe.errors import ReportError
from sat_probe.models.probed import ProbedModel
from sat_probe.studies.probing.ablation import Ablation
from sat_probe.studies.probing.features import Layer, write_features
from sat_probe.studies.probing.prepared import ProbingCorpus
from sat_probe.studies.probing.probe import Probe, Score, dev_loss, score_probe, task_features, train_probe
from sat_probe.studies.probing.reconstruction import Reconstruction
from sat_probe.studies.probing.tasks import CLASSIFICATIONS, RECONSTRUCTION, MissingPhones, task_rows

Mode = Literal["retrain", "frozen"]
MODES: tuple[Mode, ...] = ("retrain", "frozen")
_FORMAT = 2  # of the file of finished points: 2 has the sums of each utterance


class FinishedPoints:
    """Results by ablation, one JSON line each; a line that a killed run left unfinished is dropped.

    Args:
        path: the file.
        identity: what makes two runs the same run; another run's file is refused.
        resume: go on from the file if it is there, instead of starting anew.

    Raises:
        ReportError: if the file belongs to another run, or to an older sat-probe, or is damaged.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], resume: bool) -> None:
        self.path = path
        self.results: dict[str, Any] = {}
        known = {"format": _FORMAT, "identity": json.loads(json.dumps(identity, default=str))}
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if resume and path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        try:
            header, *entries = map(json.loads, whole or [json.dumps(known)])
            self.results = {entry["key"]: entry["result"] for entry in entries}
        except (ValueError, KeyError, TypeError) as error:
            raise ReportError(f"{path}: is damaged; delete it, and the run begins anew") from error
        if header != known:
            raise ReportError(f"{path}: {_mismatch(header, known)}; delete it or choose another --output")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(whole) or json.dumps(known, sort_keys=True) + "\n", encoding="utf-8")

    def add(self, key: str, result: Any) -> None:
        """Keep a result, on disk before this returns."""
        self.results[key] = result
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "result": result}) + "\n")
            file.flush()
            os.fsync(file.fileno())


def _mismatch(header: Any, known: Mapping[str, Any]) -> str:
    """Why a file of points cannot be gone on with."""
    if not isinstance(header, dict) or "identity" not in header:
        return "is no file of finished points"
    if header.get("format") != known["format"]:
        return "was left by another version of sat-probe, whose points lack the sums of each utterance"
    theirs, ours = ({**one["identity"], **one["identity"]["options"]} for one in (header, known))
    names = [name for name in {**ours, **theirs} if name != "options"]
    changed = [name for name in names if theirs.get(name) != ours.get(name)]
    return f"belongs to another run, with another {', '.join(changed)}"


@dataclass(slots=True)
class AblationLab:
    """A model, a corpus prepared for it, and the probes of the intact model.

    Args:
        model: intact.
        corpus: prepared for the model.
        tasks: names of the tasks.
        folder: for features.
        layer: which hidden state the classifiers read.
        seed: of probes and intervals.
        missing_phones: what to do with phones that train lacks.
    """

    model: ProbedModel
    corpus: ProbingCorpus
    tasks: Sequence[str]
    folder: Path
    layer: Layer = -1
    seed: int = 0
    missing_phones: MissingPhones = "refuse"
    probes: dict[str, Probe] = field(default_factory=dict, init=False)
    reconstruction: Reconstruction | None = field(default=None, init=False)

    def prepare(self) -> None:
        """Train the probes of the intact model.

        Raises:
            CorpusError: for phones that train lacks, if they are to be refused.
        """
        features, last = self._features(Ablation())
        for name in self._classifications:
            task = CLASSIFICATIONS[name]
            rows = task_features(task, self.corpus, features)
            self.probes[name] = train_probe(task, self.corpus, rows, self.seed, self.missing_phones)
        if RECONSTRUCTION in self.tasks:
            self.reconstruction = Reconstruction(self.model, self.corpus, self.folder, last)

    def tested(self, task: str) -> list[str]:
        """Ids of the test utterances that a task is scored on, as :class:`Score` has their sums."""
        if task in CLASSIFICATIONS:
            rows = task_rows(CLASSIFICATIONS[task], self.corpus, "test", self.missing_phones)
            return [self.corpus.ids[index] for index in np.unique(rows.utterances)]
        return [self.corpus.ids[index] for index in np.flatnonzero(self.corpus.in_part("test"))]

    @property
    def _classifications(self) -> list[str]:
        return [name for name in self.tasks if name in CLASSIFICATIONS]

    def _features(
        self, ablation: Ablation, refined: ProbedModel | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Features of the classifiers, and the last hidden state (frames, 1, size)."""
        path, model = self.folder / "features.npy", refined or self.model
        features = write_features(model, self.corpus, path, ablation, self.layer)
        if self.layer in (-1, "weighted") or RECONSTRUCTION not in self.tasks:
            return features, features[:, -1:]
        return features, write_features(model, self.corpus, self.folder / "last.npy", ablation)

    def measure(
        self, ablation: Ablation, modes: Sequence[Mode], refined: ProbedModel | None = None
    ) -> list[dict[str, Any]]:
        """Scores of every task on the ablated model: records of :class:`Score` with their ``mode``.

        Reconstruction has the mode ``frozen`` alone: its decoder is never trained again.

        Args:
            ablation: what to take away.
            modes: which probes.
            refined: a copy of the model that was changed for good, to be measured in its place.
        """
        features, last = self._features(ablation, refined)
        records: list[dict[str, Any]] = []
        if self.reconstruction is not None:
            records.append(_record(self.reconstruction.score(last, self.seed), "frozen"))
        for name in self._classifications:
            task = CLASSIFICATIONS[name]
            rows = task_features(task, self.corpus, features)
            for mode in modes:
                probe = self.probes[name]
                if mode == "retrain" and (ablation != Ablation() or refined is not None):
                    probe = train_probe(task, self.corpus, rows, self.seed, self.missing_phones)
                score = score_probe(task, self.corpus, probe, rows, self.seed, self.missing_phones)
                records.append(_record(score, mode))
        return records

    def loss(self, ablation: Ablation, task: str) -> float:
        """Loss of the intact model's probe on dev of the ablated model; of reconstruction, its L1 there."""
        features, last = self._features(ablation)
        if task == RECONSTRUCTION:
            assert self.reconstruction is not None
            return self.reconstruction.score(last, self.seed, part="dev").value
        rows = task_features(CLASSIFICATIONS[task], self.corpus, features)
        return dev_loss(CLASSIFICATIONS[task], self.corpus, self.probes[task], rows, self.missing_phones)


def _record(score: Score, mode: Mode) -> dict[str, Any]:
    return {**asdict(score), "mode": mode}
