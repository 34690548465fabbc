"""Tables of a study that belong to no single claim: models, boundaries, trials, control and cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from sat_probe.measures.intervals import Number
from sat_probe.paper.claims_ablation import null_distances
from sat_probe.paper.claims_heads import category_count, points_difference, setting_words, source_counts
from sat_probe.paper.files import StudyFiles

SOURCES = {
    "attention": "attention, head chosen on the validation speakers", "hidden": "hidden states, best layer",
    "mfcc": "MFCC", "log_mel": "log-mel", "mel_difference": "peaks of the spectral difference",
    "uniform": "evenly spaced", "random": "at random",
}  # fmt: skip


def markdown(table: pd.DataFrame) -> str:
    """Return a table of texts as Markdown, with the column names as the heading."""
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|---" * len(table.columns) + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines)


def interval(value: float, low: float, high: float, digits: int = 2, signed: bool = False) -> str:
    """Return "1.23 (1.10 to 1.36)", the value alone if there is no interval, or a dash if there is no value."""
    if pd.isna(value):
        return "–"
    sign = "+" if signed else ""
    if pd.isna(low) or pd.isna(high):
        return f"{value:{sign}.{digits}f}"
    return f"{value:{sign}.{digits}f} ({low:{sign}.{digits}f} to {high:{sign}.{digits}f})"


def speech_name(speech: Mapping[str, Any]) -> str:
    """Return the name of a corpus: "speechocean762/train", "timit-sample", "librispeech train-clean-360"."""
    return f"{speech['dataset']} {speech['split']}" if speech.get("split") else str(speech["dataset"])


def models_table(files: StudyFiles) -> pd.DataFrame:
    """Return each model's size and training, and the categories of its heads."""
    rows = []
    for model, c_num in files.models.items():
        training = _training(files, model)
        if not training:
            continue
        recipe, data = training["recipe"], training["data"]
        row = {
            "model": model,
            "C_num": c_num,
            "network": _network(recipe),
            "frame": f"{_frame_ms(files, model, recipe):.4g} ms",
            "steps": f"{recipe['steps']:,}",
            "speech": f"{data['hours']:.2f} h",
            "held-out L1": f"{training['held_out_loss']:.4f}" if training.get("held_out_loss") else "–",
        }
        if files.has(f"{model}-heads"):
            heads = files.table(f"{model}-heads")
            row |= {
                name: interval(*category_count(heads, name), digits=0) for name in ("global", "vertical", "diagonal")
            }
        rows.append(row)
    return pd.DataFrame(rows).fillna("–")


def boundaries_table(files: StudyFiles, model: str) -> pd.DataFrame:
    """Return the R-values (%) of the best source of each kind, by setting."""
    columns = {}
    for setting in files.settings:
        if files.has(f"{model}-{setting}-segmentation"):
            best = best_scores(files, model, setting)
            columns[setting_words(setting)] = {
                caption: interval(*best[source]) for source, caption in SOURCES.items() if source in best
            }
    return pd.DataFrame(columns).rename_axis("source").reset_index()


def trials(files: StudyFiles) -> pd.DataFrame:
    """Return every model and setting of segmentation, the largest lead of attention over MFCC first.

    Facts about a model come from the run.json of its training, numbers from the counts of the test speakers.
    """
    rows = []
    for model in [*files.models, *files.facts["tried"]]:
        for setting in files.settings:
            name = f"{model}-{setting}-segmentation_counts"
            if not files.has(name):
                continue
            origin = files.origin(f"segmentation-{model}-{setting}")
            training = origin["training"]
            recipe = training.get("recipe", {})
            counts = files.table(name)
            place = counts[counts["source"] == "attention"].iloc[0]
            best = best_scores(files, model, setting)
            lead = points_difference(*(source_counts(counts, kind) for kind in ("attention", "mfcc")))
            rows.append(
                {
                    "run": model, "model": origin["model"], "c_num": training.get("c_num"),
                    "stacked": recipe["model"]["downsample_rate"] if recipe else None,
                    "frame_ms": _frame_ms(files, model, recipe) if recipe else None,
                    "network": _network(recipe) if recipe else None,
                    **{name: recipe.get(name) for name in ("steps", "learning_rate")},
                    "hours": training.get("data", {}).get("hours"),
                    "held_out_loss": training.get("held_out_loss"),
                    "setting": setting, "layer": int(place["layer"]), "head": int(place["head"]),
                    **_with_ends("attention", best["attention"]), "mfcc": best["mfcc"][0], **_with_ends("lead", lead),
                }
            )  # fmt: skip
    table = pd.DataFrame(rows)
    return table.sort_values("lead", ascending=False, kind="stable") if len(table) else table


def trials_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the trials in words."""
    hops = table["frame_ms"].astype(float) / table["stacked"].astype(float)
    rows = [
        {
            "model": row.model if row.run == row.model else f"{row.model} ({row.run.replace('-', ' ')})",
            "R x hop": _shown(row.stacked, "{:.0f} x ").rstrip("–") + _shown(hop, "{:.4g} ms"),
            "network": _shown(row.network, "{}"),
            "steps": _shown(row.steps, "{:,.0f}"),
            "learning rate": _shown(row.learning_rate, "{:g}"),
            "speech": _shown(row.hours, "{:.2f} h"),
            "held-out L1": _shown(row.held_out_loss, "{:.3f}"),
            "read from": setting_words(row.setting),
            "head": f"L{row.layer} H{row.head}",
            "attention R": interval(row.attention, row.attention_low, row.attention_high),
            "MFCC R": f"{row.mfcc:.2f}",
            "attention minus MFCC": interval(row.lead, row.lead_low, row.lead_high, signed=True),
        }
        for row, hop in zip(_rows(table), hops, strict=True)
    ]
    return pd.DataFrame(rows)


def control_table(files: StudyFiles) -> pd.DataFrame:
    """Return every statistic of the trained models beside the untrained ones."""
    rows = [
        {
            "family": row.family,
            "statistic of the heads": row.statistic,
            "trained": f"{row.trained:.3g}",
            "untrained, mean ± deviation": f"{row.null_mean:.3g} ± {row.null_deviation:.2g}",
            "z": _shown(row.z, "{:+.1f}"),
            "untrained below": f"{row.rank} of {row.seeds}",
        }
        for row in _rows(null_distances(files.table("control")))
    ]
    return pd.DataFrame(rows)


def budget_table(files: StudyFiles) -> pd.DataFrame:
    """Return the processor minutes of the finished stages, by kind."""
    spent: dict[str, float] = {}
    for stage, seconds in files.facts["budget"].items():
        kind = "training" if stage.startswith("pretrain") else stage.partition("-")[0]
        kind = "segmentation of earlier models" if "-tried-" in stage else kind
        spent[kind] = spent.get(kind, 0.0) + (seconds or 0.0)
    rows = [(kind, f"{seconds / 60:.1f}") for kind, seconds in spent.items()]
    rows.append(("all", f"{sum(spent.values()) / 60:.1f}"))
    return pd.DataFrame(rows, columns=["stages", "processor minutes"])


def best_scores(files: StudyFiles, model: str, setting: str) -> dict[str, Number]:
    """Return the R-value (%) of the best source of each kind, with its interval."""
    best = files.table(f"{model}-{setting}-segmentation").groupby("source", sort=False).head(1)
    ends = 100 * best.set_index("source")[["r_value", "r_value_low", "r_value_high"]]
    return {str(row[0]): (row[1], row[2], row[3]) for row in _rows(ends)}


def _training(files: StudyFiles, model: str) -> dict[str, Any]:
    for setting in files.settings:
        if training := files.origin(f"segmentation-{model}-{setting}").get("training"):
            return dict(training)
    return {}


def _network(recipe: Mapping[str, Any]) -> str:
    model = recipe["model"]
    return f"{model['num_hidden_layers']} x {model['num_attention_heads']}, hidden {model['hidden_size']}"


def _rows(table: pd.DataFrame) -> list[Any]:
    return list(table.itertuples())


def _shown(value: Any, form: str) -> str:
    return "–" if pd.isna(value) else form.format(value)


def _frame_ms(files: StudyFiles, model: str, recipe: Mapping[str, Any]) -> float:
    """Return the milliseconds of a row of R stacked frames, from the analysis or the recipe (12.5 ms a frame)."""
    if known := files.origin(f"analysis-{model}"):
        return float(known["frame_hop_ms"])
    hop = recipe["model"].get("hop_length")
    return float(recipe["model"]["downsample_rate"] * (hop / 16 if hop else 12.5))


def _with_ends(name: str, number: Number) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), number, strict=True))
