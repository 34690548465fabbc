"""Output of a finished pre-training run: weights, run.json, loss figure and model card."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from sat_probe.configs import config_folder
from sat_probe.studies.pretraining.recipe import DataCredits


def save_run(folder: Path, model: Any, extractor: Any, run: Mapping[str, Any]) -> None:
    """Write the model, feature extractor, run.json, loss.png and card; each file appears complete or not at all."""
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as partial:
        model.save_pretrained(partial)
        extractor.save_pretrained(partial)
        Path(partial, "run.json").write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
        plot_curve(folder / "loss.csv", Path(partial, "loss.png"))
        Path(partial, "README.md").write_text(model_card(run), encoding="utf-8")
        for path in sorted(Path(partial).iterdir()):
            path.replace(folder / path.name)


def model_card(run: Mapping[str, Any]) -> str:
    """Return the model card of a finished run, made from its run.json."""
    recipe = dict(run["recipe"])
    shape, credits = recipe.pop("model"), recipe.pop("data")
    own = run.get("of_credited_speech", True)
    numbers = {**shape, **run["data"], **run}
    numbers |= {
        "title": f"Mockingjay, C_num = {run['c_num']}",
        "language": f"language: {credits['language']}\n" if credits and own else "",
        "data": _whose_speech(credits, own),
        "skipped": len(run["data"]["skipped"]),
        "threads": "1 thread" if run["threads"] == 1 else f"{run['threads']} threads",
        "first_held_out_loss": _shown(run["first_held_out_loss"]),
        "held_out_loss": _shown(run["held_out_loss"]),
        "configuration_commit": run["configuration_commit"] or "not under version control",
        "recipe": "\n".join(f"| {name} | {value} |" for name, value in {**shape, **recipe}.items()),
        "versions": ", ".join(f"{name} {version}" for name, version in run["versions"].items()),
    }
    return (config_folder("templates") / "pretraining.md").read_text(encoding="utf-8").format(**numbers)


def names_speech(credits: DataCredits | None, corpus: Any) -> bool:
    """Return whether a corpus, judged by its name or folder, is the one that a recipe credits."""
    if credits is None:
        return False
    first_word = re.split(r"[\s,]", credits.name.strip())[0].lower()
    folder = getattr(corpus, "folder", None)
    return first_word in f"{corpus.name} {folder.resolve() if folder else ''}".lower()


def _whose_speech(credits: Mapping[str, str] | None, own: bool) -> str:
    if not credits:
        return "The configuration does not say whose speech this is."
    if not own:
        return (
            f"The configuration is meant for other speech than this ({credits['name']}). Say here whose speech the "
            "model learned from, and under which licence."
        )
    return "{name} ({source}). {attribution} Licence of the data: {licence}.".format(**credits)


def plot_curve(curve: Path, path: Path) -> None:
    """Plot a loss.csv: training and held-out loss over the steps."""
    points = pd.read_csv(curve)
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for name, label, style in (("loss", "training", "-"), ("held_out_loss", "held out", "o-")):
        known = points.dropna(subset=name)
        if len(known):
            axes.plot(known["step"], known[name], style, label=label, markersize=3, linewidth=1)
    axes.set(xlabel="step", ylabel="masked L1")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def _shown(loss: float | None) -> str:
    return "-" if loss is None else f"{loss:.4f}"
