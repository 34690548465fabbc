"""Tables of a study that belong to no single claim: models, boundaries, trials, control and cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from sat_probe.measures.intervals import r_value_difference
from sat_probe.paper.claims_ablation import null_distances
from sat_probe.paper.claims_heads import category_count, setting_words, source_counts
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
                name: interval(*category_count(heads, name), digits=0)
                for name in ("global", "vertical", "diagonal")
            }
        rows.append(row)
    return pd.DataFrame(rows).fillna("–")


def boundaries_table(files: StudyFiles, model: str) -> pd.DataFrame:
    """Return the R-values (%) of the best source of each kind, by setting."""
    columns = {}
    for setting in files.settings:
        name = f"{model}-{setting}-segmentation"
        if files.has(name):
            best = best_sources(files.table(name))
            columns[setting_words(setting)] = {
                caption: interval(*(100 * best[source][f"r_value{end}"] for end in ("", "_low", "_high")))
                for source, caption in SOURCES.items()
                if source in best
            }
    if not columns:
        return pd.DataFrame()
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
            recipe, training = origin["training"].get("recipe"), origin["training"]
            counts = files.table(name)
            attention, mfcc = (source_counts(counts, kind) for kind in ("attention", "mfcc"))
            place = counts[counts["source"] == "attention"].iloc[0]
            best = best_sources(files.table(f"{model}-{setting}-segmentation"))
            lead = r_value_difference(attention, mfcc)
            rows.append(
                {
                    "run": model, "model": origin["model"], "c_num": training.get("c_num"),
                    "stacked": recipe["model"]["downsample_rate"] if recipe else None,
                    "frame_ms": _frame_ms(files, model, recipe) if recipe else None,
                    "network": _network(recipe) if recipe else None,
                    "steps": recipe["steps"] if recipe else None,
                    "learning_rate": recipe["learning_rate"] if recipe else None,
                    "hours": training["data"]["hours"] if "data" in training else None,
                    "held_out_loss": training.get("held_out_loss"),
                    "setting": setting, "layer": int(place["layer"]), "head": int(place["head"]),
                    "attention": 100 * best["attention"]["r_value"],
                    "attention_low": 100 * best["attention"]["r_value_low"],
                    "attention_high": 100 * best["attention"]["r_value_high"],
                    "mfcc": 100 * best["mfcc"]["r_value"],
                    "lead": 100 * lead[0], "lead_low": 100 * lead[1], "lead_high": 100 * lead[2],
                }
            )  # fmt: skip
    table = pd.DataFrame(rows)
    return table.sort_values("lead", ascending=False, kind="stable") if len(table) else table


def trials_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the trials in words."""
    stacked = table["stacked"].astype(float)
    hops = _formatted(table["frame_ms"].astype(float) / stacked, "{:.4g} ms")
    return pd.DataFrame(
        {
            "model": [
                model if run == model else f"{model} ({run.replace('-', ' ')})"
                for model, run in zip(table["model"].astype(str), table["run"].astype(str), strict=True)
            ],
            "R x hop": [
                f"{rows:.0f} x {hop}" if rows > 0 else hop for rows, hop in zip(stacked, hops, strict=True)
            ],
            "network": _formatted(table["network"], "{}"),
            "steps": _formatted(table["steps"], "{:,.0f}"),
            "learning rate": _formatted(table["learning_rate"], "{:g}"),
            "speech": _formatted(table["hours"], "{:.2f} h"),
            "held-out L1": _formatted(table["held_out_loss"], "{:.3f}"),
            "read from": [setting_words(setting) for setting in table["setting"]],
            "head": [f"L{row.layer} H{row.head}" for row in table.itertuples()],
            "attention R": _intervals(table, "attention"),
            "MFCC R": [f"{value:.2f}" for value in table["mfcc"]],
            "attention minus MFCC": _intervals(table, "lead", signed=True),
        }
    )


def control_table(files: StudyFiles) -> pd.DataFrame:
    """Return every statistic of the trained models beside the untrained ones."""
    table = null_distances(files.table("control"))
    return pd.DataFrame(
        {
            "family": table["family"],
            "statistic of the heads": table["statistic"],
            "trained": [f"{value:.3g}" for value in table["trained"]],
            "untrained, mean ± deviation": [
                f"{row.null_mean:.3g} ± {row.null_deviation:.2g}" for row in table.itertuples()
            ],
            "z": [f"{value:+.1f}" if pd.notna(value) else "–" for value in table["z"]],
            "untrained below": [f"{row.rank} of {row.seeds}" for row in table.itertuples()],
        }
    )


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


def best_sources(table: pd.DataFrame) -> dict[Any, dict[Any, Any]]:
    """Return the row of the best source of each kind."""
    return table.groupby("source", sort=False).head(1).set_index("source").to_dict("index")


def _training(files: StudyFiles, model: str) -> dict[str, Any]:
    for setting in files.settings:
        if training := files.origin(f"segmentation-{model}-{setting}").get("training"):
            return dict(training)
    return {}


def _network(recipe: Mapping[str, Any]) -> str:
    model = recipe["model"]
    return f"{model['num_hidden_layers']} x {model['num_attention_heads']}, hidden {model['hidden_size']}"


def _formatted(values: pd.Series, form: str) -> list[str]:
    """Return each value formatted, and a dash for missing ones."""
    return ["–" if pd.isna(value) else form.format(value) for value in values]


def _frame_ms(files: StudyFiles, model: str, recipe: Mapping[str, Any]) -> float:
    """Return the milliseconds of a row of R stacked frames, from the analysis or the recipe (12.5 ms a frame)."""
    if known := files.origin(f"analysis-{model}"):
        return float(known["frame_hop_ms"])
    hop = recipe["model"].get("hop_length")
    return float(recipe["model"]["downsample_rate"] * (hop / 16 if hop else 12.5))


def _intervals(table: pd.DataFrame, name: str, signed: bool = False) -> Sequence[str]:
    ends = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
    return [interval(*row, signed=signed) for row in ends]
