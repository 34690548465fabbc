"""Chain of stages, plans, and a whole study on a small part of real speech."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from sat_probe.cli import run
from sat_probe.errors import ConfigurationError, CorpusError
from sat_probe.paper import chain as chain_module
from sat_probe.paper import stages as stages_module
from sat_probe.paper.chain import Chain, Stage, choose_stages, duration_text
from sat_probe.paper.control import head_statistics
from sat_probe.paper.files import StudyFiles
from sat_probe.paper.page import study_text
from sat_probe.paper.plan import corpus_name, load_plan, place_corpora
from sat_probe.paper.reproduce import reproduce
from sat_probe.paper.stages import Places, build_stages
from sat_probe.studies.corpus_pass.processes import Process
from sat_probe.studies.footprint import Footprint
from tests.studies.pretraining_corpus import TINY

ALONE = Process()


class Work:
    """Stages that note when they run; `first` is needed by `second`."""

    def __init__(self, output: Path) -> None:
        self.output, self.ran = output, []
        self.settings = {"first": {"steps": 1}, "second": {}}
        self.fails = False

    def chain(self) -> Chain:
        def work(name: str) -> None:
            if self.fails:
                raise KeyboardInterrupt
            self.ran.append(name)
            (self.output / name).mkdir(parents=True, exist_ok=True)

        return Chain(
            [
                Stage(name, self.output / name, lambda name=name: work(name), needs, self.settings[name])
                for name, needs in (("first", ()), ("second", ("first",)))
            ],
            self.output,
        )

    def run(self, *names: str) -> list[str]:
        return self.chain().run(names or ("first", "second"), ALONE)


def test_finished_stages_are_not_run_again(tmp_path):
    work = Work(tmp_path)
    assert work.run() == ["first", "second"]
    assert work.run() == []
    assert work.ran == ["first", "second"]


def test_a_changed_setting_reruns_dependent_stages(tmp_path):
    work = Work(tmp_path)
    work.run()
    work.settings["first"] = {"steps": 2}
    assert work.chain().reason_to_run("first") == "steps changed"
    assert work.run() == ["first", "second"]
    work.settings["second"] = {"seed": 1}
    assert work.run() == ["second"]


def test_a_deleted_folder_is_made_again(tmp_path):
    work = Work(tmp_path)
    work.run()
    (tmp_path / "second").rmdir()
    assert "is gone" in str(work.chain().reason_to_run("second"))
    assert work.run() == ["second"]


def test_an_interrupted_stage_is_not_recorded(tmp_path):
    work = Work(tmp_path)
    work.fails = True
    with pytest.raises(KeyboardInterrupt):
        work.run()
    work.fails = False
    assert work.chain().reason_to_run("first") == "not done yet"
    assert work.run() == ["first", "second"]


def test_a_stage_whose_needs_are_unfinished_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="second needs first: not done yet"):
        Work(tmp_path).run("second")


def test_existing_results_are_reused(tmp_path):
    (tmp_path / "model").mkdir()
    stage = Stage("model", tmp_path / "model", lambda: pytest.fail("ran"), finished_before=lambda: 12.0)
    chain = Chain([stage], tmp_path)
    assert chain.reason_to_run("model") is None
    assert chain.run(["model"], ALONE) == []
    assert chain.record("model")["computed_seconds"] == 12.0


def test_other_processes_run_shared_stages_only(tmp_path, monkeypatch):
    monkeypatch.setattr(chain_module, "gather", lambda process, value: ["not done yet"])
    ran = []
    stages = [
        Stage("shared", tmp_path, lambda: ran.append("shared"), together=True),
        Stage("alone", tmp_path, lambda: ran.append("alone")),
    ]
    assert Chain(stages, tmp_path).run(["shared", "alone"], Process(1, 2)) == ["shared"]
    assert ran == ["shared"]


def test_stages_of_studies_that_share_work_run_in_every_process(tmp_path):
    plan = place_corpora(load_plan("small", ["pretraining.c_nums=[3]"]), tmp_path / "mine", tmp_path / "timit")
    stages = build_stages(plan, Places(tmp_path, tmp_path, tried=(tmp_path / "old",)))
    alone = {stage.name for stage in stages if not stage.together}
    assert alone == {"speed-M3", "pretrain-ctc", "control"}


def test_stages_are_chosen_by_pattern():
    names = ["pretrain-M3", "analysis-M3", "analysis-M6"]
    assert choose_stages(names, []) == names
    assert choose_stages(names, ["analysis-M6", "pretrain-*"]) == ["pretrain-M3", "analysis-M6"]
    with pytest.raises(ConfigurationError, match="no stage is called 'analyze'; there are pretrain-M3"):
        choose_stages(names, ["analyze"])


@pytest.mark.parametrize(
    "seconds, shown", [(40, "40 s"), (600, "10 min"), (12_000, "3 h 20 min"), (864_000, "10 days")]
)
def test_duration_text(seconds, shown):
    assert duration_text(seconds) == shown


@pytest.mark.parametrize("preset", ["small", "paper"])
def test_presets_name_the_models_of_the_paper(preset):
    plan = load_plan(preset)
    assert plan.models() == {"M3": 3, "M6": 6, "M9": 9}
    assert plan.segmentation[0].features == "rows"
    assert plan.segmentation[0].shifts == 1


def test_the_paper_preset_has_the_size_of_the_paper():
    plan = load_plan("paper")
    recipe = plan.pretraining.recipe()
    assert (recipe.steps, recipe.model.num_hidden_layers, recipe.model.num_attention_heads) == (500_000, 12, 12)
    assert plan.speech.split == "train-clean-360"
    assert plan.phones.dataset == "timit"
    assert plan.probing[0].alignments is not None


def test_values_of_a_preset_can_be_changed():
    plan = load_plan("small", ["pretraining.steps=20", "pretraining.c_nums=[3]", "phones.limit=null"])
    assert plan.pretraining.recipe().steps == 20
    assert list(plan.models()) == ["M3"]


@pytest.mark.parametrize(
    "change, message",
    [
        ("steps", "must be KEY=VALUE"),
        ("pretraining.stepz=3", "unknown key pretraining.stepz"),
        ("nowhere.at.all=3", "there is no nowhere.at in the plan"),
        ("control.seeds=1", "control.seeds must be at least 2"),
        ("pretraining.c_nums=[3, 3]", "none twice"),
    ],
)
def test_a_wrong_change_is_refused(change, message):
    with pytest.raises(ConfigurationError, match=message):
        load_plan("small", [change])


def test_corpora_are_placed_in_their_folders():
    plan = place_corpora(load_plan("paper"), Path("a"), Path("b"))
    assert (plan.speech.data_dir, plan.probing[0].data_dir, plan.phones.data_dir) == ("a", "a", "b")
    assert (plan.speech.dataset, plan.probing[0].dataset) == ("librispeech", "librispeech")
    plan = place_corpora(load_plan("small"), Path("a"), Path("b"))
    assert (plan.speech.dataset, plan.phones.dataset) == ("a", "b")
    assert (plan.probing[0].dataset, plan.probing[1].dataset) == ("b", "a")
    assert (plan.probing[0].phone_set, plan.probing[1].limit) == ("timit-39", 300)


@pytest.mark.parametrize(
    "speech, timit, message",
    [
        (None, None, r"add --speech FOLDER \(speech to train on\) and --timit FOLDER \(TIMIT"),
        ("a", None, r"open; add --timit FOLDER"),
        (None, "b", r"open; add --speech FOLDER \(speech to train on\)$"),
    ],
)
def test_a_plan_without_corpora_asks_for_their_folders(speech, timit, message):
    with pytest.raises(ConfigurationError, match=message):
        place_corpora(load_plan("small"), speech and Path(speech), timit and Path(timit))


def test_presets_name_no_folder_outside_the_working_directory():
    for preset in ("small", "paper"):
        plan = load_plan(preset)
        for speech in (plan.speech, plan.phones, *plan.probing):
            assert ".." not in f"{speech.dataset} {speech.data_dir} {speech.alignments}"


def test_another_part_of_the_corpus_is_found_next_to_it(tmp_path):
    for part in ("train", "test"):
        (tmp_path / "mine" / part).mkdir(parents=True)
    plan = place_corpora(load_plan("small"), tmp_path / "mine" / "train", tmp_path)
    assert plan.probing[1].dataset == str(tmp_path / "mine" / "test")
    plan = place_corpora(load_plan("small"), tmp_path / "mine", tmp_path)  # a folder without parts
    assert plan.probing[1].dataset == str(tmp_path / "mine")


def test_corpora_to_probe_on_have_different_names():
    plan = place_corpora(load_plan("small"), Path("speech/test"), Path("timit-sample"))
    assert [corpus_name(speech) for speech in plan.probing] == ["timit-sample", "speech-test"]
    assert corpus_name(place_corpora(load_plan("paper"), None, None).probing[0]) == "librispeech-train-clean-100"
    with pytest.raises(ConfigurationError, match="names the corpus 'timit' twice; with --speech and"):
        load_plan("small", ["probing=[{dataset: a/timit}, {dataset: b/timit}]"])
    with pytest.raises(ConfigurationError, match="names the corpus 'mine' twice"):
        place_corpora(load_plan("small"), Path("mine"), Path("mine"))
    with pytest.raises(ConfigurationError, match="probing must name at least one corpus"):
        load_plan("small", ["probing=[]"])


def test_a_model_of_another_recipe_is_refused(tmp_path):
    plan = place_corpora(load_plan("small", ["pretraining.c_nums=[3]"]), Path("mine/train"), tmp_path)
    recipe = plan.pretraining.recipe()
    run_file = {
        "c_num": 3, "recipe": asdict(recipe), "data": {"corpus": "train"}, "seconds": 1.0, "finished": "now",
    }  # fmt: skip
    (tmp_path / "M3").mkdir()
    (tmp_path / "M3" / "run.json").write_text(json.dumps(run_file))
    first = build_stages(plan, Places(tmp_path, tmp_path))[0]
    assert first.finished_before() == 1.0
    run_file["recipe"]["steps"] += 1
    (tmp_path / "M3" / "run.json").write_text(json.dumps(run_file))
    with pytest.raises(ConfigurationError, match="M3 was trained with another steps"):
        first.finished_before()


def test_statistics_of_heads():
    heads = pd.DataFrame(
        {
            "category": ["global", "vertical", "diagonal", "diagonal"],
            "category_stability": [1.0, 0.5, 1.0, 0.5],
            **{name: [0.0, 1.0, 2.0, 3.0] for name in ("globalness", "verticality", "diagonality")},
            **{name: [0.0, 0.0, 2.0, 2.0] for name in ("max_weight", "spread_ms", "sink_share")},
            "mean_offset_ms": [-20.0, 20.0, 0.0, 0.0],
        }
    )
    found = head_statistics(heads)
    assert found["share of diagonal heads"] == 0.5
    assert found["mean globalness"] == 1.5
    assert found["deviation of max_weight between heads"] == 1.0
    assert found["mean distance of the offset from 0 (ms)"] == 10.0


@pytest.mark.shared
@pytest.mark.timeout(900)
def test_the_paper_preset_runs_on_a_cut(tmp_path, shared_data, monkeypatch, capsys):
    """Every stage of the chain, with the paper's preset on LibriSpeech's layout and TIMIT; then nothing is left."""
    recipe = replace(TINY, steps=4, checkpoint_steps=2, held_out_share=0.25)
    content = {name: value for name, value in asdict(recipe).items() if name != "data"}
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(content))))
    timit, bundled = shared_data / "timit-sample", "bundled"
    times = iter(range(1, 1000))
    monkeypatch.setattr(
        stages_module, "footprints", lambda models, seconds: [Footprint(10, 5.0, float(next(times)), 3)]
    )
    changes = {
        "pretraining.config": tmp_path / "tiny.yaml", "pretraining.steps": 4, "pretraining.c_nums": "[3]",
        "speech.split": "null",
        "phones.dataset": timit, "phones.data_dir": "null", "phones.split": "null", "phones.limit": 4,
        "probing": f"[{{dataset: {timit}, limit: 20, phone_set: timit-39}}, {{dataset: {bundled}, limit: 12, tasks: "
        "[reconstruction]}]",
        "segmentation": "[{features: rows, shifts: 1}]", "segmentation_trials": "[]",
        "importance.steps": 2, "importance.spans": "[15]", "importance.modes": "[frozen]",
        "importance.tasks": "[reconstruction, speakers_utterance]", "importance.rankings": "[globalness, weight]",
        "speed.repeats": 2, "control.seeds": 2, "control.utterances": 2,
        "control.ctc.steps": 2, "control.ctc.hidden_size": 16, "control.ctc.layers": 1, "control.ctc.batch": 2,
    }  # fmt: skip
    arguments = [
        "reproduce", "--plan", "paper", "--speech", str(shared_data / "librispeech-sample" / "LibriSpeech"),
        "--output", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"),
    ]  # fmt: skip
    for key, value in changes.items():
        arguments += ["--set", f"{key}={value}"]

    assert run([*arguments, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert "pretrain-M3" in told
    assert "not done yet" in told
    assert not (tmp_path / "out").exists()

    assert run([*arguments, "--stages", "pretrain-M3"]) == 0
    assert run([*arguments, "--tried", str(tmp_path / "out" / "models" / "M3"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out.partition("\n{")[2].join(["{", ""]))
    assert "pretrain-M3" not in result["stages"]
    assert {"analysis-M3", "segmentation-tried-1-rows-1", "importance-M3-timit-sample", "speed-M3"} <= set(
        result["stages"]
    )
    assert {"importance-M3-bundled", "control"} <= set(result["stages"])
    assert {claim["verdict"] for claim in result["claims"]} <= {"holds", "does not hold", "not testable here"}

    study = tmp_path / "out" / "study"
    readme = (study / "README.md").read_text()
    figures = [path.stem for path in (study / "figures").glob("*.png")]
    assert study_text(StudyFiles(study), sorted(figures)) == study_text(StudyFiles(study), sorted(figures))
    assert "Attention beats MFCC" in readme
    for figure in figures:
        assert f"figures/{figure}.png" in readme, figure
    trials = pd.read_csv(study / "trials.csv")
    assert set(trials["run"]) == {"M3", "tried-1"}
    assert trials.groupby("setting")["lead"].count().to_dict() == {"rows-1": 2}

    assert run(arguments + ["--tried", str(tmp_path / "out" / "models" / "M3")]) == 0
    assert "not done yet" not in capsys.readouterr().out


def test_a_missing_corpus_is_found_before_the_training(tmp_path):
    plan = place_corpora(load_plan("small"), Path("no/such/speech"), Path("bundled"))
    with pytest.raises(CorpusError, match=r"no/such/speech: no such folder; .*\(--speech and --timit name"):
        reproduce(plan, Places(tmp_path / "out", tmp_path / "models"))
    assert not (tmp_path / "out").exists()
