"""Claims checked on small tables, and docs/study checked against its own tables."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sat_probe.errors import AlignmentError, ReportError
from sat_probe.measures.boundaries.score import r_value
from sat_probe.measures.intervals import r_value_difference
from sat_probe.paper.claims import CLAIMS, findings
from sat_probe.paper.claims_ablation import null_distances
from sat_probe.paper.claims_heads import category_count
from sat_probe.paper.files import StudyFiles, provenance_of, publish_tables, save_tables
from sat_probe.paper.finding import Finding, difference, finding_from_interval, interval_verdict
from sat_probe.paper.page import _findings_text, findings_table, study_text, summary
from sat_probe.paper.tables import interval, trials, trials_table

DOCS = Path(__file__).resolve().parents[2] / "docs" / "study"
MODELS = {"M3": 3, "M6": 6}
SETTING = "rows-1"


def write(folder: Path, **tables: pd.DataFrame) -> StudyFiles:
    """A study of these tables, "M3_heads" for M3-heads."""
    (folder / "tables").mkdir(exist_ok=True)
    for name, table in tables.items():
        table.to_csv(folder / "tables" / f"{name.replace('__', '-')}.csv", index=False)
    origin = {"frame_hop_ms": 20.0}
    training = {"recipe": recipe(), "data": {"hours": 1.0}, "c_num": 3, "held_out_loss": 0.5}
    facts = {
        "models": MODELS, "settings": [SETTING], "tried": [], "probing": ["c"],
        "origins": {
            **{f"analysis-{model}": origin for model in MODELS},
            **{f"segmentation-{model}-{SETTING}": {"model": model, "training": training} for model in MODELS},
        },
    }  # fmt: skip
    (folder / "study.json").write_text(json.dumps(facts))
    return StudyFiles(folder)


def checked(claim: str, files: StudyFiles) -> list[Finding]:
    """The findings about the one claim that begins like this."""
    (found,) = [one for one in CLAIMS if one.text.startswith(claim)]
    return found.findings(files)


def recipe() -> dict:
    model = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 8, "downsample_rate": 3}
    return {"model": model, "steps": 10, "learning_rate": 0.1}


def heads(categories: str, offset: float = 0.0, half: float = 1.0, stability: float = 1.0) -> pd.DataFrame:
    """Heads of one layer, "GVD"; all diagonal ones look `offset` ms beside themselves."""
    names = {"G": "global", "V": "vertical", "D": "diagonal"}
    count = len(categories)
    return pd.DataFrame(
        {
            "layer": 0, "head": range(count), "category": [names[letter] for letter in categories],
            "category_stability": stability, "spread_ms": 10.0,
            "mean_offset_ms": offset, "mean_offset_ms_low": offset - half, "mean_offset_ms_high": offset + half,
        }
    )  # fmt: skip


def boundaries(hits: int, utterances: int = 8) -> pd.DataFrame:
    """Ten boundaries an utterance, all predictions as many; MFCC hits seven."""
    parts = [
        pd.DataFrame(
            {
                "utterance": [f"u{index}" for index in range(utterances)], "source": source, "layer": 0, "head": 1,
                "references": 10, "predictions": 10, "hits": hit,
            }
        )
        for source, hit in (("attention", hits), ("mfcc", 7))
    ]  # fmt: skip
    return pd.concat(parts)


def curves(
    values: dict[tuple[str, float], float], task="phones_hidden", metric="accuracy", noise=0.01
) -> dict[str, pd.DataFrame]:
    """Tables of M3 on the corpus "c": scores by ranking and heads removed, or by "span" and frames (0 is all).

    On each of 50 utterances of 100 frames the points differ by what the scores do, give or take the noise.
    """
    rows, totals, rng = [], {}, np.random.default_rng(0)
    hard = np.linspace(-20, 20, 50)
    for (ranking, count), value in values.items():
        kind = {"kind": "span", "span_mode": "zero"} if ranking == "span" else {"kind": "heads", "ranking": ranking}
        place = {"removed": 0, "span": count or None} if ranking == "span" else {"removed": count}
        point = len(totals) if count else 0  # the intact model stands on every curve
        rows.append({"seed": 0, "ranking": None, "span": None, "span_mode": None, **kind, **place, "point": point})
        scattered = 100 * noise * rng.standard_normal(50) * (point > 0)
        totals.setdefault(f"total_{point}", 100 * value + hard + scattered - scattered.mean())
    common = {"task": task, "mode": "frozen"}
    counts = pd.DataFrame({"utterance": range(50), **common, "items": 100, **totals})
    return {"M3-importance-c": pd.DataFrame(rows).assign(**common, metric=metric), "M3-importance_counts-c": counts}


@pytest.mark.parametrize(
    "low, high, verdict",
    [
        (0.1, 0.2, "holds"),
        (-0.2, -0.1, "does not hold"),
        (-0.1, 0.1, "not testable here"),
        (0.0, 0.1, "not testable here"),
        (float("nan"), float("nan"), "not testable here"),
    ],
)
def test_verdict_of_an_interval(low, high, verdict):
    assert interval_verdict(low, high) == verdict


def test_difference_of_independent_numbers():
    assert difference((5.0, 2.0, 8.0), (1.0, -3.0, 5.0)) == pytest.approx((4.0, -1.0, 9.0))


def test_paired_difference_of_r_values_against_a_slow_bootstrap():
    rng = np.random.default_rng(1)
    references = rng.integers(5, 20, 12)
    first = np.stack([references, references + rng.integers(-2, 3, 12), references - 2], axis=1)
    second = np.stack([references, references + 1, references - 4], axis=1)
    value, low, high = r_value_difference(first, second, replicates=300, seed=3)
    assert value == pytest.approx(r_value(*first.sum(0)) - r_value(*second.sum(0)))
    draws = np.random.default_rng(3).multinomial(12, np.full(12, 1 / 12), 300)
    slow = []
    for draw in draws:
        chosen = np.repeat(np.arange(12), draw)
        slow.append(r_value(*first[chosen].sum(0)) - r_value(*second[chosen].sum(0)))
    assert (low, high) == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])))
    assert r_value_difference(first, first)[1:] == (0.0, 0.0)
    assert np.isnan(r_value_difference(first[:1], second[:1])[1])
    with pytest.raises(AlignmentError, match="their references differ"):
        r_value_difference(first, second[::-1])
    with pytest.raises(AlignmentError, match="utterances, 3"):
        r_value_difference(first[:, :2], second)


def test_category_claims(tmp_path):
    files = write(tmp_path, M3__heads=heads("GVDDDD"), M6__heads=heads("GGGVVD"))
    assert [one.verdict for one in checked("Every model has", files)] == ["holds", "holds"]
    (most,) = checked("M3 has the most diagonal", files)
    assert (most.value, most.verdict) == (3.0, "holds")
    (more,) = checked("A larger C_num", files)
    assert (more.value, more.verdict) == (2.0, "holds")
    files = write(tmp_path, M3__heads=heads("GVD"), M6__heads=heads("GVDDD"))
    assert checked("M3 has the most diagonal", files)[0].verdict == "does not hold"


def test_interval_of_a_category_count():
    count, low, high = category_count(heads("GGVD", stability=0.5), "global")
    assert count == 2
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(4 * 0.25))


def test_offsets(tmp_path):
    files = write(tmp_path, M3__heads=heads("GVD", offset=-30.0), M6__heads=heads("GVD", offset=60.0))
    assert [(one.value, one.verdict) for one in checked("Focused diagonal heads", files)] == [
        (20.0, "holds"),
        (50.0, "holds"),
    ]
    focused, every = checked("The offset of diagonal heads", files)
    assert focused.value == every.value == 30.0
    assert focused.verdict == "holds"
    files = write(tmp_path, M3__heads=heads("GVD", offset=3.0), M6__heads=heads("GVD", offset=-3.0, half=5.0))
    assert [one.verdict for one in checked("Focused diagonal heads", files)] == ["does not hold"] * 2
    assert checked("The offset of diagonal heads", files)[0].verdict == "not testable here"


def test_vertical_heads_against_the_others(tmp_path):
    table = heads("VVVVGGGG")
    concentration = pd.DataFrame(
        {
            "layer": 0, "head": np.repeat(range(8), 2), "phone": ["a", "b"] * 8,
            "concentration": [2.0, 0.1] * 4 + [0.1, -0.2] * 4,
        }
    )  # fmt: skip
    files = write(tmp_path, M3__heads=table, M3__concentration=concentration)
    (finding,) = checked("Vertical heads focus", files)
    assert finding.value == pytest.approx(1.8)
    assert finding.verdict == "holds"
    assert "4 of 4 focus" in finding.measured


def test_boundary_claims(tmp_path):
    tables = {"M3__rows-1-segmentation_counts": boundaries(9), "M6__rows-1-segmentation_counts": boundaries(5)}
    files = write(tmp_path, **tables)
    better, worse = checked("Attention beats MFCC", files)
    assert (better.verdict, worse.verdict) == ("holds", "does not hold")
    assert better.value == pytest.approx(100 * (r_value(10, 10, 9) - r_value(10, 10, 7)))
    assert checked("The R-value of attention falls", files)[0].verdict == "holds"


def test_pruning_claims(tmp_path):
    values = {
        ("globalness", 0): 0.6, ("globalness", 1): 0.6, ("globalness", 2): 0.595, ("globalness", 3): 0.5,
        ("globalness", 4): 0.3,
        **{("diagonality", count): (0.6, 0.4, 0.4, 0.3, 0.3)[count] for count in range(5)},
        **{("verticality", count): (0.6, 0.5, 0.5, 0.5, 0.3)[count] for count in range(5)},
    }  # fmt: skip
    files = write(tmp_path, **curves(values))
    first, curve = checked("Diagonal heads matter", files)
    assert first.value == pytest.approx(0.1)
    assert first.verdict == "holds"
    assert first.high - first.low < 0.02  # what makes an utterance hard cancels
    assert curve.value == pytest.approx(((0.5 - 0.4) + (0.5 - 0.4) + (0.5 - 0.3)) / 3)
    assert (first.detail, curve.detail) == (False, True)
    (half,) = checked("Half the heads", files)
    assert (half.value, half.verdict) == (pytest.approx(0.005), "holds")
    # the same numbers as L1 say the opposite: more is worse
    files = write(tmp_path, **curves(values, "reconstruction", "l1"))
    assert checked("Diagonal heads matter", files)[0].verdict == "does not hold"
    assert checked("Half the heads", files)[0].value == pytest.approx(0.01 * 0.6 + 0.005)


def test_loss_near_the_tolerance_is_not_testable(tmp_path):
    values = {("globalness", count): (0.6, 0.6, 0.595, 0.5, 0.3)[count] for count in range(5)}
    (half,) = checked("Half the heads", write(tmp_path, **curves(values, noise=0.1)))
    assert half.low < 0 < half.high
    assert half.verdict == "not testable here"
    (half,) = checked("Half the heads", write(tmp_path, **curves(values | {("globalness", 2): 0.5})))
    assert half.verdict == "does not hold"


def test_weight_is_compared_on_speakers_only(tmp_path):
    values = {
        (ranking, count): 0.9 - 0.1 * count * worse
        for ranking, worse in (("weight", 2), ("globalness", 1))
        for count in range(4)
    }
    files = write(tmp_path, **curves(values))
    assert checked("Globalness is a better", files)[0].measured.endswith("was not measured")
    files = write(tmp_path, **curves(values, "speakers_frame"))
    finding, curve = checked("Globalness is a better", files)
    assert finding.value == pytest.approx(0.2)
    assert curve.value == pytest.approx(0.15)
    assert finding.verdict == "holds"
    assert finding.case == "speakers, frame (frozen), c"


def test_near_spans_against_the_full_span(tmp_path):
    values = {("span", 0): 0.5, ("span", 50): 0.1, ("span", 25): 0.53, ("span", 15): 0.51}
    (finding,) = checked("A span of 15", write(tmp_path, **curves(values)))
    assert finding.value == pytest.approx(0.02)
    assert finding.verdict == "holds"
    assert "mean of spans 15 and 25" in finding.measured


def test_curves_without_sums_per_utterance_are_ignored(tmp_path):
    tables = curves({("diagonality", 0): 0.5})
    files = write(tmp_path, **{"M3-importance-c": tables["M3-importance-c"]})
    (finding,) = checked("Diagonal heads matter", files)
    assert finding.measured == "importance, with sums per utterance, was not measured"


def test_many_findings_are_shown_as_a_short_table_with_details():
    def finding(model, case, detail):
        measured = f"{model} {case} {detail}"
        return finding_from_interval(model, case, measured, (0.2, 0.1, 0.3), "accuracy", "tables/a.csv", detail)

    rows = pd.DataFrame(
        asdict(finding(model, f"task {number}", detail))
        for model in ("M3", "M6")
        for number in range(4)
        for detail in (False, True)
    )
    told = "\n".join(_findings_text(rows))
    short, _, folded = told.partition("<details>")
    assert short.count("\n| task ") == 4
    assert "| of | M3 | M6 |" in short
    assert "+0.200 (+0.100 to +0.300) accuracy **holds**" in short
    assert "(16 findings)" in folded
    assert all(measured in folded for measured in rows["measured"])
    assert "<details>" not in "".join(_findings_text(rows.head(6)))


def test_speed_is_the_median_of_repeats(tmp_path):
    times = {"intact": [1.0, 1.0, 2.0, 1.0, 1.0, 1.0], "span 15": [0.5, 0.75, 1.2, 0.6, 0.6, 0.6]}
    table = pd.DataFrame(
        [
            {
                "version": version, "repeat": repeat, "removed": 0, "real_time_factor": time,
                "multiply_adds": 100 if version == "intact" else 80,
            }
            for version, own in times.items()
            for repeat, time in enumerate(own)
        ]
    )  # fmt: skip
    finding = checked("A model without", write(tmp_path, M3__speed=table))[0]
    assert (finding.value, finding.low, finding.high) == pytest.approx((0.4, 0.25, 0.5))
    assert finding.verdict == "holds"
    assert "0.80 of the multiply-adds" in finding.measured
    few = table[table["repeat"] < 5]
    assert checked("A model without", write(tmp_path, M3__speed=few))[0].verdict == "not testable here"


def test_distance_from_untrained_models(tmp_path):
    control = pd.DataFrame(
        [("trained", -1, "a", 9.0), ("trained", -1, "b", 1.0)]
        + [("random", seed, name, float(seed)) for seed in range(3) for name in "ab"],
        columns=["weights", "seed", "statistic", "value"],
    ).assign(family="M3")
    distances = null_distances(control).set_index("statistic")
    assert distances.loc["a", "z"] == pytest.approx(8.0)
    assert bool(distances.loc["a", "outside"])
    assert (distances.loc["b", "z"], distances.loc["b", "rank"]) == (0.0, 1)
    (finding,) = checked("Training, not", write(tmp_path, control=control))
    assert finding.value == pytest.approx(1 - 2 * 2 / 4)


def test_claims_without_tables_are_not_testable(tmp_path):
    found = findings(write(tmp_path))
    assert set(found["claim"]) == {claim.text for claim in CLAIMS}
    assert set(found["verdict"]) == {"not testable here"}
    assert len(summary(found)) == len(CLAIMS)
    assert trials(write(tmp_path)).empty
    with pytest.raises(ReportError, match="no table 'M3-heads'"):
        write(tmp_path).table("M3-heads")
    with pytest.raises(ReportError, match="holds no study"):
        _ = StudyFiles(tmp_path / "nothing").facts


def test_trials_show_the_training_of_each_model(tmp_path):
    scores = pd.DataFrame(
        {"source": ["attention", "mfcc"], "r_value": [0.9, 0.7], "r_value_low": 0.6, "r_value_high": 0.95}
    )
    files = write(tmp_path, **{"M3__rows-1-segmentation_counts": boundaries(9), "M3__rows-1-segmentation": scores})
    (row,) = trials(files).to_dict("records")
    assert (row["network"], row["steps"], row["hours"]) == ("2 x 2, hidden 8", 10, 1.0)
    (shown,) = trials_table(trials(files)).to_dict("records")
    assert shown["R x hop"] == "3 x 6.667 ms"
    assert row["lead"] > 0
    assert row["attention"] == 90.0


def test_tables_are_saved_completely_or_not_at_all(tmp_path):
    folder = tmp_path / "stage"
    save_tables(folder, {"seed": 1}, {"speed": pd.DataFrame({"a": [1]})})
    with pytest.raises(AttributeError):
        save_tables(folder, {"seed": 2}, {"speed": None})
    assert provenance_of(folder) == {"seed": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["stage"]
    with pytest.raises(ReportError, match="cannot be read"):
        provenance_of(tmp_path)


def test_publishing_takes_the_existing_tables(tmp_path):
    save_tables(tmp_path / "speed-M3", {"seconds": 1}, {"speed": pd.DataFrame({"a": [1 / 3]})})
    facts = {"models": MODELS, "settings": [SETTING], "tried": ["tried-1"], "probing": ["c"]}
    publish_tables(tmp_path, tmp_path / "study", facts)
    files = StudyFiles(tmp_path / "study")
    assert [path.name for path in (tmp_path / "study" / "tables").iterdir()] == ["M3-speed.csv"]
    assert files.table("M3-speed")["a"].item() == 0.333333
    assert files.origin("speed-M3") == {"seconds": 1}


def test_numbers_with_intervals():
    assert interval(1.234, 1.0, 1.5) == "1.23 (1.00 to 1.50)"
    assert interval(1.0, float("nan"), float("nan"), signed=True) == "+1.00"
    assert interval(float("nan"), 0, 0) == "–"


# docs/study -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def docs() -> StudyFiles:
    return StudyFiles(DOCS)


def test_page_follows_from_its_tables(docs):
    figures = [path.stem for path in (DOCS / "figures").glob("*.png")]
    assert (DOCS / "README.md").read_text(encoding="utf-8") == study_text(docs, figures)


def test_claims_and_trials_follow_from_the_tables(docs):
    for name, table in (("claims", findings(docs)), ("trials", trials(docs))):
        kept = (DOCS / f"{name}.csv").read_text(encoding="utf-8")
        assert kept == table.to_csv(index=False, float_format="%.6g", lineterminator="\n"), name


def test_every_number_has_its_table(docs):
    readme = (DOCS / "README.md").read_text(encoding="utf-8")
    found = findings(docs)
    for file in {name for names in found["file"] for name in names.split(", ") if name}:
        assert (DOCS / file).is_file(), file
        assert f"({file})" in readme
    for measured in findings_table(found)["measured"]:
        assert measured in readme


def test_the_study_is_small():
    assert sum(path.stat().st_size for path in DOCS.rglob("*") if path.is_file()) < 3_000_000
