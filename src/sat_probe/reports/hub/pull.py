"""Downloads of reports from a dataset repository, of one commit and with every file checked by its hash."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.file_download import repo_folder_name
from huggingface_hub.hf_api import RepoFile

from sat_probe.errors import HubError
from sat_probe.hub.commit import remote_hash
from sat_probe.hub.failures import retry
from sat_probe.reports.example import FILES as EXAMPLE_FILES
from sat_probe.reports.hub.layout import INDEX, Entry, read_index, report_path


def pull_folder(
    repo_id: str,
    model: str | None = None,
    revision: str | None = None,
    *,
    repo_revision: str = "main",
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
) -> Path:
    """Download the report of one model into the cache; return its folder there. Arguments: see `HeadReport.from_hub`.

    Raises:
        HubError: no such repository, no such report in it, a damaged download, or the Hub is out of reach.
    """
    if constants.is_offline_mode():
        snapshot = _cached_snapshot(repo_id, cache_dir, repo_revision)
        return _choose(repo_id, (path.parent for path in snapshot.glob("reports/*/*/report.json")), model, revision)
    api = HfApi(token=token)
    sha = _resolve(api, repo_id, repo_revision)
    tree = retry(lambda: list(api.list_repo_tree(repo_id, recursive=True, repo_type="dataset", revision=sha)), repo_id)
    files_there = (row for row in tree if isinstance(row, RepoFile))
    rows = {Path(row.path): row for row in files_there if row.path.startswith("reports/")}
    folder = _choose(repo_id, (path.parent for path in rows if path.name == "report.json"), model, revision)
    files = [
        download(api, repo_id, row, sha, cache_dir)
        for path, row in rows.items()
        if path.parent == folder and (path.suffix in {".json", ".parquet"} or path.name in EXAMPLE_FILES)
    ]
    # by name of the branch too, so that the cache knows its commit when the Hub is out of reach
    marker = (folder / "report.json").as_posix()
    retry(
        lambda: api.hf_hub_download(repo_id, marker, repo_type="dataset", revision=repo_revision, cache_dir=cache_dir),
        repo_id,
    )
    return files[0].parent


def list_reports(repo_id: str, *, token: str | bool | None = None) -> list[Entry]:
    """The reports of a dataset repository, from its index.

    Raises:
        HubError: no such repository, no report in it, or the Hub is out of reach.
    """
    if constants.is_offline_mode():
        index = _cached_snapshot(repo_id, None, "main") / INDEX
        entries = read_index(index.read_bytes() if index.is_file() else None)
    else:
        api = HfApi(token=token)
        entries = read_index(read_file(api, repo_id, INDEX, _resolve(api, repo_id, "main")))
    if not entries:
        raise HubError(f"{repo_id}: has no head report")
    return entries


def download(api: HfApi, repo_id: str, row: RepoFile, revision: str, cache_dir: str | Path | None = None) -> Path:
    """Download one file of a commit into the cache; also refuse wrong bytes of the right size, unlike the client.

    Raises:
        HubError: if it arrives damaged twice.
    """
    expected = row.lfs.sha256 if row.lfs else row.blob_id
    for force in (False, True):
        options: dict[str, Any] = {"revision": revision, "cache_dir": cache_dir, "force_download": force}
        fetch = partial(api.hf_hub_download, repo_id, row.path, repo_type="dataset", **options)
        local = retry(fetch, repo_id)
        if remote_hash(Path(local), large=bool(row.lfs)) == expected:
            return Path(local)
    raise HubError(
        f"{repo_id}: {row.path} arrived damaged twice (its hash is not the one the Hub lists): try again, or look at "
        "the network between here and the Hub"
    )


def read_file(api: HfApi, repo_id: str, path: str, revision: str) -> bytes:
    """The content of one file of a commit, checked by its hash."""
    rows = retry(lambda: api.get_paths_info(repo_id, path, repo_type="dataset", revision=revision), repo_id)
    if not rows or not isinstance(rows[0], RepoFile):
        raise HubError(f"{repo_id}: has no file {path}")
    return download(api, repo_id, rows[0], revision).read_bytes()


def _resolve(api: HfApi, repo_id: str, revision: str) -> str:
    """The commit of a branch, asked from the Hub: a download alone might answer from the cache."""
    try:
        asked = retry(lambda: api.repo_info(repo_id, repo_type="dataset", revision=revision), repo_id)
        return str(asked.sha)
    except HubError as error:
        if isinstance(error.__cause__, RepositoryNotFoundError):
            for other in ("model", "space"):
                if retry(lambda other=other: api.repo_exists(repo_id, repo_type=other), repo_id):  # type: ignore[misc]
                    raise HubError(
                        f"{repo_id}: is a {other} repository; head reports are in dataset repositories"
                    ) from error
        raise


def _choose(repo_id: str, folders: Iterable[Path], model: str | None, revision: str | None) -> Path:
    """The folder of the wanted report; if not exactly one fits, an error that lists the reports."""
    found = sorted(folders)
    if not found:
        raise HubError(f"{repo_id}: has no head report")
    fitting = found
    if model is not None:
        name = Path(report_path(model, None)).parent.name
        fitting = [folder for folder in fitting if folder.parent.name == name]
    if revision is not None:
        fitting = [folder for folder in fitting if folder.name.startswith(revision)]
    if len(fitting) == 1:
        return fitting[0]
    wanted = " at ".join(part for part in (model, revision) if part) or "the report"
    there = ", ".join(
        f"{folder.parent.name.replace('__', '/', 1)} at {folder.name}" for folder in (fitting or found)[:10]
    )
    if fitting:
        raise HubError(f"{repo_id}: {wanted} is not unique, say which model and revision: {there}")
    raise HubError(f"{repo_id}: has no report of {wanted}; it has {there}")


def _cached_snapshot(repo_id: str, cache_dir: str | Path | None, revision: str) -> Path:
    cache = Path(cache_dir or constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repo_id, repo_type="dataset")
    branch, snapshots = cache / "refs" / revision, cache / "snapshots"
    snapshot = snapshots / (branch.read_text().strip() if branch.is_file() else revision)
    if not snapshot.is_dir():
        raise HubError(f"{repo_id}: offline mode is on and it is not in the cache; unset HF_HUB_OFFLINE")
    return snapshot
