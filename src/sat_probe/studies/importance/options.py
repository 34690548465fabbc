"""Options of an importance study, and the points of its curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sat_probe.errors import ConfigurationError
from sat_probe.models.attention.probe import SpanMode
from sat_probe.studies.importance.ablation_lab import MODES, Mode
from sat_probe.studies.importance.rankings import RANKINGS, Head
from sat_probe.studies.probing.features import Ablation, Layer
from sat_probe.studies.probing.prepared import MissingPhones
from sat_probe.studies.probing.tasks import check_tasks

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
        (ablation, {**place, "point": numbers.setdefault(ablation.key, len(numbers))})
        for ablation, place in curves
    ]
