"""Write into docs/importance.md what the curves of one or more reports say, and draw them into docs/figures.

    sat-probe importance --dataset timit --data-dir TIMIT --missing-phones ignore -o timit
    sat-probe importance --dataset speechocean762 --data-dir DIR --split test -o speechocean
    python benchmarks/importance.py timit speechocean

Each report gives the scores of the intact model and of the ablated ones, and tells for each finding of the paper
whether it holds on this model: where two 95 % intervals overlap, the corpus does not decide.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from measured_tables import insert

from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.plots import plot_importance

PAGE = Path(__file__).resolve().parents[1] / "docs" / "importance.md"
METRICS = ("diagonality", "verticality", "globalness")


def summary(report: HeadReport) -> str:
    """Provenance, the curves as a picture, verdicts, and all scores; Markdown."""
    known, table = report.provenance, report.tables["importance"]
    used = known["importance"]["split"]
    title = (
        f"{known['model']} on {known['corpus']}{' (' + known['split'] + ')' if known.get('split') else ''}"
    )
    picture = f"importance-{known['corpus']}.png"
    draw(table, PAGE.parent / "figures" / picture)
    parts = [
        f"### {title}\n",
        f"{known['utterances']} utterances, {known['seconds'] / 60:.1f} minutes, "
        f"{known['importance']['speakers']} speakers; {used['train']} utterances to learn from, {used['dev']} to stop "
        f"by, {used['test']} to test on.\n",
        f"![What probes read while heads are removed or attention is limited: {title}](figures/{picture})\n",
        verdicts(table),
        "<details><summary>Each finding, task by task</summary>\n",
        findings(table),
        "</details>\n\n<details><summary>All scores, with 95 % intervals</summary>\n",
    ]
    for task, mode in table[["task", "mode"]].drop_duplicates().itertuples(index=False):
        own = table[(table["task"] == task) & (table["mode"] == mode)]
        parts.append(f"**{task}, {mode}** ({own['metric'].iloc[0]})\n")
        parts.append(_heads(own))
        parts.append(_spans(own))
    return "\n".join([*parts, "</details>\n"])


def draw(table: pd.DataFrame, path: Path) -> None:
    """Figures 5 and 6a: a row for each task, heads removed on the left, limited spans on the right."""
    pairs = table[["task", "mode"]].drop_duplicates()
    shown = [  # probes that learn anew, the paper's; reconstruction knows one mode
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


def verdicts(table: pd.DataFrame) -> str:
    """How many tasks and probes each finding holds for; Markdown."""
    cells = [line.strip("| ").split(" | ") for line in findings(table).splitlines()[2:] if line]
    counted = pd.DataFrame([(claim, verdict) for claim, _, _, verdict in cells], columns=["claim", "verdict"])
    counts = counted.groupby(["claim", "verdict"], sort=False).size().unstack(fill_value=0)
    lines = [
        "| the paper | " + " | ".join(counts.columns) + " |",
        "|---" * (1 + len(counts.columns)) + "|",
        *(f"| {claim} | " + " | ".join(map(str, row)) + " |" for claim, row in counts.iterrows()),
    ]
    return (
        "For how many of the tasks and kinds of probes the findings of the paper hold on this model:\n\n"
        + "\n".join(lines)
        + "\n"
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


def findings(table: pd.DataFrame) -> str:
    """One line per finding and task: what the paper says, what was measured, whether it holds."""
    lines = ["| the paper | task, probes | measured | verdict |", "|---|---|---|---|"]
    for task, mode in table[["task", "mode"]].drop_duplicates().itertuples(index=False):
        own = table[(table["task"] == task) & (table["mode"] == mode)]
        heads, spans = own[own["kind"] == "heads"], own[own["kind"] == "span"]
        counts = sorted(heads["removed"].unique())
        if len(counts) > 2 and set(METRICS) <= set(heads["ranking"]):
            first, most = counts[1], counts[round(2 / 3 * (len(counts) - 1))]
            diagonal, vertical, even = (_at(heads, metric, first) for metric in METRICS)
            intact, without = _at(heads, "globalness", 0), _at(heads, "globalness", most)
            claims = [
                (f"the {first} most diagonal heads matter more than the most vertical", vertical, diagonal),
                (f"the {first} most vertical heads matter more than the most global", even, vertical),
                (f"without the {first} most diagonal heads it gets worse", intact, diagonal),
            ]
            lines += [_line(text, task, mode, better, worse) for text, better, worse in claims]
            lines.append(
                _unharmed(f"without the {most} most global heads it stays", task, mode, intact, without)
            )
            if task.startswith("speakers") and "weight" in set(heads["ranking"]):
                text = f"removing {most} heads by globalness harms less than by weight"
                lines.append(_line(text, task, mode, without, _at(heads, "weight", most)))
        near = spans[(spans["span_mode"] == "zero") & spans["span"].isin([15, 25])]
        if task.startswith("phones") and len(near):
            best = near.loc[near["value"].idxmax()]
            full = spans[spans["span"].isna()].iloc[0]
            lines.append(_line("a span of 15 or 25 frames is better than all", task, mode, best, full))
    return "\n".join(lines) + "\n"


def _at(heads: pd.DataFrame, ranking: str, count: int) -> pd.Series:
    return heads[(heads["ranking"] == ranking) & (heads["removed"] == count)].iloc[0]


def _line(text: str, task: str, mode: str, better: pd.Series, worse: pd.Series) -> str:
    upper, lower = (better, worse) if better["metric"] == "accuracy" else (worse, better)
    if upper["value_low"] > lower["value_high"]:
        verdict = "holds"
    elif upper["value_high"] < lower["value_low"]:
        verdict = "does not hold"
    else:
        verdict = "undecided: intervals overlap"
    return f"| {text} | {task}, {mode} | {_cell(better)} against {_cell(worse)} | {verdict} |"


def _unharmed(text: str, task: str, mode: str, intact: pd.Series, without: pd.Series) -> str:
    worse = (
        without["value_high"] < intact["value_low"]
        if intact["metric"] == "accuracy"
        else without["value_low"] > intact["value_high"]
    )
    verdict = "does not hold" if worse else "not contradicted: intervals overlap"
    return f"| {text} | {task}, {mode} | {_cell(intact)}, then {_cell(without)} | {verdict} |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("reports", nargs="+", type=Path)
    text = "\n".join(summary(HeadReport.load(folder)) for folder in parser.parse_args().reports)
    insert(PAGE, "benchmarks/importance.py", f"## Measured\n\n{text}")


if __name__ == "__main__":
    main()
