"""The tables of an importance study: one row per point of a curve, and what each point is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from sat_probe.studies.probing.features import Ablation

_RENAMED = {"low": "value_low", "high": "value_high"}

Records = Mapping[str, Sequence[Mapping[str, Any]]]  # by key of the ablation


def curve_table(curves: Sequence[tuple[Ablation, Mapping[str, Any]]], results: Records) -> pd.DataFrame:
    """``importance``: one row per point, task and mode; points of the same ablation have the same number.

    Args:
        curves: every point and its place in the table, as `options.curves_of` gives them.
        results: records of `AblationLab.measure`.
    """
    numbers = _numbers(curves)
    rows = [
        {**place, "point": numbers[ablation.key], **record}
        for ablation, place in curves
        for record in results[ablation.key]
    ]
    return pd.DataFrame(rows).drop(columns=["totals", "counts"]).rename(columns=_RENAMED)


def counts_table(
    curves: Sequence[tuple[Ablation, Mapping[str, Any]]],
    results: Records,
    tested: Callable[[str], Sequence[str]],
) -> pd.DataFrame:
    """``importance_counts``: one row per test utterance, task and mode, as every ablation is scored on the same ones.

    Args:
        curves: as for :func:`curve_table`.
        results: likewise.
        tested: ids of the utterances of a task.

    Returns:
        Columns ``utterance``, ``task``, ``mode``, ``items`` (frames or utterances scored) and ``total_N`` for every
        point N: how many of them were right, or their sum of L1.
    """
    parts: dict[tuple[str, str], dict[str, Any]] = {}
    for key, number in _numbers(curves).items():
        for record in results[key]:
            task, mode = record["task"], record["mode"]
            first = {"utterance": tested(task), "task": task, "mode": mode, "items": record["counts"]}
            part = parts.setdefault((task, mode), first)
            part[f"total_{number}"] = record["totals"]
    return pd.concat([pd.DataFrame(part) for part in parts.values()], ignore_index=True)


def _numbers(curves: Sequence[tuple[Ablation, Mapping[str, Any]]]) -> dict[str, int]:
    """Number of each ablation, in the order of the curves."""
    return {key: number for number, key in enumerate(dict.fromkeys(ablation.key for ablation, _ in curves))}
