"""Page of a study: README.md and figures, written from the published tables only."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from sat_probe.paper.claims import CLAIMS, SECTIONS, findings
from sat_probe.paper.claims_ablation import TASKS, null_distances
from sat_probe.paper.claims_heads import setting_words
from sat_probe.paper.figures import save_study_figures
from sat_probe.paper.files import StudyFiles, write_csv
from sat_probe.paper.finding import VERDICTS
from sat_probe.paper.tables import (
    boundaries_table,
    budget_table,
    control_table,
    interval,
    markdown,
    models_table,
    speech_name,
    trials,
    trials_table,
)

_INTRODUCTION = """# The paper, reproduced

Yang, Liu, Lee, [Understanding Self-Attention of Self-Supervised Audio Transformers](https://arxiv.org/abs/2006.03265)
(Interspeech 2020), measured again on models trained with sat-probe. This page and its figures were written by

```
sat-probe reproduce --plan small --speech FOLDER --timit FOLDER --publish docs/study
```

from the tables of that command's stages ([tables/](tables)); no number was typed by hand. The paper trained models of
144 heads for 500,000 steps on 360 hours. The models here are small and were trained on {hours} hours: they show whether
a claim holds *here*, not whether the paper is right.
"""
_RULES = """A claim **holds** if the whole 95 % interval of its number is above 0, **does not hold** if all of it is
below 0, and is **not testable here** if the interval contains 0: there is too little data to tell. Intervals come
from the bootstrap over utterances. Two ablations are compared in pairs, on the same test utterances, so that the
difficulty of an utterance cancels; the variation between training runs of a probe is not included. The number of "Half
the heads can go" is the tolerated loss (one point of accuracy, or a hundredth of the L1) minus the measured loss.
Intervals of times are those of the median over repeats, by the sign test. The counts in the table are those of the
findings shown; further findings are folded away below them, and all of them are in [claims.csv](claims.csv).
"""
_MOST_ROWS = 7  # rows per claim before a short table takes their place
_TRIED = """All rows have the same test speakers, counting rule and tuning; the largest lead is first. `--tried FOLDER`
adds a model of an earlier attempt. [trials.csv](trials.csv) has the rows as numbers.
"""
_CONTROL = """Categories are ranks, so a model that learned nothing has global, vertical and diagonal heads too. The
control consists of {seeds} models with random weights, of the same shape as each trained model, on the same
{utterances} utterances; it gives the distribution of each statistic without training. The other family is a
Wav2Vec2-BERT of {layers} layers x {heads} heads, trained with CTC to spell transcripts for {steps:,} steps: its loss
went from {first_loss:.1f} to {loss:.2f}, and its character error rate on unseen utterances is {error:.0%}. {remark}
"""


def write_study(folder: Path) -> Path:
    """Write README.md, claims.csv, trials.csv and figures from the tables in a folder, and return README.md's path.

    Raises:
        ReportError: if the folder has no study.
    """
    files = StudyFiles(folder)
    for name, table in (("claims", findings(files)), ("trials", trials(files))):
        write_csv(table, folder / f"{name}.csv")
    figures = save_study_figures(files)
    readme = folder / "README.md"
    readme.write_text(study_text(files, figures), encoding="utf-8")
    return readme


def study_text(files: StudyFiles, figures: list[str]) -> str:
    """Return the README.md of a study, which depends on its tables only.

    Args:
        files: the study.
        figures: names of the figures that exist.
    """
    found, models = findings(files), models_table(files)
    hours = ", ".join(sorted({str(value).removesuffix(" h") for value in models.get("speech", [])})) or "no"
    parts = [
        _INTRODUCTION.format(hours=hours),
        "## Verdicts\n",
        markdown(summary(found)),
        "",
        _RULES,
        "## The models\n",
        markdown(models),
        "",
        _corpora_text(files),
    ]
    before = {"segmentation": _segmentation_text, "control": _control_text}
    for section, title in SECTIONS.items():
        told = before[section](files) if section in before else []
        parts += [f"## {title}\n", *told, _figures_text(section, files, figures)]
        own = found[found["section"] == section]
        for claim in dict.fromkeys(own["claim"]):
            rows = own[own["claim"] == claim]
            parts += [f"**{claim}.** The paper: {rows['paper'].iloc[0]}.\n", *_findings_text(rows), ""]
    tried = trials(files)
    if len(tried):
        parts += ["## What was tried for segmentation\n", _TRIED, markdown(trials_table(tried)), ""]
    parts += [
        "## What it cost\n",
        "Processor time of each kind of stage on one core; that of training is taken from its own log.\n",
        markdown(budget_table(files)),
    ]
    return "\n".join(parts).replace("\n\n\n", "\n\n").rstrip() + "\n"


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """Return one row per claim with the number of findings that support it."""
    rows = []
    for claim in CLAIMS:
        own = found[(found["claim"] == claim.text) & ~found["detail"]]
        counts = own["verdict"].value_counts()
        told = [f"{verdict} ({counts[verdict]} of {len(own)})" for verdict in VERDICTS if verdict in counts]
        link = f"[{SECTIONS[claim.section]}](#{SECTIONS[claim.section].lower().replace(' ', '-')})"
        rows.append((claim.text, ", ".join(told), link))
    return pd.DataFrame(rows, columns=["claim", "here", "where"])


def _findings_text(rows: pd.DataFrame) -> list[str]:
    """Return the findings about one claim; for many cases a short table, with the details folded away."""
    main = rows[~rows["detail"]]
    if len(main) <= _MOST_ROWS:
        return [markdown(findings_table(rows))]
    details = "<details><summary>Details"
    details += ", and the same over whole curves" if len(main) < len(rows) else ""
    return [
        markdown(findings_by_model(main)),
        "",
        f"{details} ({len(rows)} findings)</summary>\n",
        markdown(findings_table(rows)),
        "\n</details>",
    ]


def findings_by_model(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row per case and a column per model: value, interval and verdict."""
    cells = [f"{_value_text(row)} **{row['verdict']}**" for _, row in rows.iterrows()]
    wide = rows.assign(cell=cells).pivot(index="case", columns="model", values="cell").fillna("–")
    ordered = wide.reindex(index=rows["case"].unique(), columns=rows["model"].unique())
    return ordered.rename_axis(index="of", columns=None).reset_index()


def findings_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the findings about one claim in words."""
    shown = rows[["model", "case", "measured"]].rename(columns={"case": "of"}).assign(
        **{"value (95 %)": [_value_text(row) for _, row in rows.iterrows()]},
        verdict="**" + rows["verdict"] + "**",
        **{"from": [_file_links(file) for file in rows["file"]]},
    )  # fmt: skip
    return shown if (rows["case"] != "").any() else shown.drop(columns="of")


def _value_text(row: pd.Series) -> str:
    digits = {"accuracy": 3, "L1": 3, "heads": 0, "statistics": 1}.get(row["unit"], 2)
    shown = interval(row["value"], row["low"], row["high"], digits, signed=True)
    return f"{shown} {row['unit']}".strip()


def _file_links(files: str) -> str:
    return ", ".join(f"[{Path(name).stem}]({name})" for name in files.split(", ") if name)


def _corpora_text(files: StudyFiles) -> str:
    """Return what the models were trained, measured and probed on, with the numbers of utterances."""
    plan, bundled = files.facts["plan"], files.facts.get("bundled", [])
    analysis = next((files.origin(f"analysis-{model}") for model in files.models), {})
    used = f", {analysis['utterances']} utterances, {analysis['seconds'] / 60:.1f} minutes" if analysis else ""
    tested = []
    for corpus in files.probing:
        origin = next((files.origin(f"importance-{model}-{corpus}") for model in files.models), {})
        if own := origin.get("importance"):
            tested.append(f"{own['split']['test']} of {own['speakers']} speakers on {corpus}")
    return (
        f"Trained on {speech_name(plan['speech'])}; heads, relation maps and boundaries on "
        f"{speech_name(plan['phones'])}{used}; probes on {' and '.join(map(speech_name, plan['probing']))}"
        + (f" (test utterances: {', '.join(tested)})" if tested else "")
        + ". Counts of heads come with an interval from `category_stability`."
        + "".join(f" {name} is the model that comes with sat-probe." for name in bundled)
        + "\n"
    )


def _segmentation_text(files: StudyFiles) -> list[str]:
    """Return the text before the claims about segmentation."""
    model, paper = next(iter(files.models)), files.settings[0]
    table = boundaries_table(files, model)
    if setting_words(paper) not in table:
        return []
    own = trials(files)
    own = own[own["run"] == model]
    plain, best = own[own["setting"] == paper].iloc[0], own.iloc[0]
    lead = [interval(row["lead"], row["lead_low"], row["lead_high"], signed=True) for row in (plain, best)]
    headline = f"**Attention minus MFCC, {model}: {lead[0]} points** read as in the paper"
    if best["setting"] != paper:
        headline += f", **{lead[1]}** with {setting_words(str(best['setting']))}"
    origin = files.origin(f"segmentation-{model}-{files.settings[-1]}")
    told = f" ({origin['utterances']['test']} utterances)" if origin else ""
    return [
        f"{headline}. The paper has +3.31 for its M3. Intervals are paired over utterances.\n",
        f"R-values (%) of {model} on the test speakers{told}, tuned on other speakers. The first column is "
        "the paper's way, the others add what sat-probe offers beyond it.\n",
        markdown(table),
        "",
    ]


def _control_text(files: StudyFiles) -> list[str]:
    """Return the text before the claim about the control."""
    if not files.has("control"):
        return []
    ctc = files.table("control_runs").set_index("family").to_dict("index")["ctc"]
    control, error = files.facts["plan"]["control"], float(ctc["character_error_rate"])
    text = _CONTROL.format(
        **{**control["ctc"], **control}, first_loss=ctc["first_loss"], loss=ctc["loss"], error=error,
        remark="It is far from a usable recogniser." if error > 0.5 else "It has learned to spell.",
    )  # fmt: skip
    inside = [
        f"{family}: {', '.join(part[~part['outside']]['statistic'])}"
        for family, part in null_distances(files.table("control")).groupby("family", sort=False)
    ]
    return [
        text,
        f"Inside the range of the untrained models: {'; '.join(inside)}.\n",
        markdown(control_table(files)),
        "",
    ]


def _figures_text(section: str, files: StudyFiles, figures: list[str]) -> str:
    """Return the figures of a section, with those of the models side by side."""
    wanted = {
        "categories": ["categories"], "offsets": ["offsets"], "relations": ["concentration"],
        "importance": [
            f"{task.replace('_', '-')}-{corpus}" for corpus in files.probing for task in TASKS
        ],
    }  # fmt: skip
    lines = []
    for kind in wanted.get(section, []):
        there = [f"{model}-{kind}" for model in files.models if f"{model}-{kind}" in figures]
        if there:
            lines.append(" ".join(f"![{name}](figures/{name}.png)" for name in there) + "\n")
    if section in figures:
        lines.append(f"![{section}](figures/{section}.png)\n")
    return "\n".join(lines)
