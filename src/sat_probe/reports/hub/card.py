"""Cards of published reports, and evaluation results for the card of the model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import yaml
from huggingface_hub import DatasetCardData, EvalResultEntry, eval_result_entries_to_yaml

from sat_probe.errors import ReportError
from sat_probe.hub.cards import render_card
from sat_probe.reports.hub.layout import Entry, table_features
from sat_probe.reports.report_data import METRICS, ReportData, clearest_heads

LICENSE = "cc-by-4.0"
MEANINGS = {
    "heads": "one row per head: category, metrics, intervals, ranks.",
    "relation_maps": "for each head, how strongly frames of one phone attend to frames of another (eq. 5).",
    "relation_maps_by_class": "the same between natural classes of phones.",
    "relation_maps_by_voicing": "the same between voiced phones, voiceless phones and silence.",
    "concentration": "how much of the attention of each head each phone receives (eq. 6).",
    "operations": "named operations on phones (identity, to silence, ...) that each head carries out.",
    "segmentation": "scores of the phone boundaries that each head predicts, and of other sources.",
    "segmentation_curve": "precision and recall of these boundaries over thresholds.",
    "importance": "scores of probes while heads are removed or the attention span is limited.",
    "importance_counts": "the same per test utterance, so that ablations can be compared in pairs.",
}
TAGS = ["sat-probe", "speech", "audio", "attention", "interpretability"]
_FACTS = {
    "model": "model",
    "revision": "revision",
    "architecture": "architecture",
    "removed heads per layer": "removed_heads",
    "limited span (frames)": "limited_span",
    "corpus": "corpus",
    "configuration": "configuration",
    "split": "split",
    "phone set": "phone_set",
    "utterances": "utterances",
    "skipped": "skipped",
    "without alignment": "unaligned",
    "seconds of audio": "seconds",
    "frame hop (ms)": "frame_hop_ms",
    "dtype, device": ("dtype", "device"),
    "dtype of the weights": "stored_dtype",
    "seed": "seed",
    "bootstrap replicates": "bootstrap_replicates",
    "date": "date",
    "versions": "versions",
    "command": "command",
}


def repository_card(repo_id: str, entries: Sequence[Entry]) -> str:
    """Card of a dataset repository: its models, its tables as configurations, method, limits and citation."""
    tables, pretty_name = table_features(entries), f"Attention heads: {repo_id.split('/')[-1]}"
    data = DatasetCardData(
        pretty_name=pretty_name,
        license=LICENSE,
        tags=TAGS,
        configs=[_config(table) for table in tables],
        dataset_info=[
            {"config_name": table, "features": [_feature(name, kind) for name, kind in columns.items()]}
            for table, columns in tables.items()
        ],
    )
    return render_card(
        "head_reports",
        data,
        meanings=MEANINGS,
        license=LICENSE,
        repo_id=repo_id,
        pretty_name=pretty_name,
        entries=entries,
        tables=tables,
        facts={entry.path: _facts(entry.provenance) for entry in entries},
    )


def report_card(report: ReportData, figures: Sequence[str] = ()) -> str:
    """Card of one report: what was measured, on what, how, with versions, licence and limits.

    Args:
        figures: pictures to show, by path from the card.
    """
    provenance, heads = report.provenance, report.heads
    model = provenance.model or "a speech model"
    data = DatasetCardData(pretty_name=f"Attention heads of {model}", license=LICENSE, tags=TAGS)
    return render_card(
        "head_report",
        data,
        meanings=MEANINGS,
        license=LICENSE,
        model=model,
        heads=len(heads),
        facts=_facts(provenance),
        counts=_counts(report),
        strongest={name: _strongest(heads, name, metric) for name, metric in METRICS.items()},
        columns=METRICS,
        figures=list(figures),
        tables={name: list(table.columns) for name, table in {"heads": heads, **report.tables}.items()},
    )


def _counts(report: ReportData) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in report.counts.items()) + " heads."
    total = math.prod(report.shape)
    removed = total - len(report.heads)
    return f"{counts} {removed} of {total} heads were removed from the model." if removed else counts


def evaluation_results(report: ReportData, repo_id: str, commit: str) -> str:
    """Content of `.eval_results/sat-probe.yaml` for the repository of the model: the number of heads of each category.

    Args:
        repo_id: dataset repository of the report.
        commit: commit of the publication.

    Raises:
        ReportError: if the report is not about a model on the Hub.
    """
    known = report.provenance
    model = known.model or ""
    if model.count("/") != 1:
        raise ReportError(f"the report is about {model or 'an unnamed model'}, which is not a repository on the Hub")
    where = " ".join(part for part in (known.corpus, known.split) if part)
    entries = [
        EvalResultEntry(
            dataset_id=repo_id,
            task_id=f"{name}_heads",
            value=report.counts[name],
            dataset_revision=commit,
            date=known.date or None,
            source_url=f"https://huggingface.co/datasets/{repo_id}",
            source_name="sat-probe head report",
            notes=f"of {len(report.heads)} heads; model revision {known.revision}; measured on {where}",
        )
        for name in METRICS
    ]
    return str(yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False))


def _config(table: str) -> dict[str, Any]:
    files = [{"split": "train", "path": f"reports/*/*/{table}.parquet"}]
    return {"config_name": table, "data_files": files, **({"default": True} if table == "heads" else {})}


def _feature(name: str, kind: Any) -> dict[str, Any]:
    return {"name": name, **(kind if isinstance(kind, dict) else {"dtype": kind})}


def _facts(provenance: Mapping[str, Any]) -> dict[str, str]:
    facts = {}
    for shown, keys in _FACTS.items():
        values = [provenance.get(key) for key in ((keys,) if isinstance(keys, str) else keys)]
        if any(value is not None for value in values):
            facts[shown] = ", ".join(_plain(value) for value in values if value is not None)
    return facts


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(
            f"{name}{':' if isinstance(part, list) else ''} {_plain(part)}" for name, part in value.items()
        )
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e5 else str(value)


def _strongest(heads: pd.DataFrame, category: str, metric: str) -> list[dict[str, Any]]:
    bounds = [f"{metric}_low", f"{metric}_high"]
    return [
        {
            "layer": int(row["layer"]),
            "head": int(row["head"]),
            "value": f"{row[metric]:.4g}",
            "interval": f"{row[bounds[0]]:.4g} to {row[bounds[1]]:.4g}" if set(bounds) <= set(heads) else "",
        }
        for _, row in clearest_heads(heads, category, 5).iterrows()
    ]
