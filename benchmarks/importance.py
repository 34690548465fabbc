"""Results of importance reports: tables for docs/importance.md and figures for docs/figures.

    sat-probe importance --dataset timit --data-dir TIMIT --missing-phones ignore -o timit
    sat-probe importance --dataset speechocean762 --data-dir DIR --split test -o speechocean
    python benchmarks/importance.py timit speechocean

For each report the page lists the scores of the intact and ablated models, and says whether each finding of the paper
holds on this model, judged by the 95 % interval of a difference paired over the test utterances.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from measured_tables import insert

from sat_probe.paper.claims_ablation import TOLERATED
from sat_probe.paper.finding import interval_verdict
from sat_probe.paper.tables import interval, markdown
from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.plots.importance import plot_importance
from sat_probe.reports.task_curves import TaskCurves, task_curves

PAGE = Path(__file__).resolve().parents[1] / "docs" / "importance.md"
METRICS = ("diagonality", "verticality", "globalness")
VERDICTS = {"holds": "holds", "does not hold": "does not hold", "not testable here": "undecided"}


def summary(report: HeadReport, page: Path = PAGE) -> str:
    """Return provenance, figure, verdicts and all scores as Markdown."""
    known, table = report.provenance, report.tables["importance"]
    used, found = (known["importance"]["split"], findings(task_curves(table, report.tables.get("importance_counts"))))
    title = f"{known['model']} on {known['corpus']}{' (' + known['split'] + ')' if known.get('split') else ''}"
    picture = f"importance-{known['corpus']}.png"
    draw(table, page.parent / "figures" / picture)
    parts = [
        f"### {title}\n",
        f"{known['utterances']} utterances, {known['seconds'] / 60:.1f} minutes, "
        f"{known['importance']['speakers']} speakers; {used['train']} utterances for training, {used['dev']} for early "
        f"stopping, {used['test']} for testing.\n",
        f"![Probe scores while heads are removed or attention is limited: {title}](figures/{picture})\n",
        verdicts(found),
        "<details><summary>Each finding, task by task</summary>\n",
        markdown(found),
        "</details>\n\n<details><summary>All scores, with 95 % intervals</summary>\n",
    ]
    for task, mode in table[["task", "mode"]].drop_duplicates().itertuples(index=False):
        own = table[(table["task"] == task) & (table["mode"] == mode)]
        parts.append(f"**{task}, {mode}** ({own['metric'].iloc[0]})\n")
        parts.append(_heads(own))
        parts.append(_spans(own))
    return "\n".join([*parts, "</details>\n"])


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw figures 5 and 6a: a row for each task, removed heads on the left, limited spans on the right."""
    pairs = table[["task", "mode"]].drop_duplicates()
    shown = [  # retrained probes, as in the paper; reconstruction has one mode only
        (task, mode)
        for task, mode in pairs.itertuples(index=False)
        if mode == "retrain" or task not in set(pairs.loc[pairs["mode"] == "retrain", "task"])
    ]
    figure = Figure(figsize=(11, 3.1 * len(shown)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(shown), 2, squeeze=False)
    for row, (task, mode) in zip(axes, shown, strict=True):
        for ax, kind in zip(row, ("heads", "span"), strict=True):
            plot_importance(table, kind, task, mode, ax=ax)
    for column, place in enumerate(("outside upper left", "outside upper right")):
        figure.legend(*axes[0, column].get_legend_handles_labels(), loc=place, ncols=4, frameon=False)
        for ax in axes[:, column]:
            ax.get_legend().remove()
    figure.savefig(path, dpi=90, metadata={"Software": None}, facecolor="white")


def verdicts(found: pd.DataFrame) -> str:
    """Return the number of tasks and probes for which each finding holds, as Markdown."""
    counts = found.groupby(["the paper", "verdict"], sort=False).size().unstack(fill_value=0)
    counts = counts[[name for name in VERDICTS.values() if name in counts]].reset_index()
    return (
        "Number of tasks and kinds of probes for which the findings of the paper hold on this model: the whole 95 % "
        "interval of the difference, paired over the test utterances, is above 0. The interval does not include the "
        f"variation between training runs of a probe.\n\n{markdown(counts)}\n"
    )


def _heads(table: pd.DataFrame) -> str:
    part = table[table["kind"] == "heads"]
    means = part.groupby(["ranking", "removed"], sort=False)[["value", "value_low", "value_high"]].mean()
    counts = sorted(part["removed"].unique())
    lines = ["| removed first by | " + " | ".join(map(str, counts)) + " |", "|---" * (len(counts) + 1) + "|"]
    for ranking in part["ranking"].unique():
        cells = [_cell(means.loc[(ranking, count)]) for count in counts]
        lines.append(f"| {ranking} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _spans(table: pd.DataFrame) -> str:
    part = table[table["kind"] == "span"]
    if part.empty:
        return ""
    spans = ["full", *sorted(part["span"].dropna().unique(), reverse=True)]
    lines = ["| span | " + " | ".join(s if s == "full" else f"{s:g}" for s in spans) + " |"]
    lines.append("|---" * (len(spans) + 1) + "|")
    for mode, own in part.groupby("span_mode", sort=False):
        rows = [own[own["span"].isna() if s == "full" else own["span"] == s].iloc[0] for s in spans]
        lines.append(f"| {mode} | " + " | ".join(map(_cell, rows)) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: pd.Series) -> str:
    return f"{row['value']:.3f} ({row['value_low']:.3f} to {row['value_high']:.3f})"


def findings(tasks: Sequence[TaskCurves]) -> pd.DataFrame:
    """Return a row per finding and task: the claim, the measured scores, their difference, and the verdict."""
    rows = []
    for curves in tasks:
        for claim, better, worse, allowance in claims(curves):
            number = curves.gain(better, worse, allowance)
            scores = " against ".join(f"{curves.score(points):.3f}" for points in (better, worse))
            verdict = VERDICTS[interval_verdict(*number[1:])]
            rows.append((claim, f"{curves.task}, {curves.mode}", scores, interval(*number, 3, signed=True), verdict))
    columns = ["the paper", "task, probes", "measured", "better by", "verdict"]
    return pd.DataFrame(rows, columns=columns)


def claims(curves: TaskCurves) -> Iterator[tuple[str, list[int], list[int], float]]:
    """Yield each claim with the points it calls better, those it calls worse, and the tolerated loss."""
    removed = {name: curves.removals(name) for name in (*METRICS, "weight")}
    intact, counts = [curves.intact], list(removed["globalness"])
    if len(counts) > 2 and all(removed[name] for name in METRICS):
        first, most = counts[1], counts[round(2 / 3 * (len(counts) - 1))]
        diagonal, vertical, even = ([removed[name][first]] for name in METRICS)
        without = [removed["globalness"][most]]
        yield f"the {first} most diagonal heads matter more than the most vertical", vertical, diagonal, 0.0
        yield f"the {first} most vertical heads matter more than the most global", even, vertical, 0.0
        yield f"without the {first} most diagonal heads it gets worse", intact, diagonal, 0.0
        lost = f"a loss of {TOLERATED:.2f} accuracy, or {TOLERATED:.0%} of L1, allowed"
        yield f"without the {most} most global heads it stays ({lost})", without, intact, TOLERATED
        if curves.task.startswith("speakers") and removed["weight"]:
            claim = f"removing {most} heads by globalness harms less than by weight"
            yield claim, without, [removed["weight"][most]], 0.0
    near = [point for span, point in curves.spans().items() if 15 <= span <= 25]
    if curves.task.startswith("phones") and near:
        yield "a span of 15 to 25 frames is better than all (mean of both)", near, intact, 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", nargs="+", type=Path)
    parser.add_argument(
        "--into", type=Path, default=PAGE, help="page with a place for the results [default: %(default)s]"
    )
    given = parser.parse_args()
    given.into.with_name("figures").mkdir(exist_ok=True)
    text = "\n".join(summary(HeadReport.load(folder), given.into) for folder in given.reports)
    insert(given.into, "benchmarks/importance.py", f"## Measured\n\n{text}")


if __name__ == "__main__":
    main()
