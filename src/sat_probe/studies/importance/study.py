"""Which heads matter? Heads are removed in many orders, or attention limited, and the model probed at every step."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from sat_probe.errors import ConfigurationError
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.corpus import Corpus, load_corpus
from sat_probe.reports.head_report import HeadReport
from sat_probe.studies.choices import BUNDLED, ModelChoice
from sat_probe.studies.head_analysis import analyze_model
from sat_probe.studies.importance.ablation_lab import AblationLab, FinishedPoints
from sat_probe.studies.importance.options import Options, curves_of
from sat_probe.studies.importance.rankings import (
    Head,
    Metric,
    gradient_importance,
    metric_order,
    random_order,
    value_order,
)
from sat_probe.studies.importance.tables import counts_table, curve_table
from sat_probe.studies.inputs import load_model, require_intact, span_limit, weights_digest
from sat_probe.studies.probing.ablation import Ablation
from sat_probe.studies.probing.prepared import collect
from sat_probe.studies.probing.reconstruction import needs_proxy
from sat_probe.studies.probing.tasks import CLASSIFICATIONS, RECONSTRUCTION, chosen_tasks

_JUDGES = (
    "phones_hidden",
    "phones_linear",
    "speakers_frame",
    "speakers_utterance",
)  # first there is, orders heads


def head_importance(
    model: str | Path | ProbedModel | None = None,
    dataset: str | Path | Corpus | None = None,
    options: Options | None = None,
    *,
    metrics: Mapping[str, Metric] | None = None,
    data_dir: str | Path | None = None,
    alignments: str | Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    phone_set: str | None = None,
    device: str | torch.device | None = None,
    output: str | Path | None = None,
    resume: bool = False,
    progress: bool = True,
) -> HeadReport:
    """Ablation curves of a model: the report of its heads with ``importance`` and ``importance_counts``.

    ``importance`` has one row per ablated model, task and mode: ``kind`` ("heads" or "span"), ``ranking``, ``seed`` (of
    random orders), ``removed`` (heads), ``heads`` (which, "layer.head" in order), ``span`` (frames, NaN is full),
    ``span_mode``, ``point`` (a number, the same for the same ablation), ``task``, ``mode``, ``metric``, ``value`` with
    ``value_low`` and ``value_high`` (95 %, over utterances), ``items`` (frames or utterances). ``importance_counts``
    has the sums these are made of, per test utterance: `sat_probe.reports.task_curves` compares points by them.

    Args:
        model: a model on the Hub, a folder, or a probed model; None is the bundled Mockingjay.
        dataset: a corpus, its name, or a folder; None is the bundled speech.
        options: what to measure.
        metrics: further rankings by name: functions of the report that give a number per head, highest removed first.
        data_dir: where a named corpus is.
        alignments: folder, archive or table of phone alignments, where they do not lie beside the audio.
        split: part of the corpus.
        limit: only the first so many utterances.
        phone_set: fold phones into this set.
        device: where the model runs; probes are trained on the CPU.
        output: save the report there; finished points are kept beside it until the end.
        resume: go on from the points that an interrupted run left beside ``output``.
        progress: show a progress bar with the time left.

    Raises:
        ConfigurationError: for options that do not exist.
        CorpusError: if the corpus cannot be read or lacks what a task needs.
        ModelError: if the model cannot be loaded.
        ReportError: if the points beside ``output`` are of another run.
    """
    options = options or Options()
    options.check()
    probed = load_model(model, device=device)
    require_intact(probed)
    corpus = (
        dataset
        if isinstance(dataset, Corpus)
        else load_corpus(
            dataset or BUNDLED,
            data_dir=data_dir,
            alignments=alignments,
            split=split,
            limit=limit,
            phone_set=phone_set,
        )
    )
    identity = {
        "model": weights_digest(probed),
        "corpus": corpus.name,
        "split": corpus.split,
        "utterances": None if corpus.is_streaming else len(corpus),
        "phone_set": corpus.phone_set.name,
        **({} if alignments is None else {"alignments": str(alignments)}),
        **span_limit(probed),
        "options": {
            name: getattr(options, name) for name in options.__slots__ if name not in ("rankings", "spans")
        },
    }
    with tempfile.TemporaryDirectory(prefix="sat-probe-") as scratch:
        prepared = collect(
            probed,
            corpus,
            Path(scratch) / "inputs",
            options.seed,
            progress,
            log_mel=needs_proxy(probed, options.tasks),
        )
        tasks = chosen_tasks(options.tasks, prepared)
        lab = AblationLab(
            probed,
            prepared,
            tasks,
            Path(scratch),
            options.layer,
            options.seed,
            options.missing_phones,
        )
        lab.prepare()
        beside = Path(scratch) if output is None else Path(output).parent
        points = FinishedPoints(points_path(beside, output), identity, resume)
        report = analyze_model(probed, corpus, progress=progress, seed=options.seed)
        orders = _orders(lab, report, options, metrics or {}, points, progress)
        curves = curves_of(orders, options)
        if not curves:
            raise ConfigurationError("nothing to measure: no span, and no ranking that these tasks can make")
        _measure(lab, curves, options, points, progress)
        tables = {
            **report.tables,
            "importance": curve_table(curves, points.results),
            "importance_counts": counts_table(curves, points.results, lab.tested),
        }
        described = {
            "tasks": tasks,
            "layer": options.layer,
            "modes": list(options.modes),
            "split": {part: int(prepared.in_part(part).sum()) for part in ("train", "dev", "test")},
            "speakers": len(prepared.speaker_names),
            "missing_phones": options.missing_phones,
        }
        provenance = report.provenance.replace(model=ModelChoice(model).name, importance=described)
        report = replace(report, tables=tables, provenance=provenance)
        if output is not None:
            report.save(output)
            points.path.unlink(missing_ok=True)
    return report


def points_path(folder: Path, output: str | Path | None) -> Path:
    """Where finished points are kept while a run goes on."""
    name = "points" if output is None else Path(output).name
    return folder / f".{name}.importance.jsonl"


def _orders(
    lab: AblationLab,
    report: HeadReport,
    options: Options,
    metrics: Mapping[str, Metric],
    points: FinishedPoints,
    progress: bool,
) -> dict[tuple[str, int], list[Head]]:
    """By ranking and seed: heads, the first to be removed first."""
    present = lab.model.present_heads
    judge = next((name for name in _JUDGES if name in lab.tasks), None)
    orders: dict[tuple[str, int], list[Head]] = {}
    for name in options.rankings:
        match name:
            case "random":
                for seed in range(options.random_seeds):
                    orders[name, seed] = random_order(present, seed)
            case "gradient" if judge is not None:
                values = gradient_importance(
                    lab.model,
                    lab.corpus,
                    CLASSIFICATIONS[judge],
                    lab.probes[judge],
                    lab.layer,
                    lab.missing_phones,
                )
                orders[name, 0] = value_order(values, present)
            case "leave_one_out" if judge is not None or RECONSTRUCTION in lab.tasks:
                losses = _leave_one_out(lab, judge or RECONSTRUCTION, points, progress)
                orders[name, 0] = sorted(losses, key=lambda head: losses[head])
            case "weight" | "globalness" | "verticality" | "diagonality":
                orders[name, 0] = metric_order(report, name)
    for name, metric in metrics.items():
        orders[name, 0] = metric_order(report, metric)
    return orders


def _leave_one_out(lab: AblationLab, task: str, points: FinishedPoints, progress: bool) -> dict[Head, float]:
    """Loss on dev without each head."""
    heads = [(layer, head) for layer, own in enumerate(lab.model.present_heads) for head in own]
    losses = {}
    for head in tqdm(heads, unit="head", desc="Leaving one out", disable=not progress):
        ablation = Ablation(frozenset([head]))
        key = f"loss of {task} {ablation.key}"
        if key not in points.results:
            points.add(key, lab.loss(ablation, task))
        losses[head] = points.results[key]
    return losses


def _measure(
    lab: AblationLab,
    curves: Sequence[tuple[Ablation, Mapping[str, Any]]],
    options: Options,
    points: FinishedPoints,
    progress: bool,
) -> None:
    """Probe every ablated model once."""
    todo = {ablation.key: ablation for ablation, _ in curves}
    left = [key for key in todo if key not in points.results]
    with tqdm(
        total=len(todo), initial=len(todo) - len(left), unit="model", desc="Probing", disable=not progress
    ) as bar:
        for key in left:
            points.add(key, lab.measure(todo[key], options.modes))
            bar.update()
