"""Errors of users when publishing: one clear line, nothing published, no token shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sat_probe.cli import run
from sat_probe.errors import HubError, SatProbeError
from sat_probe.reports.head_report import HeadReport
from tests.hub.made_reports import assert_same, made_report, push
from tests.local_hub import READER, STRANGER, TOKEN, LocalHub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made_report().save(tmp_path / "out", pictures=False)


def one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], status: int = 1) -> str:
    """The only line on standard error of a command that fails."""
    assert run(arguments) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "hf_local" not in shown.err
    lines = shown.err.strip().splitlines()
    assert len(lines) == 1, shown.err
    return lines[0]


def test_no_token(
    hub: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert one_line(capsys, ["push", str(folder), "me/heads"]).startswith(
        "Error: no Hugging Face token: run `hf auth login`"
    )
    assert hub.seen == []


def test_wrong_token(
    hub: LocalHub, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_local_unknown")
    assert "the Hub does not know this token" in one_line(capsys, ["push", str(folder), "me/heads"])


@pytest.mark.parametrize("name", ["me//x", "me/x/y", "me/..", "me/a b", "-/x", "me/x.git"])
def test_wrong_name(hub: LocalHub, folder: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not the name of a repository: use OWNER/NAME" in one_line(capsys, ["push", str(folder), "--", name])
    assert not hub.state.repositories


@pytest.mark.parametrize("kind", ["model", "space"])
def test_repository_of_another_type(hub: LocalHub, folder: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    hub.state.create(kind, "me/heads")
    line = one_line(capsys, ["push", str(folder), "me/heads"])
    assert line == f"Error: me/heads: is a {kind} repository; choose another name for a dataset repository"
    with pytest.raises(HubError, match=f"is a {kind} repository; head reports are in dataset repositories"):
        HeadReport.from_hub("me/heads")
    assert set(hub.state.repositories) == {(kind, "me/heads")}


@pytest.mark.parametrize("token", [STRANGER, READER])
@pytest.mark.parametrize("exists", [True, False])
def test_no_permission(
    hub: LocalHub,
    folder: Path,
    token: str,
    exists: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if exists:
        hub.state.create("dataset", "team/heads", {"a.txt": b"1"})
    monkeypatch.setenv("HF_TOKEN", token)
    line = one_line(capsys, ["push", str(folder), "team/heads"])
    assert line.startswith("Error: team/heads: no permission (403")
    assert "open a pull request" in line
    if exists:
        assert set(hub.state.snapshot("dataset", "team/heads")) == {"a.txt"}


def test_private_push_to_a_public_repository(hub: LocalHub, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub.state.create("dataset", "me/heads")
    assert "already exists and is public" in one_line(capsys, ["push", str(folder), "me/heads", "--private"])


def test_pull_request_to_a_missing_repository(hub: LocalHub, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing to open a pull request on" in one_line(capsys, ["push", str(folder), "me/absent", "--pr"])


def test_newer_report(hub: LocalHub, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    push(folder, "me/heads")
    description = json.loads((folder / "report.json").read_text())
    description["version"] += 1
    (folder / "report.json").write_text(json.dumps(description))
    assert "was written by a newer sat-probe" in one_line(capsys, ["push", str(folder), "me/other"])
    published = hub.state.repositories["dataset", "me/heads"]
    path = next(path for path in published.resolve("main").tree if path.endswith("report.json"))
    files = hub.state.snapshot("dataset", "me/heads") | {path: json.dumps(description).encode()}
    hub.state.create("dataset", "me/newer", files)
    with pytest.raises(SatProbeError, match="was written by a newer sat-probe"):
        HeadReport.from_hub("me/newer")


def test_corrupted_parquet(hub: LocalHub, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    push(folder, "me/heads")
    files = hub.state.snapshot("dataset", "me/heads")
    path = next(path for path in files if path.endswith("/heads.parquet"))
    hub.state.create("dataset", "me/damaged", files | {path: files[path][:-100]})
    with pytest.raises(SatProbeError, match=r"^me/damaged: .*heads\.parquet: is no readable parquet file"):
        HeadReport.from_hub("me/damaged")
    heads = folder / "heads.parquet"
    heads.write_bytes(heads.read_bytes()[:200])
    line = one_line(capsys, ["push", str(folder), "me/other"])
    assert "heads.parquet: is no readable parquet file" in line
    assert ("dataset", "me/other") not in hub.state.repositories


def test_not_a_report(hub: LocalHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "it is no head report" in one_line(capsys, ["push", str(tmp_path), "me/heads"])
    assert "no such folder" in one_line(capsys, ["push", str(tmp_path / "absent"), "me/heads"])
    (tmp_path / "config.json").write_text('{"model_type": "hubert"}')
    assert "not a saved model" in one_line(capsys, ["push", str(tmp_path), "me/heads"])


def test_no_report_on_the_hub(hub: LocalHub, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no such repository" in one_line(capsys, ["compare", "me/absent", "me/absent"])
    hub.state.create("dataset", "me/empty", {"a.txt": b"1"})
    assert "has no head report" in one_line(capsys, ["compare", "me/empty", "me/empty"])


def test_push_and_compare_from_the_command_line(
    hub: LocalHub, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["push", str(folder), "me/heads", "--json"]) == 0
    published = json.loads(capsys.readouterr().out)
    assert published["repository"] == "me/heads"
    assert TOKEN not in json.dumps(published)
    push(made_report("org/other", seed=4), "me/heads")
    assert_same(HeadReport.open("me/heads:org/other@aaaa"), made_report("org/other", seed=4))
    assert run(["compare", str(folder), "me/heads:org/other"]) == 0
    assert "0 of 6 heads changed their category." in capsys.readouterr().out
    assert run(["compare", str(folder), "me/heads:org/other", "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert compared["models"] == ["org/model", "org/other"]
    assert compared["missing"] == 0
    difference = made_report(seed=4).heads["globalness"] - made_report().heads["globalness"]
    assert [row["globalness_difference"] for row in compared["heads"]] == difference.tolist()


def test_results_are_offered_not_pushed(hub: LocalHub, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub.state.create("model", "org/model", {"config.json": b"{}"})
    assert run(["push", str(folder), "me/heads", "--offer-results"]) == 0
    assert f"Results offered: {hub.url}/org/model/discussions/1" in capsys.readouterr().out
    assert set(hub.state.snapshot("model", "org/model")) == {"config.json"}
    offered = hub.state.snapshot("model", "org/model", "refs/pr/1")[".eval_results/sat-probe.yaml"].decode()
    assert "id: me/heads" in offered
    assert offered.count("value: 2") == 3


def test_results_are_offered_to_a_model_on_the_hub_only(
    hub: LocalHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_report("bundled", None).save(tmp_path / "out", pictures=False)
    line = one_line(capsys, ["push", str(tmp_path / "out"), "me/heads", "--offer-results"])
    assert line.startswith("Error: the report is about bundled, which is not a repository on the Hub")
    assert not hub.state.repositories


def test_refused_offer_still_reports_the_publication(
    hub: LocalHub, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["push", str(folder), "me/heads", "--offer-results"]) == 1
    printed = capsys.readouterr()
    assert printed.out.startswith(f"Published: {hub.url}/datasets/me/heads/commit/")
    assert printed.err.startswith("Error: org/model: no such repository")


def test_options_of_reports_are_not_for_models(
    hub: LocalHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text("{}")
    for option in ("--offer-results", "--replace", "--no-example"):
        line = one_line(capsys, ["push", str(tmp_path), "me/x", option])
        assert f"holds a model; {option.replace('no-', '')} is for reports" in line
