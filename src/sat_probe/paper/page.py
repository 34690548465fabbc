"""The study as a page: README.md and figures from published tables, so that no number in it is typed by hand."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from sat_probe.paper.claims import CLAIMS, SECTIONS, findings
from sat_probe.paper.claims_ablation import TASKS, null_distances
from sat_probe.paper.claims_boundaries import setting_words
from sat_probe.paper.figures import save_study_figures
from sat_probe.paper.files import DIGITS, StudyFiles
from sat_probe.paper.finding import VERDICTS
from sat_probe.paper.tables import (
    boundaries_table,
    budget_table,
    control_table,
    interval,
    markdown,
    models_table,
    shown_trials,
    speech_name,
    trials,
)

_INTRODUCTION = """# The paper, reproduced

Yang, Liu, Lee, [Understanding Self-Attention of Self-Supervised Audio Transformers](https://arxiv.org/abs/2006.03265)
(Interspeech 2020), measured again on models that sat-probe trained itself. This page, its figures and its tables
were written by

```
sat-probe reproduce --preset small --publish docs/study
```

from [tables/](tables), which are what the stages of that command left; no number here was typed by hand. The paper
trained 144 heads for 500,000 steps on 360 hours. The models here are small, and were trained on {hours} hours; they say
whether a claim holds *here*, not whether the paper is right.
"""
_RULES = """A claim **holds** where the whole 95 % interval of its number is above 0, **does not hold** where all of it
is below, and is **not testable here** where it holds 0: what was measured is then too little to tell. Intervals come
from the bootstrap over utterances. Two ablations are compared in pairs, on the same test utterances, so that what makes
an utterance hard for both cancels; what another run of training a probe would change is not in these intervals. "Half
the heads can go" is about what may be lost, one point of accuracy or a hundredth of the L1, less what was lost.
Intervals of times are those of the median of repeats, by the sign test. The counts are of the findings shown; further
ones are folded away below them, and all are in [claims.csv](claims.csv).
"""
_MOST_ROWS = 7  # of a claim, before a short table takes their place
_TRIED = """The same test speakers, counting rule and tuning for every row; the largest lead first. A model of an
earlier attempt is put beside the others with `--tried FOLDER`. [trials.csv](trials.csv) has the rows as numbers.
"""
_CONTROL = """Categories are ranks, so that a model that learned nothing has global, vertical and diagonal heads too.
The control is {seeds} models with random weights, of the same shape as each trained one, on the same {utterances}
utterances: the distribution of each statistic if training did nothing. The other family is a Wav2Vec2-BERT of {layers}
layers x {heads} heads, which learned to spell transcripts with CTC for {steps:,} steps: its loss went from
{first_loss:.1f} to {loss:.2f}, and on utterances it never saw its character error rate is {error:.0%}. {remark}
"""


def write_study(folder: Path) -> Path:
    """Write README.md, claims.csv, trials.csv and figures from the tables in a folder; the path of README.md.

    Raises:
        ReportError: if the folder has no study.
    """
    files = StudyFiles(folder)
    for name, table in (("claims", findings(files)), ("trials", trials(files))):
        table.to_csv(folder / f"{name}.csv", index=False, float_format=DIGITS, lineterminator="\n")
    figures = save_study_figures(files)
    readme = folder / "README.md"
    readme.write_text(study_text(files, figures), encoding="utf-8")
    return readme


def study_text(files: StudyFiles, figures: list[str]) -> str:
    """README.md of a study, a function of its tables alone.

    Args:
        files: of the study.
        figures: names of those there are.
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
        _corpora(files),
    ]
    for section, title in SECTIONS.items():
        parts += [f"## {title}\n", *_about(section, files), _pictures(section, files, figures)]
        own = found[found["section"] == section]
        for claim in dict.fromkeys(own["claim"]):
            rows = own[own["claim"] == claim]
            paper = f"The paper: {rows['paper'].iloc[0]}."
            parts += [f"**{claim}.** {paper}\n", *_told(rows), ""]
    tried = trials(files)
    if len(tried):
        parts += ["## What was tried for segmentation\n", _TRIED, markdown(shown_trials(tried)), ""]
    parts += [
        "## What it cost\n",
        "On one core; training is counted as its own log has it. `--dry-run` estimates the same for your machine.\n",
        markdown(budget_table(files)),
    ]
    return "\n".join(part for part in parts if part is not None).replace("\n\n\n", "\n\n").rstrip() + "\n"


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """One row per claim: how often it holds."""
    rows = []
    for claim in CLAIMS:
        own = found[(found["claim"] == claim.text) & ~found["detail"]]
        counts = own["verdict"].value_counts()
        told = [f"{verdict} ({counts[verdict]} of {len(own)})" for verdict in VERDICTS if verdict in counts]
        link = f"[{SECTIONS[claim.section]}](#{SECTIONS[claim.section].lower().replace(' ', '-')})"
        rows.append((claim.text, ", ".join(told), link))
    return pd.DataFrame(rows, columns=["claim", "here", "where"])


def _told(rows: pd.DataFrame) -> list[str]:
    """Findings about one claim; of many cases one short row each, with all that is known about them folded away."""
    main = rows[~rows["detail"]]
    if len(main) <= _MOST_ROWS:
        return [markdown(shown_findings(rows))]
    details = "<details><summary>What these are made of"
    details += ", and the same over whole curves" if len(main) < len(rows) else ""
    return [
        markdown(short_findings(main)),
        "",
        f"{details} ({len(rows)} findings)</summary>\n",
        markdown(shown_findings(rows)),
        "\n</details>",
    ]


def short_findings(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per case and a column per model: value, interval and verdict."""
    cells = [f"{_value(row)} **{row['verdict']}**" for _, row in rows.iterrows()]
    wide = rows.assign(cell=cells).pivot(index="case", columns="model", values="cell").fillna("–")
    ordered = wide.reindex(index=rows["case"].unique(), columns=rows["model"].unique())
    return ordered.rename_axis(index="of", columns=None).reset_index()


def shown_findings(rows: pd.DataFrame) -> pd.DataFrame:
    """Findings about one claim in words."""
    shown = pd.DataFrame(
        {
            "model": ["all" if row.model == "all" else row.model for row in rows.itertuples()],
            "of": rows["case"].to_numpy(),
            "measured": rows["measured"].to_numpy(),
            "value (95 %)": [_value(row) for _, row in rows.iterrows()],
            "verdict": [f"**{verdict}**" for verdict in rows["verdict"]],
            "from": [_links(file) for file in rows["file"]],
        }
    )
    return shown if (rows["case"] != "").any() else shown.drop(columns="of")


def _value(row: pd.Series) -> str:
    digits = {"accuracy": 3, "L1": 3, "heads": 0, "statistics": 1}.get(row["unit"], 2)
    shown = interval(row["value"], row["low"], row["high"], digits, signed=True)
    return f"{shown} {row['unit']}".strip()


def _links(files: str) -> str:
    return ", ".join(f"[{Path(name).stem}]({name})" for name in files.split(", ") if name)


def _corpora(files: StudyFiles) -> str:
    plan = files.facts["plan"]
    bundled = "".join(
        f" {name} is the model that comes with sat-probe." for name in files.facts.get("bundled", [])
    )
    analysis = next((files.origin(f"analysis-{model}") for model in files.models), {})
    used = (
        f", {analysis['utterances']} utterances, {analysis['seconds'] / 60:.1f} minutes" if analysis else ""
    )
    return (
        f"Trained on {speech_name(plan['speech'])}; heads, relation maps and boundaries on "
        f"{speech_name(plan['phones'])}{used}; probes on {' and '.join(map(speech_name, plan['probing']))}"
        f"{_probed(files)}. Counts of heads come with an interval from `category_stability`.{bundled}\n"
    )


def _probed(files: StudyFiles) -> str:
    """How many utterances the probes were tested on, by corpus."""
    tested = []
    for corpus in files.probing:
        origin = next((files.origin(f"importance-{model}-{corpus}") for model in files.models), {})
        if origin:
            own = origin["importance"]
            tested.append(f"{own['split']['test']} of {own['speakers']} speakers on {corpus}")
    return f" (test utterances: {', '.join(tested)})" if tested else ""


def _about(section: str, files: StudyFiles) -> list[str]:
    """What stands before the claims of a section."""
    if section == "segmentation":
        model = next(iter(files.models))
        table = boundaries_table(files, model)
        if table.empty or setting_words(files.settings[0]) not in table:
            return []
        origin = files.origin(f"segmentation-{model}-{files.settings[-1]}")
        own = trials(files)
        own = own[own["run"] == model]
        plain, best = own[own["setting"] == files.settings[0]], own.iloc[0]
        lead = [
            interval(row["lead"], row["lead_low"], row["lead_high"], signed=True)
            for row in (plain.iloc[0], best)
        ]
        headline = f"**Attention minus MFCC, {model}: {lead[0]} points** read as in the paper"
        if best["setting"] != files.settings[0]:
            headline += f", **{lead[1]}** with {setting_words(str(best['setting']))}"
        told = f" ({origin['utterances']['test']} utterances)" if origin else ""
        return [
            f"{headline}. The paper has +3.31 for its M3. Intervals are paired over utterances.\n",
            f"R-values (%) of {model} on the test speakers{told}, tuned on other speakers. The first column is read "
            "as in the paper, the others with what sat-probe adds.\n",
            markdown(table),
            "",
        ]
    if section == "control" and files.has("control"):
        runs = files.table("control_runs").set_index("family").to_dict("index")
        ctc, control = runs["ctc"], files.facts["plan"]["control"]
        error = float(ctc["character_error_rate"])
        remark = (
            "It is far from a recogniser, and is shown as what it is."
            if error > 0.5
            else "It has learned to spell."
        )
        shape = {name: control["ctc"][name] for name in ("layers", "heads", "steps")}
        text = _CONTROL.format(
            seeds=control["seeds"], utterances=control["utterances"], **shape,
            first_loss=ctc["first_loss"], loss=ctc["loss"], error=error, remark=remark,
        )  # fmt: skip
        distances = null_distances(files.table("control"))
        inside = [
            f"{family}: {', '.join(part[~part['outside']]['statistic'])}"
            for family, part in distances.groupby("family", sort=False)
        ]
        return [
            text,
            f"Inside the range of the untrained models: {'; '.join(inside)}.\n",
            markdown(control_table(files)),
            "",
        ]
    return []


def _pictures(section: str, files: StudyFiles, figures: list[str]) -> str:
    """The figures of a section, those of the models side by side."""
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
