"""What was found about one claim, and when it counts as holding."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["holds", "does not hold", "not testable here"]
VERDICTS: tuple[Verdict, ...] = ("holds", "does not hold", "not testable here")
ACROSS = "all"  # models that a claim compares with each other


@dataclass(frozen=True, slots=True)
class Finding:
    """One number about one claim.

    Attributes:
        model: whose; "all" for claims that compare models.
        case: task or setting, where a claim has several.
        measured: what the number is, in words, with the numbers it is made of.
        value: as large as the claim says it should be above 0; NaN where it could not be measured.
        low, high: its 95 % interval; NaN where there is none.
        unit: of value, low and high.
        verdict: whether the claim holds.
        file: the table it was computed from, relative to the study.
        detail: whether it says more about a claim than another finding that stands for both on the page.
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


def decided(low: float, high: float) -> Verdict:
    """A claim that a number is above 0 holds if its whole interval is, and does not if its whole interval is below.

    An interval that holds 0, or none at all, means that the speech at hand is too little to tell.
    """
    if low > 0:
        return "holds"
    return "does not hold" if high < 0 else "not testable here"


def found(
    model: str,
    case: str,
    measured: str,
    number: tuple[float, float, float],
    unit: str,
    file: str,
    detail: bool = False,
) -> Finding:
    """A finding whose verdict follows from its interval; `number` is value, low, high."""
    return Finding(model, case, measured, *number, unit, decided(number[1], number[2]), file, detail)


def missing(model: str, what: str) -> Finding:
    """A finding for what was not measured."""
    nan = float("nan")
    return Finding(model, "", f"{what} was not measured", nan, nan, nan, "", "not testable here", "")


def apart(
    first: tuple[float, float, float], second: tuple[float, float, float]
) -> tuple[float, float, float]:
    """First minus second, each value, low, high; the half-widths of the intervals added as squares.

    That is the interval of independent numbers, as those of two models' heads. What is scored on the same utterances is
    compared in pairs, by `sat_probe.measures`.
    """
    difference = first[0] - second[0]
    half = math.hypot((first[2] - first[1]) / 2, (second[2] - second[1]) / 2)
    return difference, difference - half, difference + half
