"""Small classifiers on frozen hidden states: what can still be read from a model (section 7 of the paper)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sat_probe.measures.bootstrap import PoissonBootstrap, percentile_interval
from sat_probe.studies.probing.prepared import ProbingCorpus
from sat_probe.studies.probing.tasks import Examples, Task, task_rows

BATCH = 256
STEPS = 2000  # at most
PATIENCE = 4  # epochs without a better dev loss
LEARNING_RATE = 2e-3
REPLICATES = 1000
_READ = 8192  # rows read from disk at once


@dataclass(frozen=True, slots=True)
class Score:
    """Score of a task on one part of the corpus.

    Attributes:
        task: name of the task.
        metric: ``accuracy`` (0 to 1, higher is better) or ``l1`` (mean absolute error, lower is better).
        value: over all frames, or utterances, of the part.
        low: lower end of the 95 % bootstrap interval over utterances; NaN for fewer than two.
        high: upper end.
        items: number of frames or utterances.
        totals: per utterance that has items, in the order of the corpus: number of correct items, or sum of errors.
        counts: likewise, number of items.
    """

    task: str
    metric: str
    value: float
    low: float
    high: float
    items: int
    totals: list[float]
    counts: list[int]


class Probe(nn.Module):
    """Classifier of hidden states: standardised, softmax-weighted sum, then linear or with one hidden layer.

    Args:
        states: number of hidden states that are summed; 1 for a single layer.
        size: of each state.
        classes: number of classes.
        hidden: size of the hidden layer; None for a linear probe.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, states: int, size: int, classes: int, hidden: int | None) -> None:
        super().__init__()
        self.mixing = nn.Parameter(torch.zeros(states))
        self.register_buffer("mean", torch.zeros(states, size))
        self.register_buffer("deviation", torch.ones(states, size))
        if hidden is None:
            self.classify: nn.Module = nn.Linear(size, classes)
        else:
            self.classify = nn.Sequential(nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, states: Tensor) -> Tensor:
        """Return scores (examples, classes) of states (examples, states, size)."""
        standard = (states - self.mean) / self.deviation
        return self.classify(torch.einsum("nsd,s->nd", standard, self.mixing.softmax(0)))


def task_features(task: Task, corpus: ProbingCorpus, frames: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the features that a task's examples index: those of frames, or their mean over each utterance.

    Args:
        task: frames or utterances.
        corpus: of the frames.
        frames: (frames, states, size), usually memory-mapped.
    """
    if task.level == "frame":
        return frames
    edges = corpus.first_frames
    return np.stack([frames[first:last].mean(0) for first, last in pairwise(edges)])


def train_probe(task: Task, corpus: ProbingCorpus, features: NDArray[np.float32]) -> Probe:
    """Train a probe on train and return it as it was after the epoch with the lowest loss on dev.

    Args:
        task: to learn.
        corpus: labels, split and seed.
        features: as :func:`task_features` returns them.

    Raises:
        CorpusError: for phones that do not occur in train, if they are to be refused.
    """
    train, dev = (task_rows(task, corpus, part) for part in ("train", "dev"))
    _, states, size = features.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(corpus.seed)
        probe = Probe(states, size, int(train.labels.max()) + 1, task.hidden)
    mean, deviation = _statistics(features, train.rows)
    probe.mean.copy_(torch.from_numpy(mean))
    probe.deviation.copy_(torch.from_numpy(deviation))
    optimizer = torch.optim.Adam(probe.parameters(), LEARNING_RATE, weight_decay=1e-4)
    order = np.random.default_rng(corpus.seed)
    best = (np.inf, {name: value.clone() for name, value in probe.state_dict().items()})
    worse = steps = 0
    while worse < PATIENCE and steps < STEPS:
        shuffled = order.permutation(len(train.rows))
        for first in range(0, len(shuffled), BATCH):
            chosen = np.sort(shuffled[first : first + BATCH])  # in the order of the file
            scores = probe(torch.from_numpy(features[train.rows[chosen]]))
            loss = nn.functional.cross_entropy(scores, torch.from_numpy(train.labels[chosen]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            steps += 1
        reached, _ = _run(probe, features, dev)
        if reached < best[0]:
            best, worse = (reached, {name: value.clone() for name, value in probe.state_dict().items()}), 0
        else:
            worse += 1
    probe.load_state_dict(best[1])
    return probe.requires_grad_(False)


def score_probe(task: Task, corpus: ProbingCorpus, probe: Probe, features: NDArray[np.float32]) -> Score:
    """Return the accuracy on test with its bootstrap interval over utterances; arguments as for `train_probe`."""
    test = task_rows(task, corpus, "test")
    _, correct = _run(probe, features, test)
    return mean_score(task.name, "accuracy", corpus.ids, test.utterances, correct.astype(float), corpus.seed)


def dev_loss(task: Task, corpus: ProbingCorpus, probe: Probe, features: NDArray[np.float32]) -> float:
    """Return the mean cross-entropy (nats) on dev, which orders heads so that test stays unseen."""
    return _run(probe, features, task_rows(task, corpus, "dev"))[0]


def mean_score(
    task: str,
    metric: str,
    ids: tuple[str, ...],
    utterances: NDArray[np.int64],
    values: NDArray[np.float64],
    seed: int = 0,
) -> Score:
    """Return the mean of values with its Poisson-bootstrap interval over utterances, and the sums per utterance.

    Args:
        task: name of the task.
        metric: name of the values.
        ids: of all utterances.
        utterances: (examples,) index of the utterance of each value.
        values: (examples,).
        seed: random seed for the bootstrap.
    """
    total = np.bincount(utterances, values, len(ids))
    count = np.bincount(utterances, minlength=len(ids))
    bootstrap = PoissonBootstrap(REPLICATES, seed)
    used = np.flatnonzero(count)
    weights = np.stack([bootstrap.weights(ids[index]) for index in used])  # (utterances, replicates)
    with np.errstate(invalid="ignore"):
        replicates = (total[used] @ weights) / (count[used] @ weights)
    if len(used) < 2:  # every replicate would be the mean itself: an interval of no width
        replicates[:] = np.nan
    low, high = percentile_interval(replicates)
    mean = float(total.sum() / count.sum())
    parts = total[used].tolist(), count[used].tolist()
    return Score(task, metric, mean, float(low), float(high), len(values), *parts)


def _statistics(
    features: NDArray[np.float32], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the (states, size) mean and standard deviation over the rows; 1 as deviation of a constant feature."""
    total = np.zeros(features.shape[1:])
    square = np.zeros(features.shape[1:])
    for first in range(0, len(rows), _READ):
        part = features[rows[first : first + _READ]].astype(np.float64)
        total += part.sum(0)
        square += (part**2).sum(0)
    mean = total / len(rows)
    deviation = np.sqrt(np.maximum(square / len(rows) - mean**2, 0.0))
    return mean.astype(np.float32), np.where(deviation > 1e-5, deviation, 1.0).astype(np.float32)


@torch.no_grad()
def _run(probe: Probe, features: NDArray[np.float32], examples: Examples) -> tuple[float, NDArray[np.bool_]]:
    """Return the mean cross-entropy, and for each row whether the class is right."""
    loss, correct, rows, labels = 0.0, [], examples.rows, examples.labels
    for first in range(0, len(rows), _READ):
        truth = torch.from_numpy(labels[first : first + _READ])
        scores = probe(torch.from_numpy(features[rows[first : first + _READ]]))
        loss += nn.functional.cross_entropy(scores, truth, reduction="sum").item()
        correct.append((scores.argmax(-1) == truth).numpy())
    right = np.concatenate(correct) if correct else np.zeros(0, dtype=bool)
    return loss / max(1, len(rows)), right
