"""Options of an importance study, the orders in which heads are removed, and the points of the curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from sat_probe.errors import ConfigurationError
from sat_probe.models.attention.probe import SpanMode
from sat_probe.models.inputs_outputs import ModelInputs
from sat_probe.models.probed import ProbedModel
from sat_probe.reports.head_report import HeadReport
from sat_probe.studies.importance.ablation_lab import MODES, Mode
from sat_probe.studies.probing.features import Ablation, Layer, stacked_states
from sat_probe.studies.probing.prepared import MissingPhones, ProbingCorpus
from sat_probe.studies.probing.probe import Probe
from sat_probe.studies.probing.tasks import Task, check_tasks, task_rows

Head = tuple[int, int]
Metric = Callable[[HeadReport], ArrayLike]  # one number per row of report.heads; the highest is removed first

METRICS = ("globalness", "verticality", "diagonality")  # highest first
RANKINGS = (*METRICS, "weight", "gradient", "leave_one_out", "random")


def metric_order(report: HeadReport, ranking: str | Metric) -> list[Head]:
    """Return heads by a metric of the report, highest first; by ``weight``, the largest attention weight, lowest first.

    Args:
        report: of the model.
        ranking: one of METRICS, ``weight``, or a function of the report that returns a number per head.

    Raises:
        ConfigurationError: if the function returns something else.
    """
    heads = report.heads
    if callable(ranking):
        values = np.asarray(ranking(report), dtype=float)
        if values.shape != (len(heads),) or not np.isfinite(values).all():
            raise ConfigurationError(
                f"a metric must give one finite number for each of the {len(heads)} rows of report.heads; "
                f"{getattr(ranking, '__name__', 'it')!s} gave an array of shape {values.shape}"
            )
    elif ranking == "weight":
        values = -heads["max_weight"].to_numpy(dtype=float)
    else:
        values = heads[ranking].to_numpy(dtype=float)
    order = np.argsort(-values, kind="stable")
    return [(int(heads["layer"].iloc[row]), int(heads["head"].iloc[row])) for row in order]


def heads_of(present: Sequence[Sequence[int]]) -> list[Head]:
    """Return the heads that each layer has, as (layer, head)."""
    return [(layer, head) for layer, own in enumerate(present) for head in own]


def random_order(present: Sequence[Sequence[int]], seed: int) -> list[Head]:
    """Return the present heads in a random order."""
    heads = heads_of(present)
    return [heads[index] for index in np.random.default_rng(seed).permutation(len(heads))]


def gradient_importance(
    model: ProbedModel, corpus: ProbingCorpus, task: Task, probe: Probe, layer: Layer = -1, normalize: bool = True
) -> NDArray[np.float64]:
    """Return I_h = E |dL/dg_h| (Michel et al. 2019, eq. 2), the sensitivity of the loss to the gate on a head's output.

    The expectation is over the utterances of dev; L is the mean loss of the probe over an utterance.

    Args:
        model: the model.
        corpus: prepared for it.
        task: of the probe.
        probe: trained on the model.
        layer: the hidden state that it reads.
        normalize: divide by the 2-norm over the heads of each layer, as the authors do.

    Returns:
        (layers, heads), 0 for heads that the model has lost.
    """
    total = np.zeros((model.num_probed_layers, model.num_probed_heads))
    count = 0
    for loss_of, gate in utterance_losses(model, corpus, task, probe, layer):
        (gradient,) = torch.autograd.grad(loss_of(gate), gate)
        total += gradient.abs().double().cpu().numpy()
        count += 1
    importance = total / max(1, count)
    if normalize:
        norm = np.linalg.norm(importance, axis=1, keepdims=True)
        importance = importance / np.where(norm > 0, norm, 1.0)
    return importance


def utterance_losses(
    model: ProbedModel, corpus: ProbingCorpus, task: Task, probe: Probe, layer: Layer = -1
) -> Iterator[tuple[Callable[[Tensor], Tensor], Tensor]]:
    """Yield for each utterance of dev a function from a head mask to the probe's loss, and a mask of ones."""
    rows = task_rows(task, corpus, "dev")
    edges = corpus.first_frames
    wanted = set(rows.utterances.tolist())
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    probe = probe.to(model.device)
    shape = model.num_probed_layers, model.num_probed_heads

    def loss_of(inputs: ModelInputs, places: NDArray[np.int64], labels: Tensor, mask: Tensor) -> Tensor:
        # as the features were made: in evaluation mode, with states at the rate of the attention
        output = model.encode([inputs], head_mask=mask, output_hidden_states=True, gradients=True)
        assert output.hidden_states is not None
        states = stacked_states(output.hidden_states, layer)[0, : inputs.lengths[0]]
        chosen = states[places] if task.level == "frame" else states.mean(0, keepdim=True)
        return nn.functional.cross_entropy(probe(chosen), labels)

    try:
        for parameter in trainable:  # only the gates are differentiated
            parameter.requires_grad_(False)
        for first, batch in corpus.inputs(model.device):
            for offset, length in enumerate(batch.lengths):
                index = first + offset
                if index not in wanted:
                    continue
                own = rows.utterances == index
                labels = torch.from_numpy(rows.labels[own]).to(model.device)
                places = rows.rows[own] - (edges[index] if task.level == "frame" else 0)
                tensors = {name: tensor[offset : offset + 1] for name, tensor in batch.tensors.items()}
                gate = torch.ones(shape, device=model.device, requires_grad=True)
                yield partial(loss_of, ModelInputs(tensors, (length,)), places, labels), gate
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
        probe.to("cpu")


SPANS = (50, 25, 15, 5, 3, 2, 1, 0)
SPAN_MODES: tuple[SpanMode, ...] = ("zero", "mask")
STEPS = 6
RANDOM_SEEDS = 3


@dataclass(frozen=True, slots=True)
class Options:
    """What an importance study measures.

    Attributes:
        tasks: names of tasks; None for all that the corpus has labels for.
        rankings: some of RANKINGS.
        spans: limits of attention (frames).
        span_modes: ``zero`` (the paper's), ``mask``.
        steps: number of equal parts that the heads are divided into.
        modes: ``retrain`` trains a probe for each ablated model (the paper's), ``frozen`` keeps that of the model.
        layer: hidden state that the classifiers read: 0 is the embedding, -1 the last; ``"weighted"`` learns a mixture.
        random_seeds: number of random orders.
        seed: random seed for split, probes and intervals.
        missing_phones: ``refuse`` or ``ignore`` phones that do not occur in the training part.
    """

    tasks: Sequence[str] | None = None
    rankings: Sequence[str] = RANKINGS
    spans: Sequence[int] = SPANS
    span_modes: Sequence[SpanMode] = SPAN_MODES
    steps: int = STEPS
    modes: Sequence[Mode] = MODES
    layer: Layer = -1
    random_seeds: int = RANDOM_SEEDS
    seed: int = 0
    missing_phones: MissingPhones = "refuse"

    def check(self) -> None:
        """Raise a ConfigurationError for a value that does not exist."""
        check_tasks(self.tasks)
        for name, given, known in (
            ("ranking", self.rankings, RANKINGS),
            ("span mode", self.span_modes, SPAN_MODES),
            ("mode", self.modes, MODES),
            ("treatment of missing phones", [self.missing_phones], ("refuse", "ignore")),
        ):
            unknown = [one for one in given if one not in known]
            if unknown:
                raise ConfigurationError(f"there is no {name} {unknown[0]!r}; there are {', '.join(known)}")
        numbers = [("steps", 1, self.steps), ("random_seeds", 0, self.random_seeds)]
        for what, least, number in [*numbers, *(("spans", 0, span) for span in self.spans)]:
            if number < least:
                raise ConfigurationError(f"{what}: {number} is too small, {least} is the least")


def curves_of(
    orders: Mapping[tuple[str, int], Sequence[Head]], options: Options
) -> list[tuple[Ablation, dict[str, Any]]]:
    """Return every point of every curve: what is removed, and the place of the point in the table."""
    curves: list[tuple[Ablation, dict[str, Any]]] = []
    for (ranking, seed), order in orders.items():
        for step in range(options.steps + 1):
            count = round(step * len(order) / options.steps)
            gone = order[:count]
            place = {"kind": "heads", "ranking": ranking, "seed": seed, "removed": count, "span": None}
            named = ",".join(f"{layer}.{head}" for layer, head in gone)
            curves.append((Ablation(frozenset(gone)), {**place, "span_mode": None, "heads": named}))
    for mode in options.span_modes if options.spans else ():
        for span in (None, *options.spans):
            place = {"kind": "span", "ranking": None, "seed": 0, "removed": 0, "span": span}
            ablation = Ablation() if span is None else Ablation(span=span, span_mode=mode)
            curves.append((ablation, {**place, "span_mode": mode, "heads": ""}))
    numbers: dict[str, int] = {}
    return [
        (ablation, {**place, "point": numbers.setdefault(ablation.key, len(numbers))}) for ablation, place in curves
    ]
