"""Probing tasks of section 7 of the paper, with their examples and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sat_probe.errors import ConfigurationError, CorpusError
from sat_probe.studies.probing.prepared import PARTS, Part, ProbingCorpus

HIDDEN_SIZE = 256


@dataclass(frozen=True, slots=True)
class Task:
    """A classification that a probe learns.

    Attributes:
        name: in tables.
        target: kind of the classes.
        level: read from each frame, or from the mean over an utterance's frames.
        hidden: size of the probe's hidden layer; None for a linear probe.
    """

    name: str
    target: Literal["phones", "speakers"]
    level: Literal["frame", "utterance"]
    hidden: int | None = None


CLASSIFICATIONS = {
    task.name: task
    for task in (
        Task("phones_linear", "phones", "frame"),
        Task("phones_hidden", "phones", "frame", HIDDEN_SIZE),
        Task("speakers_frame", "speakers", "frame", HIDDEN_SIZE),
        Task("speakers_utterance", "speakers", "utterance"),
    )
}
RECONSTRUCTION = "reconstruction"  # not learned: uses the pre-training head or a frozen proxy
TASKS = (RECONSTRUCTION, *CLASSIFICATIONS)


@dataclass(frozen=True, slots=True)
class Examples:
    """Examples of one task in one part of a corpus.

    Attributes:
        rows: (examples,) positions among all frames, or among all utterances.
        labels: (examples,) classes 0, 1, ...
        utterances: (examples,) index of the utterance.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    utterances: NDArray[np.int64]


def check_tasks(names: Sequence[str] | None) -> None:
    """Raise a ConfigurationError for a task that does not exist."""
    unknown = [name for name in names or () if name not in TASKS]
    if unknown:
        raise ConfigurationError(f"there is no task {unknown[0]!r}; there are {', '.join(TASKS)}")


def chosen_tasks(names: Sequence[str] | None, corpus: ProbingCorpus) -> list[str]:
    """Return the named tasks, or all that the corpus has labels for.

    Raises:
        ConfigurationError: for an unknown name.
        CorpusError: if a named task cannot be learned from the corpus, if only some of its parts have alignments, or
            if there is only one speaker.
    """
    check_tasks(names)
    chosen = list(dict.fromkeys(TASKS if names is None else names))
    labelled = {"phones": bool((corpus.phones >= 0).any()), "speakers": bool(corpus.speaker_names)}
    for target, require in (("phones", _require_phones), ("speakers", _require_speakers)):
        if names is None and not labelled[target]:
            chosen = [name for name in chosen if not name.startswith(target)]
        elif any(name.startswith(target) for name in chosen):
            require(corpus)
    return chosen


def _require_phones(corpus: ProbingCorpus) -> None:
    if not (corpus.phones >= 0).any():
        raise CorpusError("phones cannot be probed: the corpus has no alignments; make them with sat-probe align")
    for part in PARTS:
        # without labels on dev no epoch is better than the first, on test there is nothing to score
        if not (corpus.phones[corpus.in_part(part)[corpus.frame_utterances]] >= 0).any():
            without = ", ".join(name for name in TASKS if not name.startswith("phones"))
            raise CorpusError(
                f"phones cannot be probed: none of the {corpus.in_part(part).sum()} utterances of {part} has an "
                f"alignment; make them with sat-probe align, or choose tasks without phones ({without})"
            )


def _require_speakers(corpus: ProbingCorpus) -> None:
    tested = {int(code) for code in corpus.speakers[corpus.in_part("test")] if code >= 0}
    if len(tested) >= 2:
        return
    there = (
        "the corpus has one speaker only"
        if len(corpus.speaker_names) == 1
        else f"of its {len(corpus.speaker_names)} speakers {len(tested)} have the three utterances that it takes"
    )
    without = ", ".join(name for name in TASKS if not name.startswith("speakers"))
    raise CorpusError(f"speakers cannot be probed: {there}; choose tasks without them ({without})")


def task_rows(task: Task, corpus: ProbingCorpus, part: Part) -> Examples:
    """Return the examples of a task in a part of a corpus.

    Raises:
        CorpusError: if a phone of this part never occurs in train, unless such frames are to be ignored.
    """
    inside = corpus.in_part(part)
    if task.target == "phones":
        utterances = corpus.frame_utterances
        labels = corpus.phones
        known = np.unique(labels[corpus.in_part("train")[utterances] & (labels >= 0)])
        use = inside[utterances] & (labels >= 0)
        strange = np.setdiff1d(labels[use], known)
        if strange.size and corpus.missing_phones == "refuse":
            names = ", ".join(corpus.phone_names[code] for code in strange)
            raise CorpusError(
                f"no utterance to learn from has the phones {names}, which occur in {part}; take more utterances, or "
                "leave the frames of these phones out (missing_phones='ignore', --missing-phones ignore)"
            )
        use &= np.isin(labels, known)
        rows = np.flatnonzero(use)
        return Examples(rows, np.searchsorted(known, labels[rows]), utterances[rows])
    tested = np.unique(corpus.speakers[corpus.in_part("test")])
    tested = tested[tested >= 0]
    chosen = inside & np.isin(corpus.speakers, tested)
    utterances = np.arange(len(corpus.ids)) if task.level == "utterance" else corpus.frame_utterances
    rows = np.flatnonzero(chosen[utterances])
    owners = utterances[rows]
    return Examples(rows, np.searchsorted(tested, corpus.speakers[owners]), owners)
