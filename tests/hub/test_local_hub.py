"""The local Hub answers the real clients as the Hub does."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, HfApi
from huggingface_hub import constants as hub_constants
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from tests.local_hub import READER, STRANGER, Fault, LocalHub

LARGE = os.urandom(100_000)


def add(path: str, content: bytes) -> CommitOperationAdd:
    return CommitOperationAdd(path, content)


@pytest.fixture
def api(hub: LocalHub) -> HfApi:
    api = HfApi()
    api.create_repo("me/data", repo_type="dataset")
    return api


def commit(api: HfApi, *operations: object, **options: object) -> str:
    done = api.create_commit("me/data", operations, commit_message="m", repo_type="dataset", **options)  # type: ignore[arg-type]
    return str(done.oid)


def test_whoami_and_repository_types(api: HfApi, hub: LocalHub) -> None:
    assert api.whoami()["name"] == "me"
    assert api.create_repo("me/data", repo_type="dataset", exist_ok=True).repo_id == "me/data"
    with pytest.raises(HfHubHTTPError, match="409"):
        api.create_repo("me/data", repo_type="dataset")
    with pytest.raises(RepositoryNotFoundError):
        api.repo_info("me/absent", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        HfApi(token="hf_unknown").whoami()
    api.delete_repo("me/data", repo_type="dataset")
    assert not hub.state.repositories


def test_both_upload_paths_return_the_same_bytes(api: HfApi, hub: LocalHub, lane: str, tmp_path: Path) -> None:
    sha = commit(api, add("a.txt", b"small"), add("data/x.parquet", LARGE))
    assert api.repo_info("me/data", repo_type="dataset").sha == sha
    for path, content in (("a.txt", b"small"), ("data/x.parquet", LARGE)):
        found = api.hf_hub_download("me/data", path, repo_type="dataset", revision=sha)
        assert Path(found).read_bytes() == content
    assert hub.state.snapshot("dataset", "me/data")["data/x.parquet"] == LARGE
    blob = hub.state.repositories["dataset", "me/data"].resolve("main").tree["data/x.parquet"]
    assert (blob.xet_hash is not None) == (lane == "xet")
    rows = {row.path: row for row in api.list_repo_tree("me/data", recursive=True, repo_type="dataset")}
    assert rows["data/x.parquet"].lfs.sha256 == blob.sha256  # type: ignore[union-attr]
    assert set(rows) == {".gitattributes", "a.txt", "data", "data/x.parquet"}


def test_lfs_multipart(api: HfApi, hub: LocalHub) -> None:
    hub.state.multipart_above = 40_000
    commit(api, add("x.bin", LARGE))
    assert hub.state.snapshot("dataset", "me/data")["x.bin"] == LARGE
    assert sum(seen.route == "lfs_part" for seen in hub.seen) == 3


def test_copy_and_delete(api: HfApi, hub: LocalHub) -> None:
    commit(api, add("x.bin", LARGE), add("old/a.txt", b"1"), add("old/b.txt", b"2"), add("c.txt", b"3"))
    commit(
        api,
        CommitOperationCopy("x.bin", "y.bin"),
        CommitOperationDelete("old/", is_folder=True),
        CommitOperationDelete("c.txt"),
    )
    files = hub.state.snapshot("dataset", "me/data")
    assert set(files) == {".gitattributes", "x.bin", "y.bin"}
    assert files["y.bin"] == LARGE


def test_unchanged_files_make_no_commit(api: HfApi, hub: LocalHub) -> None:
    first = commit(api, add("a.txt", b"1"), add("x.bin", LARGE))
    assert commit(api, add("a.txt", b"1"), add("x.bin", LARGE)) == first
    assert len(hub.state.history("dataset", "me/data")) == 2


def test_stale_parent_is_412(api: HfApi) -> None:
    first = commit(api, add("a.txt", b"1"))
    commit(api, add("b.txt", b"1"), parent_commit=first)
    with pytest.raises(HfHubHTTPError, match="A commit has happened since") as caught:
        commit(api, add("c.txt", b"1"), parent_commit=first)
    assert caught.value.response.status_code == 412


def test_one_of_eight_concurrent_commits_wins(api: HfApi, hub: LocalHub) -> None:
    parent = api.repo_info("me/data", repo_type="dataset").sha
    outcomes: list[int] = []

    def push(number: int) -> None:
        try:
            commit(api, add(f"{number}.txt", b"x"), parent_commit=parent)
            outcomes.append(200)
        except HfHubHTTPError as error:
            outcomes.append(error.response.status_code)

    threads = [threading.Thread(target=push, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [200] + [412] * 7
    assert len(hub.state.history("dataset", "me/data")) == 2


def test_branches_tags_and_commits(api: HfApi) -> None:
    sha = commit(api, add("a.txt", b"1"))
    api.create_branch("me/data", branch="draft", repo_type="dataset")
    api.create_tag("me/data", tag="v1", repo_type="dataset")
    moved = commit(api, add("b.txt", b"2"), revision="draft")
    refs = api.list_repo_refs("me/data", repo_type="dataset")
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": sha, "draft": moved}
    assert [(ref.name, ref.target_commit) for ref in refs.tags] == [("v1", sha)]
    assert [entry.title for entry in api.list_repo_commits("me/data", repo_type="dataset")] == ["m", "initial commit"]
    with pytest.raises(RevisionNotFoundError):
        api.repo_info("me/data", revision="absent", repo_type="dataset")


def test_pull_request_leaves_main_until_merged(api: HfApi, hub: LocalHub, lane: str) -> None:
    stranger = HfApi(token=STRANGER)
    done = stranger.create_commit(
        "me/data", [add("x.bin", LARGE)], commit_message="offer", repo_type="dataset", create_pr=True
    )
    assert done.pr_num == 1
    assert done.pr_revision == "refs/pr/1"
    assert "x.bin" not in hub.state.snapshot("dataset", "me/data")
    assert hub.state.snapshot("dataset", "me/data", "refs/pr/1")["x.bin"] == LARGE
    offered = next(api.get_repo_discussions("me/data", repo_type="dataset"))
    assert (offered.title, offered.author, offered.is_pull_request) == ("offer", "stranger", True)
    api.merge_pull_request("me/data", 1, repo_type="dataset")
    assert hub.state.snapshot("dataset", "me/data")["x.bin"] == LARGE


@pytest.mark.parametrize("token", [STRANGER, READER])
def test_no_permission(api: HfApi, hub: LocalHub, token: str) -> None:
    with pytest.raises(HfHubHTTPError, match="403"):
        commit(HfApi(token=token), add("a.txt", b"1"))
    with pytest.raises(HfHubHTTPError, match="403"):
        HfApi(token=token).create_repo("team/x")
    assert len(hub.state.history("dataset", "me/data")) == 1


def test_private_and_gated(api: HfApi, hub: LocalHub) -> None:
    api.create_repo("me/secret", private=True)
    assert api.repo_info("me/secret").private
    for token in (STRANGER, False):
        with pytest.raises(RepositoryNotFoundError):
            HfApi(token=token).repo_info("me/secret")
    hub.state.create("model", "team/gated", {"config.json": b"{}"}, gated=True)
    with pytest.raises(GatedRepoError):
        HfApi(token=STRANGER).hf_hub_download("team/gated", "config.json")
    assert Path(api.hf_hub_download("team/gated", "config.json")).read_bytes() == b"{}"


def test_card_is_checked_before_anything_is_sent(api: HfApi, hub: LocalHub) -> None:
    card = b"---\nconfigs:\n- config_name: a\n  data_files: a/*.parquet\n- config_name: a\n  data_files: b\n---\n"
    with pytest.raises(ValueError, match="names 'a' twice"):
        commit(api, add("README.md", card))
    assert len(hub.state.history("dataset", "me/data")) == 1


def test_missing_entry_and_range(api: HfApi, hub: LocalHub) -> None:
    sha = commit(api, add("x.bin", LARGE))
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download("me/data", "absent.bin", repo_type="dataset")
    address = f"{hub.url}/datasets/me/data/resolve/{sha}/x.bin"
    answer = httpx2.get(address, headers={"Range": "bytes=10-19"}, follow_redirects=True)
    assert (answer.status_code, answer.content) == (206, LARGE[10:20])
    assert answer.headers["Content-Range"] == "bytes 10-19/100000"


def test_pages_of_a_tree(api: HfApi) -> None:
    commit(api, *(add(f"{i:03d}.txt", b"x") for i in range(30)))
    assert len(list(api.list_repo_tree("me/data", repo_type="dataset"))) == 31


@pytest.mark.parametrize("status", [503, 429, 409, 412, 403, 413, 500])
def test_refused_commit_publishes_nothing(api: HfApi, hub: LocalHub, status: int) -> None:
    with hub.faults.during(Fault("commit", status=status)), pytest.raises(HfHubHTTPError) as caught:
        commit(api, add("a.txt", b"1"))
    assert caught.value.response.status_code == status
    assert len(hub.state.history("dataset", "me/data")) == 1


@pytest.mark.parametrize("kind", ["drop_request", "drop_response"])
def test_dropped_commit_is_a_raw_transport_error(api: HfApi, hub: LocalHub, kind: str) -> None:
    with hub.faults.during(Fault("commit", kind, after=100)), pytest.raises(httpx2.TransportError):  # type: ignore[arg-type]
        commit(api, add("a.txt", b"1" * 1000))
    published = "a.txt" in hub.state.snapshot("dataset", "me/data")
    assert published == (kind == "drop_response")  # the client cannot tell


def test_uploads_are_retried_by_the_client(api: HfApi, hub: LocalHub, sleeps: list[float]) -> None:
    faults = (
        Fault("preupload", status=503, times=2),
        Fault("lfs_batch", status=429, headers={"Retry-After": "7"}),
        Fault("lfs_upload", "drop_request", after=5_000),
        Fault("lfs_verify", status=500),
    )
    with hub.faults.during(*faults):
        commit(api, add("x.bin", LARGE))
    assert all(fault.hits == (2 if fault.route == "preupload" else 1) for fault in faults)
    assert 8 in sleeps
    assert hub.state.snapshot("dataset", "me/data")["x.bin"] == LARGE


def test_upload_that_is_always_refused(api: HfApi, hub: LocalHub) -> None:
    refused = pytest.raises(RuntimeError, match=r"Error while uploading 'x\.bin'")
    with hub.faults.during(Fault("lfs_upload", status=503, times=None)), refused:
        commit(api, add("x.bin", LARGE))
    assert len(hub.state.history("dataset", "me/data")) == 1


def test_xet_token_refused(api: HfApi, hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_constants, "HF_HUB_DISABLE_XET", False)
    with hub.faults.during(Fault("xet_token", status=403, times=None)), pytest.raises(ConnectionError):
        commit(api, add("x.bin", os.urandom(50_000)))
    assert len(hub.state.history("dataset", "me/data")) == 1


def test_corrupted_download_has_the_right_size(api: HfApi, hub: LocalHub) -> None:
    sha = commit(api, add("x.bin", LARGE))
    with hub.faults.during(Fault("cdn", "corrupt")):
        path = api.hf_hub_download("me/data", "x.bin", repo_type="dataset", revision=sha)
    content = Path(path).read_bytes()
    assert len(content) == len(LARGE)
    assert content != LARGE


def test_cut_download(api: HfApi, hub: LocalHub) -> None:
    sha = commit(api, add("x.bin", LARGE))
    with hub.faults.during(Fault("cdn", "cut_body", reset=False)):
        path = api.hf_hub_download("me/data", "x.bin", repo_type="dataset", revision=sha)
    assert Path(path).read_bytes() == LARGE


def test_an_unknown_object_is_refused(api: HfApi, hub: LocalHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub._commit_api._upload_lfs_files", lambda **_: None)
    with pytest.raises(BadRequestError, match="does not exist"):
        commit(api, CommitOperationAdd("x.bin", io.BytesIO(os.urandom(5_000))))
