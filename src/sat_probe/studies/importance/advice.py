"""Advice on which heads to remove, in sentences, from the suggestion of an importance report."""

from __future__ import annotations

import math

from sat_probe.studies.importance.suggestion import Suggestion

FEW = 20  # test utterances; a percentile bootstrap of fewer is too narrow


def advice(kind: str, found: Suggestion | None, max_loss: float, all_heads: int) -> str:
    """Return what can be removed, with the option of `sat-probe refine` that removes it."""
    if found is None:
        return f"No {'removal of heads' if kind == 'heads' else 'span'} stays within a loss of {max_loss:g}."
    lost = ", ".join(
        f"{name} {loss:+.3f} ({found.intervals[name][0]:+.3f} to {found.intervals[name][1]:+.3f})"
        for name, loss in found.losses.items()
    )
    if kind == "span":
        return (
            f"Attention can be limited (loss: {lost}):\n  --span {found.span} --span-mode {found.span_mode}"
        )
    if len(found.heads) == all_heads:
        return (
            f"All {all_heads} heads can be removed (loss: {lost}): these probes do not need attention. sat-probe "
            "refine keeps at least one head; with --report and --max-loss it takes the step before."
        )
    named = ",".join(f"{layer}.{head}" for layer, head in found.heads)
    return f"{len(found.heads)} heads can be removed by {found.ranking} (loss: {lost}):\n  --heads {named}"


def confidence(found: Suggestion, max_loss: float, tested: int) -> str:
    """Return whether the upper ends of the intervals stay within the acceptable loss too."""
    spoken = "1 test utterance" if tested == 1 else f"{tested} test utterances"
    ends = {name: high for name, (_, high) in found.intervals.items()}
    unknown = [name for name in found.losses if not math.isfinite(ends.get(name, math.nan))]
    if unknown:
        return f"  Not sure: no interval for {', '.join(unknown)} ({spoken})."
    worst = max(ends, key=lambda name: ends[name])
    if ends[worst] > max_loss:
        return f"  Not sure: {worst} could lose up to {ends[worst]:+.3f}, more than {max_loss:g} ({spoken})."
    few = "; intervals of so few look too narrow" if tested < FEW else ""
    return f"  Sure for this speech: the upper ends are within {max_loss:g} too ({spoken}{few})."
