"""Push reports to the local Hub with the real clients, and read them back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
import yaml
from huggingface_hub import DatasetCard, HfApi

from sat_probe.errors import HubError
from sat_probe.reports.head_report import HeadReport
from tests.hub.made_reports import REVISION, assert_same, made_report, push
from tests.local_hub import STRANGER, LocalHub

FOLDER = f"reports/org__model/{REVISION}"


def frames(repo_id: str, table: str) -> pd.DataFrame:
    return datasets.load_dataset(repo_id, table, split="train").to_pandas()


def test_report_is_returned_exactly(hub: LocalHub, lane: str) -> None:
    report = made_report()
    done = push(report, "me/heads")
    assert done.commit == HfApi().repo_info("me/heads", repo_type="dataset").sha
    assert done.url == f"{hub.url}/datasets/me/heads/commit/{done.commit}"
    assert_same(HeadReport.from_hub("me/heads", model="org/model", revision=REVISION), report)
    assert_same(HeadReport.from_hub("me/heads"), report)


def test_push_is_one_commit(hub: LocalHub) -> None:
    push(made_report(), "me/heads")
    assert [commit.title for commit in hub.state.history("dataset", "me/heads")] == [
        f"Head report of org/model at {REVISION[:12]} on bundled",
        "initial commit",
    ]
    assert f"{FOLDER}/report.json" in hub.state.snapshot("dataset", "me/heads")


def test_many_models_share_a_repository(hub: LocalHub, lane: str) -> None:
    first, second = made_report("org/one", seed=1), made_report("org/two", "b" * 40, seed=2)
    third = made_report("local-folder", None, seed=3)
    for report in (first, second, third):
        push(report, "me/heads")
    assert_same(HeadReport.from_hub("me/heads", "org/one"), first)
    assert_same(HeadReport.from_hub("me/heads", "org/two", "bbbb"), second)
    assert_same(HeadReport.from_hub("me/heads", "local-folder"), third)
    for table in ("heads", "relation_maps"):
        loaded = frames("me/heads", table)
        for report in (first, second, third):
            expected = report.heads if table == "heads" else report.tables[table]
            rows = loaded[loaded["model"] == report.provenance["model"]].reset_index(drop=True)
            assert set(rows["revision"]) == {report.provenance.revision or "unversioned"}
            pd.testing.assert_frame_equal(
                rows.drop(columns=["model", "revision"]), expected, check_exact=True, check_dtype=False
            )
    with pytest.raises(HubError, match=r"not unique, say which .*: local-folder at unversioned, org/one"):
        HeadReport.from_hub("me/heads")
    with pytest.raises(HubError, match=r"has no report of org/three; it has local-folder"):
        HeadReport.from_hub("me/heads", "org/three")


def test_tables_of_different_versions_load_together(hub: LocalHub) -> None:
    old, new = made_report("org/old"), made_report("org/new")
    new.heads["entropy"] = np.linspace(0, 1, 6)
    old = replace(old, heads=old.heads.drop(columns="category_stability"))
    new.tables["importance"] = pd.DataFrame({"layer": [0], "score": [0.5]})
    push(old, "me/heads")
    push(new, "me/heads")
    loaded = frames("me/heads", "heads").set_index("model")
    assert loaded.loc["org/old", "entropy"].isna().all()
    assert loaded.loc["org/old", "category_stability"].isna().all()
    assert loaded.loc["org/new", "entropy"].tolist() == new.heads["entropy"].tolist()
    assert frames("me/heads", "importance")["model"].tolist() == ["org/new"]


def test_the_card(hub: LocalHub) -> None:
    push(made_report("org/one"), "me/heads")
    push(made_report("org/two"), "me/heads")
    card = DatasetCard.load("me/heads")
    card.validate()
    header = card.data.to_dict()
    assert header["license"] == "cc-by-4.0"
    assert [config["config_name"] for config in header["configs"]] == ["heads", "relation_maps"]
    assert header["configs"][0]["default"] is True
    for model in ("one", "two"):
        assert f"[org/{model}](reports/org__{model}/" in card.text
    for text in ("| 40 | 93.25 | 6 | 2 | 2 | 2 |", "bibtex"):
        assert text in card.text
    assert 'load_dataset("me/heads", "heads", split="train")' in card.text


def test_pushing_again_changes_nothing(hub: LocalHub) -> None:
    first = push(made_report(), "me/heads")
    again = push(made_report(), "me/heads")
    assert again.commit == first.commit
    assert len(hub.state.history("dataset", "me/heads")) == 2


def test_a_new_report_replaces_the_whole_folder(hub: LocalHub) -> None:
    with_maps, without = made_report(), made_report(seed=5)
    without.tables.clear()
    push(with_maps, "me/heads")
    push(without, "me/heads")
    assert f"{FOLDER}/relation_maps.parquet" not in hub.state.snapshot("dataset", "me/heads")
    assert_same(HeadReport.from_hub("me/heads"), without)


def test_report_on_another_corpus_is_not_overwritten_by_default(hub: LocalHub) -> None:
    mine, other = made_report(), made_report(corpus="timit", split="test", seed=1)
    push(mine, "me/heads")
    with pytest.raises(HubError, match=r"measured on bundled, this one is on timit test: .*--replace"):
        push(other, "me/heads")
    assert_same(HeadReport.from_hub("me/heads"), mine)
    push(other, "me/heads", replace=True)
    assert_same(HeadReport.from_hub("me/heads"), other)


@pytest.mark.parametrize("model", ["./mine", "../mine", "__mine"])
def test_model_names_do_not_hide_reports(hub: LocalHub, model: str) -> None:
    push(made_report(model, None), "me/heads")
    assert set(frames("me/heads", "heads")["model"]) == {model}
    assert_same(HeadReport.from_hub("me/heads", model), made_report(model, None))


def test_a_report_of_another_model_is_not_overwritten(hub: LocalHub) -> None:
    mine = made_report("org/model__x")
    push(mine, "me/heads")
    with pytest.raises(HubError, match=r"has a report of org/model__x where that of org__model/x would lie"):
        push(made_report("org__model/x", seed=1), "me/heads", replace=True)
    assert_same(HeadReport.from_hub("me/heads"), mine)


@pytest.mark.parametrize("header", ["", "---\nconfigs:\n- {config_name: clean, data_files: x.csv}\n---\n"])
def test_the_card_of_something_else_stays(hub: LocalHub, header: str) -> None:
    card = (header + ("" if header else "# My speech\n")).encode()
    hub.state.create("dataset", "me/speech", {"README.md": card, "x.csv": b"a,b\n"})
    with pytest.raises(HubError, match=r"me/speech: holds something else, whose card"):
        push(made_report(), "me/speech")
    assert hub.state.snapshot("dataset", "me/speech")["README.md"] == card


@pytest.mark.parametrize("card", [b"---\nlicense: mit\n---\n", b"---\ntags: [sat-probe]\n---\n# Heads\n"])
def test_a_new_repository_may_have_a_card(hub: LocalHub, card: bytes) -> None:
    hub.state.create("dataset", "me/heads", {"README.md": card})
    push(made_report(), "me/heads")
    assert_same(HeadReport.from_hub("me/heads"), made_report())


def test_pull_requests_and_old_commits_can_be_read(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    first = push(made_report(), "me/heads")
    push(made_report(seed=1), "me/heads")
    push(made_report(seed=2), "me/heads", create_pr=True)
    assert first.commit is not None
    for revision, seed in (("main", 1), ("refs/pr/1", 2), (first.commit, 0)):
        wanted = made_report(seed=seed)
        assert_same(HeadReport.from_hub("me/heads", repo_revision=revision), wanted)
        with monkeypatch.context() as offline:  # and again from the cache alone
            offline.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
            assert_same(HeadReport.from_hub("me/heads", repo_revision=revision), wanted)
    with pytest.raises(HubError, match="has no such revision"):
        HeadReport.from_hub("me/heads", repo_revision="nonsense")


def test_same_report_opens_one_pull_request(hub: LocalHub) -> None:
    push(made_report("org/one"), "me/heads")
    first = push(made_report("org/two"), "me/heads", create_pr=True)
    again = push(made_report("org/two"), "me/heads", create_pr=True)
    assert (again.commit, again.pull_request) == (first.commit, first.pull_request)
    push(made_report("org/two", seed=1), "me/heads", create_pr=True)
    assert len(hub.state.repositories["dataset", "me/heads"].pull_requests) == 2


def test_a_lost_index_is_rebuilt(hub: LocalHub) -> None:
    push(made_report("org/one"), "me/heads")
    HfApi().delete_file("reports/index.json", "me/heads", repo_type="dataset")
    push(made_report("org/two"), "me/heads")
    index = json.loads(hub.state.snapshot("dataset", "me/heads")["reports/index.json"])
    assert [row["model"] for row in index["reports"]] == ["org/one", "org/two"]
    assert set(frames("me/heads", "heads")["model"]) == {"org/one", "org/two"}


def test_private_pull_request_and_organization(hub: LocalHub, lane: str) -> None:
    push(made_report("org/one"), "team/heads", private=True)
    assert hub.state.repositories["dataset", "team/heads"].private
    with pytest.raises(HubError, match="no such repository, or it is private"):
        HeadReport.from_hub("team/heads", token=STRANGER)
    push(made_report("org/one"), "me/open")
    offered = push(made_report("org/two"), "me/open", create_pr=True, token=STRANGER)
    assert offered.pull_request == f"{hub.url}/datasets/me/open/discussions/1"
    assert set(frames("me/open", "heads")["model"]) == {"org/one"}
    HfApi().merge_pull_request("me/open", 1, repo_type="dataset")
    assert_same(HeadReport.from_hub("me/open", "org/two"), made_report("org/two"))


def test_name_without_owner_is_in_the_own_namespace(hub: LocalHub) -> None:
    assert push(made_report(), "heads").repo_id == "me/heads"


def test_pushing_a_folder_does_not_change_it(hub: LocalHub, tmp_path: Path) -> None:
    made_report().save(tmp_path / "out", pictures=False)
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()}
    push(tmp_path / "out", "me/heads")
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()}
    assert before == after
    pushed = hub.state.snapshot("dataset", "me/heads")
    assert {path.relative_to(tmp_path / "out").as_posix() for path in before} == {
        path.removeprefix(f"{FOLDER}/") for path in pushed if path.startswith(FOLDER)
    }


def test_offline_reads_the_cache_only(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    report = made_report()
    push(report, "me/heads")
    HeadReport.from_hub("me/heads")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with hub.counted() as requests:
        assert_same(HeadReport.from_hub("me/heads", "org/model"), report)
    assert requests == []
    with pytest.raises(HubError, match="offline mode is on and it is not in the cache"):
        HeadReport.from_hub("me/other")
    with pytest.raises(HubError, match="offline mode is on"):
        push(report, "me/heads")


def test_the_header_lists_columns_in_their_order(hub: LocalHub) -> None:
    push(made_report("org/one"), "me/heads")
    push(made_report("org/two"), "me/heads")
    text = hub.state.snapshot("dataset", "me/heads")["README.md"].decode()
    header = yaml.safe_load(text.split("---")[1])
    features = {column["name"]: column["dtype"] for column in header["dataset_info"][0]["features"]}
    assert list(features) == ["model", "revision", *made_report().heads.columns]
    assert frames("me/heads", "heads").columns.tolist() == list(features)
    assert (features["layer"], features["globalness"], features["category"]) == ("int64", "float64", "string")
