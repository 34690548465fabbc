"""Findings: one number about one claim, and the verdict that follows from its interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sat_probe.measures.intervals import Number

Verdict = Literal["holds", "does not hold", "not testable here"]
VERDICTS: tuple[Verdict, ...] = ("holds", "does not hold", "not testable here")
ACROSS = "all"  # in place of a model, for claims that compare models
Z = 1.96  # standard deviations on either side of a 95 % interval


@dataclass(frozen=True, slots=True)
class Finding:
    """One number about one claim.

    Attributes:
        model: the model; "all" for claims that compare models.
        case: task or setting, for claims with several.
        measured: the number in words, with the numbers it was computed from.
        value: above 0 if the claim is right; NaN if it was not measured.
        low, high: 95 % interval of the value; NaN if there is none.
        unit: unit of value, low and high.
        verdict: whether the claim holds.
        file: table it was computed from, relative to the study.
        detail: whether the page folds it away, because another finding stands for both.
    """

    model: str
    case: str
    measured: str
    value: float
    low: float
    high: float
    unit: str
    verdict: Verdict
    file: str
    detail: bool = False


def interval_verdict(low: float, high: float) -> Verdict:
    """Return "holds" if a whole interval is above 0, and "does not hold" if it is below.

    If it contains 0, or there is none, the claim is "not testable here": there is too little speech to tell.
    """
    if low > 0:
        return "holds"
    return "does not hold" if high < 0 else "not testable here"


def finding_from_interval(
    model: str, case: str, measured: str, number: Number, unit: str, file: str, detail: bool = False
) -> Finding:
    """Return a finding with the verdict of its interval; `number` is (value, low, high)."""
    return Finding(model, case, measured, *number, unit, interval_verdict(number[1], number[2]), file, detail)


def not_measured(model: str, what: str) -> Finding:
    """Return the finding for something that was not measured."""
    nan = float("nan")
    return Finding(model, "", f"{what} was not measured", nan, nan, nan, "", "not testable here", "")


def difference(first: Number, second: Number) -> Number:
    """Return first minus second with its interval; each argument is (value, low, high).

    The half-widths are added as squares, which is right for independent numbers such as those of two models' heads.
    Scores on the same utterances are compared in pairs instead, by `sat_probe.measures`.
    """
    value = first[0] - second[0]
    half = math.hypot((first[2] - first[1]) / 2, (second[2] - second[1]) / 2)
    return value, value - half, value + half
