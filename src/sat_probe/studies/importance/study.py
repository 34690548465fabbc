"""Head importance: heads are removed in many orders, or attention is limited, and the model is probed at every step."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from sat_probe.errors import ConfigurationError
from sat_probe.reports.head_report import HeadReport
from sat_probe.studies.choices import StudyKeywords
from sat_probe.studies.head_analysis import AnalysisOptions, analyze
from sat_probe.studies.importance.ablation_lab import AblationLab, FinishedPoints
from sat_probe.studies.importance.options import (
    Head,
    Metric,
    Options,
    curves_of,
    gradient_importance,
    heads_of,
    metric_order,
    random_order,
)
from sat_probe.studies.inputs import Inputs
from sat_probe.studies.probing.features import Ablation
from sat_probe.studies.probing.prepared import collect
from sat_probe.studies.probing.reconstruction import needs_proxy
from sat_probe.studies.probing.tasks import CLASSIFICATIONS, RECONSTRUCTION, chosen_tasks
from sat_probe.studies.run_options import RunOptions, lists_keywords, open_study

if TYPE_CHECKING:
    from typing_extensions import Unpack

# the first of these tasks that is measured orders the heads of the rankings gradient and leave_one_out
_JUDGES = ("phones_hidden", "phones_linear", "speakers_frame", "speakers_utterance")

Records = Mapping[str, Sequence[Mapping[str, Any]]]  # by key of the ablation


@lists_keywords
def head_importance(
    model: Any = None,
    dataset: Any = None,
    options: Options | None = None,
    *,
    metrics: Mapping[str, Metric] | None = None,
    **keywords: Unpack[StudyKeywords],
) -> HeadReport:
    """Measure ablation curves of a model: remove heads in many orders, or limit attention, and probe every step.

    Several processes share the analysis of the heads and the ablated models. Probes are trained on the CPU.

    Args:
        model: as `analyze_model` takes it.
        dataset: likewise.
        options: what to measure.
        metrics: further rankings by name: functions of the report that return a number per row of `report.heads`; the
            head with the highest is removed first.
        **keywords: of the corpus, the model and the run, see `StudyKeywords`.

    Returns:
        The report of `analyze_model` with the tables ``importance`` and ``importance_counts``.

        ``importance`` has one row per ablated model, task and mode: ``kind`` ("heads" or "span"), ``ranking``, ``seed``
        (of random orders), ``removed`` (number of heads), ``heads`` (which, "layer.head" in order), ``span`` (frames,
        NaN is no limit), ``span_mode``, ``point`` (a number, the same for the same ablation), ``task``, ``mode``,
        ``metric``, ``value`` with ``value_low`` and ``value_high`` (95 %, over utterances), ``items`` (frames or
        utterances). ``importance_counts`` has the sums these are made of, per test utterance, to compare points with
        `sat_probe.reports.task_curves`.

    Raises:
        ConfigurationError: for options that do not exist.
        CorpusError: if the corpus cannot be read or lacks what a task needs.
        ModelError: if the model cannot be loaded.
        AudioError: at the first bad file, if strict.
        ReportError: if `output` holds something else, or a checkpoint belongs to another run.
    """
    options = options or Options()
    options.check()
    inputs, run = open_study(model, dataset, keywords)
    return run.finish(importance(inputs, options, metrics or {}, run), inputs.process)


def importance(inputs: Inputs, options: Options, metrics: Mapping[str, Metric], run: RunOptions) -> HeadReport:
    """Return the report of a model and a corpus that are open already, unsaved; see `head_importance`."""
    model, process = inputs.model, inputs.process
    progress = run.progress and process.is_main
    asked = {name: getattr(options, name) for name in options.__slots__ if name not in ("rankings", "spans")}
    points = FinishedPoints(process, run.checkpoint("importance", inputs, asked), run.resume)
    with tempfile.TemporaryDirectory(prefix="sat-probe-") as scratch:
        # every process needs all of it, for the points that are its own
        prepared = collect(
            model,
            inputs.corpus,
            Path(scratch) / "inputs",
            options.seed,
            progress,
            strict=run.strict,
            log_mel=needs_proxy(model, options.tasks),
            missing_phones=options.missing_phones,
        )
        tasks = chosen_tasks(options.tasks, prepared)
        lab = AblationLab(model, prepared, tasks, Path(scratch), options.layer)
        lab.prepare()
        report = analyze(inputs, AnalysisOptions(seed=options.seed), run)
        orders = _orders(lab, report, options, metrics, points, progress)
        curves = curves_of(orders, options)
        if not curves:
            raise ConfigurationError("nothing to measure: no span, and no ranking that these tasks can make")
        todo = {ablation.key: partial(lab.measure, ablation, options.modes) for ablation, _ in curves}
        results = points.measure(todo, "model", "Probing", progress)
        tables = {
            "importance": curve_table(curves, results),
            "importance_counts": counts_table(curves, results, lab.tested),
        }
    described = {
        "tasks": tasks,
        "layer": options.layer,
        "modes": list(options.modes),
        "split": {part: int(prepared.in_part(part).sum()) for part in ("train", "dev", "test")},
        "speakers": len(prepared.speaker_names),
        "missing_phones": options.missing_phones,
    }
    provenance = report.provenance.replace(importance=described)
    return replace(report, tables={**report.tables, **tables}, provenance=provenance)


def _orders(
    lab: AblationLab,
    report: HeadReport,
    options: Options,
    metrics: Mapping[str, Metric],
    points: FinishedPoints,
    progress: bool,
) -> dict[tuple[str, int], list[Head]]:
    """Return the heads by ranking and seed, each list in order of removal."""
    present = lab.model.present_heads
    judge = next((name for name in _JUDGES if name in lab.tasks), None)
    orders: dict[tuple[str, int], list[Head]] = {}
    for name in options.rankings:
        match name:
            case "random":
                for seed in range(options.random_seeds):
                    orders[name, seed] = random_order(present, seed)
            case "gradient" if judge is not None:
                task, probe = CLASSIFICATIONS[judge], lab.probes[judge]
                values = gradient_importance(lab.model, lab.corpus, task, probe, lab.layer)
                orders[name, 0] = sorted(heads_of(present), key=lambda head: values[head])
            case "leave_one_out" if judge is not None or RECONSTRUCTION in lab.tasks:
                losses = _leave_one_out(lab, judge or RECONSTRUCTION, points, progress)
                orders[name, 0] = sorted(losses, key=lambda head: losses[head])
            case "weight" | "globalness" | "verticality" | "diagonality":
                orders[name, 0] = metric_order(report, name)
    for name, metric in metrics.items():
        orders[name, 0] = metric_order(report, metric)
    return orders


def _leave_one_out(lab: AblationLab, task: str, points: FinishedPoints, progress: bool) -> dict[Head, float]:
    """Return the loss on dev without each head."""
    heads = heads_of(lab.model.present_heads)
    ablations = [Ablation(frozenset([head])) for head in heads]
    todo = {f"loss of {task} {one.key}": partial(lab.loss, one, task) for one in ablations}
    losses = points.measure(todo, "head", "Leaving one out", progress)
    return dict(zip(heads, losses.values(), strict=True))


def curve_table(curves: Sequence[tuple[Ablation, Mapping[str, Any]]], results: Records) -> pd.DataFrame:
    """``importance``: one row per point, task and mode; points of the same ablation have the same number.

    Args:
        curves: every point and its place in the table, as `curves_of` gives them.
        results: records of `AblationLab.measure`.
    """
    rows = [{**place, **record} for ablation, place in curves for record in results[ablation.key]]
    named = {"low": "value_low", "high": "value_high"}
    return pd.DataFrame(rows).drop(columns=["totals", "counts"]).rename(columns=named)


def counts_table(
    curves: Sequence[tuple[Ablation, Mapping[str, Any]]], results: Records, tested: Callable[[str], Sequence[str]]
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
    for key, number in {ablation.key: place["point"] for ablation, place in curves}.items():
        for record in results[key]:
            task, mode = record["task"], record["mode"]
            first = {"utterance": tested(task), "task": task, "mode": mode, "items": record["counts"]}
            part = parts.setdefault((task, mode), first)
            part[f"total_{number}"] = record["totals"]
    return pd.concat([pd.DataFrame(part) for part in parts.values()], ignore_index=True)
