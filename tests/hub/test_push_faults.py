"""Faults of the Hub: a report is published as a whole or not at all, a retry succeeds, and no report is lost."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import datasets
import huggingface_hub
import pytest

from sat_probe.errors import HubError
from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.hub.layout import read_index
from tests.hub.made_reports import assert_same, made_report, push
from tests.local_hub import Fault, LocalHub

ROUTES = {
    "lfs": (
        "commit",
        "preupload",
        "lfs_batch",
        "lfs_upload",
        "lfs_verify",
        "repo_info",
        "validate_yaml",
        "tree",
        "resolve",
    ),
    "xet": ("commit", "preupload", "xet_token", "repo_info", "paths_info", "create_repo", "validate_yaml"),
}
PUSHES = {"lfs": 60, "xet": 40}


def random_fault(generator: random.Random, lane: str) -> Fault:
    """One of the ways in which a Hub fails, on any route, once or for ever."""
    kind = generator.choice(["status", "status", "drop_request", "drop_response", "cut_body", "corrupt"])
    route = generator.choice([*ROUTES[lane], "commit"])
    if kind == "corrupt":
        route = "resolve"
    status = generator.choice([408, 409, 412, 429, 500, 502, 503, 504])
    headers = {"Retry-After": "2"} if status == 429 else {}
    return Fault(
        route,
        kind,  # type: ignore[arg-type]
        status=status,
        headers=headers,
        after=generator.choice([0, 10, 1000]),
        reset=generator.random() < 0.5,
        skip=generator.choice([0, 0, 0, 1, 2]),
        times=generator.choice([1, 1, 2, 3, None]),
    )


def reports_in(files: dict[str, bytes]) -> set[str]:
    return {path.rpartition("/")[0] for path in files if path.endswith("/report.json")}


def assert_whole(files: dict[str, bytes], report_files: set[str]) -> None:
    """Every report of a revision has all its files, and index and card tell of exactly these reports."""
    folders = reports_in(files)
    for folder in folders:
        assert {path.removeprefix(f"{folder}/") for path in files if path.startswith(f"{folder}/")} == report_files
    index = read_index(files.get("reports/index.json"))
    assert {entry.path for entry in index} == folders
    card = files.get("README.md", b"").decode()
    assert all(f"]({folder}/README.md)" in card for folder in folders)


@pytest.mark.parametrize("lane", ["lfs", "xet"], indirect=True)
def test_a_hundred_pushes_with_random_faults(hub: LocalHub, lane: str, tmp_path: Path) -> None:
    generator = random.Random(20_06 + len(lane))
    stored, folder = made_report("org/stored", seed=1), tmp_path / "out"
    mine = made_report("org/mine", seed=2)
    mine.save(folder, pictures=False)
    on_disk = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    names = {path.relative_to(folder).as_posix() for path in on_disk}
    lines: list[str] = []
    outcomes = {"published": 0, "refused": 0, "there after all": 0}
    for number in range(PUSHES[lane]):
        repo_id = f"me/{lane}-{number}"
        with_other = number % 2 == 0
        if with_other:
            push(stored, repo_id)
        for _ in range(generator.choice([1, 1, 2])):
            hub.faults.add(random_fault(generator, lane))
        try:
            push(folder, repo_id)
            outcome = "published"
        except HubError as error:
            lines.append(str(error))
            outcome = "refused"
        hub.faults.clear()
        repository = hub.state.repositories.get(("dataset", repo_id))
        files = hub.state.snapshot("dataset", repo_id) if repository else {}
        there = any("org__mine" in name for name in reports_in(files))
        assert_whole(files, names)
        assert there or outcome == "refused"
        outcomes["there after all" if there and outcome == "refused" else outcome] += 1
        push(folder, repo_id)
        files = hub.state.snapshot("dataset", repo_id)
        assert_whole(files, names)
        assert len(reports_in(files)) == 1 + with_other
        assert len(hub.state.history("dataset", repo_id)) == 2 + with_other, "a retry made a second commit"
        if number % 10 == 0:
            assert_same(HeadReport.from_hub(repo_id, "org/mine"), mine)
            if with_other:
                assert_same(HeadReport.from_hub(repo_id, "org/stored"), stored)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == on_disk
    assert not any("\n" in line for line in lines)
    assert outcomes["published"] > 10
    assert outcomes["refused"] > 2


@pytest.mark.parametrize("lane", ["lfs", "xet"], indirect=True)
def test_concurrent_pushes_lose_no_report(hub: LocalHub, lane: str) -> None:
    reports = [made_report(f"org/model-{number}", seed=number) for number in range(6)]
    push(made_report("org/first"), "me/heads")
    failures: list[BaseException] = []

    def push_one(number: int) -> None:
        try:
            push(reports[number], "me/heads")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=push_one, args=(number,)) for number in range(len(reports))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for number, report in enumerate(reports):
        assert_same(HeadReport.from_hub("me/heads", f"org/model-{number}"), report)
    loaded = datasets.load_dataset("me/heads", "heads", split="train")
    assert len(set(loaded["model"])) == 7
    assert len(hub.state.history("dataset", "me/heads")) == 8


def test_a_push_between_reading_and_committing_is_kept(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other push lands exactly while ours is under way: ours is refused (412) and built anew on top of it."""
    push(made_report("org/first"), "me/heads")
    genuine = huggingface_hub.HfApi.create_commit
    pushed = []

    def overtaken(self: huggingface_hub.HfApi, *arguments: object, **options: object) -> object:
        if not pushed:
            pushed.append("other")
            push(made_report("org/other", seed=1), "me/heads")
        return genuine(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", overtaken)
    with hub.counted() as requests:
        push(made_report("org/mine", seed=2), "me/heads")
    assert [seen.status for seen in requests if seen.route == "commit"] == [200, 412, 200]
    assert_same(HeadReport.from_hub("me/heads", "org/other"), made_report("org/other", seed=1))
    assert_same(HeadReport.from_hub("me/heads", "org/mine"), made_report("org/mine", seed=2))


def test_a_lost_answer_is_recognised(hub: LocalHub) -> None:
    with hub.faults.during(Fault("commit", "drop_response")):
        done = push(made_report(), "me/heads")
    history = hub.state.history("dataset", "me/heads")
    assert history[0].sha == done.commit
    assert len(history) == 2


def test_a_lost_answer_opens_no_second_pull_request(hub: LocalHub) -> None:
    push(made_report("org/one"), "me/heads")
    with hub.faults.during(Fault("commit", "drop_response")):
        done = push(made_report("org/two"), "me/heads", create_pr=True)
    assert len(hub.state.repositories["dataset", "me/heads"].pull_requests) == 1
    assert done.pull_request == f"{hub.url}/datasets/me/heads/discussions/1"


@pytest.mark.parametrize("route", ["repo_info", "create_repo", "tree", "validate_yaml", "preupload", "commit"])
def test_unreadable_answers_are_retried(hub: LocalHub, route: str) -> None:
    with hub.faults.during(Fault(route, "corrupt")):
        push(made_report(), "me/heads")
    assert len(hub.state.history("dataset", "me/heads")) == 2
    assert_same(HeadReport.from_hub("me/heads"), made_report())


def test_answers_of_a_proxy_are_explained(hub: LocalHub, sleeps: list[float]) -> None:
    push(made_report(), "me/heads")
    with (
        hub.faults.during(Fault("repo_info", "corrupt", times=None)),
        pytest.raises(HubError, match=r"^me/heads: the Hub's answer cannot be read \(is it a proxy"),
    ):
        HeadReport.from_hub("me/heads")


def test_read_errors_do_not_mention_writing(hub: LocalHub) -> None:
    push(made_report(), "me/heads")
    for route in ("repo_info", "resolve"):
        with (
            hub.faults.during(Fault(route, status=403, message="Not yours", times=None)),
            pytest.raises(HubError, match=r"^me/heads: no permission \(403"),
        ):
            HeadReport.from_hub("me/heads")


def test_waits_grow_and_obey_the_hub(hub: LocalHub, sleeps: list[float]) -> None:
    push(made_report(), "me/heads")
    sleeps.clear()
    with hub.faults.during(
        Fault("commit", status=503, times=3), Fault("commit", status=429, headers={"Retry-After": "31"})
    ):
        push(made_report(seed=1), "me/heads")
    assert sleeps[0] < sleeps[1] < sleeps[2]
    assert sleeps[3] == 31


def test_gives_up_if_the_hub_never_answers(hub: LocalHub, sleeps: list[float]) -> None:
    push(made_report("org/one"), "me/heads")
    before = hub.state.snapshot("dataset", "me/heads")
    with (
        hub.faults.during(Fault("commit", status=503, times=None)),
        pytest.raises(HubError, match="nothing of it is there"),
    ):
        push(made_report("org/two"), "me/heads")
    assert hub.state.snapshot("dataset", "me/heads") == before
    assert 60 < sum(sleeps) < 300


def test_requests_time_out(hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sat_probe.hub.failures.READ_TIMEOUT", 0.2)
    client = huggingface_hub.get_session()
    monkeypatch.setattr(client, "timeout", None)
    with hub.faults.during(Fault("commit", "delay", seconds=0.6)):
        push(made_report(), "me/heads")
    assert len(hub.state.history("dataset", "me/heads")) == 2


def test_wrong_bytes_are_noticed(hub: LocalHub) -> None:
    report = made_report()
    push(report, "me/heads")
    with hub.faults.during(Fault("cdn", "corrupt")) as (fault,):
        assert_same(HeadReport.from_hub("me/heads"), report)
    assert fault.hits == 1


def test_repeatedly_wrong_bytes_are_refused(hub: LocalHub) -> None:
    push(made_report(), "me/heads")
    with (
        hub.faults.during(Fault("resolve", "corrupt", times=None)),
        pytest.raises(HubError, match=r"report\.json arrived damaged twice"),
    ):
        HeadReport.from_hub("me/heads")


def test_outage_does_not_return_an_old_report(hub: LocalHub) -> None:
    push(made_report(), "me/heads")
    HeadReport.from_hub("me/heads")
    push(made_report(seed=9), "me/heads")
    outage = Fault("repo_info", status=503, times=None)
    with hub.faults.during(outage), pytest.raises(HubError, match="503"):
        HeadReport.from_hub("me/heads")
    assert_same(HeadReport.from_hub("me/heads"), made_report(seed=9))
