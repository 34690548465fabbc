"""Figures of a study: small PNG files, drawn from the published tables only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from sat_probe.paper.claims_ablation import TASKS, null_distances
from sat_probe.paper.claims_heads import setting_words
from sat_probe.paper.files import StudyFiles
from sat_probe.paper.tables import best_scores
from sat_probe.reports.palette import SERIES_COLOURS
from sat_probe.reports.plots.axes import axes_or_new, figure_of, tidy
from sat_probe.reports.plots.heads import plot_categories, plot_offsets
from sat_probe.reports.plots.importance import plot_importance
from sat_probe.reports.plots.phones import plot_concentration
from sat_probe.studies.importance.ablation_lab import MODES

DPI = 80


def study_drawings(files: StudyFiles) -> Iterator[tuple[str, Callable[[], Axes]]]:
    """Yield the name and drawing function of every figure that the tables allow."""
    for model in files.models:
        if files.has(f"{model}-heads"):
            heads = files.table(f"{model}-heads")
            yield f"{model}-categories", partial(plot_categories, heads)
            yield f"{model}-offsets", partial(plot_offsets, heads)
            if files.has(f"{model}-concentration"):
                concentration = files.table(f"{model}-concentration")
                yield f"{model}-concentration", partial(plot_concentration, heads, concentration)
        for corpus in files.probing:
            if files.has(f"{model}-importance-{corpus}"):
                yield from _curve_drawings(model, corpus, files.table(f"{model}-importance-{corpus}"))
    yield "segmentation", partial(plot_leads, files)
    if files.has("control"):
        yield "control", partial(plot_control, null_distances(files.table("control")))


def _curve_drawings(model: str, corpus: str, table: pd.DataFrame) -> Iterator[tuple[str, Callable[[], Axes]]]:
    """Yield the curves of every task, with retrained probes (as in the paper) where there are any."""
    for task in TASKS:
        modes = table[table["task"] == task]["mode"].unique()
        if len(modes):
            mode = min(modes, key=MODES.index)  # the paper's first
            name = f"{model}-{task.replace('_', '-')}-{corpus}"
            yield name, partial(plot_importance, table, "heads", task, mode)


def save_study_figures(files: StudyFiles) -> list[str]:
    """Draw all figures into `figures/`, and return their names."""
    folder = files.folder / "figures"
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.png"):
        old.unlink()
    names = []
    for name, draw in study_drawings(files):
        figure = figure_of(draw())
        figure.savefig(folder / f"{name}.png", dpi=DPI, metadata={"Software": None}, facecolor="white")
        names.append(name)
    return names


def plot_leads(files: StudyFiles, ax: Axes | None = None) -> Axes:
    """Plot R-values (%) of attention, hidden states and MFCC, by model and setting, with 95 % intervals."""
    ax = tidy(axes_or_new(ax, 6.4, 3.4))
    ticks: list[str] = []
    for model in files.models:
        for setting in files.settings:
            if not files.has(f"{model}-{setting}-segmentation"):
                continue
            best = best_scores(files, model, setting)
            for index, source in enumerate(("attention", "hidden", "mfcc")):
                value, low, high = best[source]
                ax.errorbar(
                    len(ticks) + 0.2 * (index - 1), value, yerr=[[value - low], [high - value]],
                    fmt="osD"[index], markersize=4,
                    color=SERIES_COLOURS[index], label=source if not ticks else None,
                )  # fmt: skip
            words = setting_words(setting).replace(" and ", " +\n").replace(", ", "\n")
            ticks.append(f"{model}\n{words}")
    ax.set_xticks(range(len(ticks)), ticks, fontsize=7)
    ax.set(ylabel="R-value (%)", title="Phone boundaries on the test speakers")
    if ticks:
        ax.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def plot_control(table: pd.DataFrame, ax: Axes | None = None) -> Axes:
    """Plot each statistic of the trained models in standard deviations from the untrained ones.

    Args:
        table: result of `null_distances`.
    """
    names = list(dict.fromkeys(table["statistic"]))
    ax = tidy(axes_or_new(ax, 6.8, 0.9 + 0.24 * len(names)))
    ax.axvspan(-2, 2, color="#e6e6e6", zorder=0)
    for index, (family, part) in enumerate(table.groupby("family", sort=False)):
        places = [names.index(name) for name in part["statistic"]]
        ax.plot(part["z"], places, "os"[index % 2], color=SERIES_COLOURS[index], label=family, markersize=5)
    ax.set_xscale("symlog", linthresh=2)
    ax.set_yticks(range(len(names)), names, fontsize=7)
    ax.invert_yaxis()
    ax.set(xlabel="standard deviations from the untrained models", title="Trained against untrained weights")
    ax.legend(frameon=False, fontsize=8)
    return ax
