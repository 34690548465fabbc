"""Untrained control: statistics of a model's heads beside those of random models of its shape (a null distribution)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm.auto import tqdm

from sat_probe.measures.bootstrap import PoissonBootstrap
from sat_probe.measures.head_accumulator import HeadMetricsAccumulator
from sat_probe.measures.head_metrics import CATEGORIES
from sat_probe.models.mockingjay import MockingjayConfig
from sat_probe.paper.ctc import ctc_extractor, new_ctc
from sat_probe.paper.files import read_run, save_tables
from sat_probe.paper.plan import ReproductionPlan, corpus_label, open_speech
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.studies.choices import ModelChoice
from sat_probe.studies.corpus_pass.accumulation import CorpusPass
from sat_probe.studies.head_analysis import HeadSums, head_table
from sat_probe.studies.inputs import open_model
from sat_probe.studies.pretraining.recipe import feature_extractor, new_model

METRICS = ("globalness", "verticality", "diagonality", "max_weight", "spread_ms", "sink_share")
LEARNED = ("steps", "first_loss", "loss", "held_out_loss", "character_error_rate", "parameters", "seconds")


def measure_control(plan: ReproductionPlan, models: Mapping[str, Path], folder: Path, progress: bool) -> None:
    """Compute statistics of the heads of trained models and of untrained ones of their shapes, on the same utterances.

    Args:
        plan: number of random seeds and utterances.
        models: trained models by name; "ctc" is the other family.
        folder: receives the tables `control` (family, weights, seed, statistic, value) and `control_runs` (what the
            trained models learned).
        progress: show a progress bar.
    """
    corpus = open_speech(plan.phones).limit(plan.control.utterances)
    rows: list[dict[str, Any]] = []
    runs = [{"family": name, **{key: read_run(source).get(key) for key in LEARNED}} for name, source in models.items()]
    with tqdm(total=len(models) * (plan.control.seeds + 1), unit="model", desc="Control", disable=not progress) as bar:
        for name, source in models.items():
            for weights, seed, statistics in _versions(plan, name, source, corpus):
                rows += [
                    {"family": name, "weights": weights, "seed": seed, "statistic": one, "value": value}
                    for one, value in statistics.items()
                ]
                bar.update()
    save_tables(
        folder,
        {"corpus": corpus_label(plan.phones), **asdict(plan.control), "models": list(models)},
        {"control": pd.DataFrame(rows), "control_runs": pd.DataFrame(runs)},
    )


def head_statistics(heads: pd.DataFrame) -> dict[str, float]:
    """Return statistics over all heads of a model: shares of categories, mean and deviation of each metric.

    Args:
        heads: the table of a report.
    """
    shares = {f"share of {name} heads": (heads["category"] == name).mean() for name in CATEGORIES}
    means = {f"mean {name}": heads[name].mean() for name in METRICS}
    spreads = {f"deviation of {name} between heads": heads[name].std(ddof=0) for name in METRICS}
    others = {
        "mean distance of the offset from 0 (ms)": heads["mean_offset_ms"].abs().mean(),
        "mean category_stability": heads["category_stability"].mean(),
    }
    return {name: float(value) for name, value in (shares | means | spreads | others).items()}


def _versions(
    plan: ReproductionPlan, name: str, source: Path, corpus: Corpus
) -> Iterator[tuple[str, int, dict[str, float]]]:
    yield "trained", -1, _measured(source, corpus)
    for seed in range(plan.control.seeds):
        with tempfile.TemporaryDirectory(prefix="sat-probe-") as scratch:
            _save_untrained(plan, name, source, seed, Path(scratch))
            yield "random", seed, _measured(Path(scratch), corpus)


def _measured(model: Path, corpus: Corpus) -> dict[str, float]:
    """Return the statistics of a model; only the heads are measured, no relation maps."""
    probed = open_model(ModelChoice(str(model)))
    seen = HeadMetricsAccumulator(probed.num_probed_layers, probed.num_probed_heads, PoissonBootstrap(200, 0))
    CorpusPass(probed, corpus, {"heads": HeadSums(seen)}).run(progress=False)
    return head_statistics(head_table(seen.compute(), 1000 * probed.frame_grid.hop_seconds))


def _save_untrained(plan: ReproductionPlan, name: str, trained: Path, seed: int, folder: Path) -> None:
    """Save a model of the same shape as a trained one, as it is before its first step."""
    if name == "ctc":
        new_ctc(plan.control.ctc, seed).save_pretrained(folder)
        ctc_extractor().save_pretrained(folder)
    else:
        config = MockingjayConfig.from_pretrained(trained)
        new_model(config, seed).save_pretrained(folder)
        feature_extractor(config).save_pretrained(folder)
