"""One atomic commit on the Hugging Face Hub, sent again until its fate is known.

`huggingface_hub.HfApi.create_commit` is atomic for readers, but its last request is never retried, and when the
connection breaks the caller cannot tell whether the commit landed. So: transport errors, 409, 412, 429 and 5xx
mean "unknown". Then the branch is read again; if it holds the files, the work is done; if it has moved, the
commit is built anew on what is there; if it has not, the same commit is sent again.
"""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id

from sat_probe.errors import HubError
from sat_probe.hub.failures import (
    ATTEMPTS,
    HUB_FAILURES,
    explained,
    is_unknown,
    limit_waiting,
    one_line,
    patiently,
    wait,
)

Content = bytes | Path | None
"""What a path in the repository shall hold: bytes, the content of a file, or nothing (delete it)."""


@dataclass(frozen=True, slots=True)
class Change:
    """The content of one commit.

    Attributes:
        own: files that this commit alone decides; they tell afterwards whether it landed.
        shared: files that other commits write too, such as the card of a repository with many reports.
    """

    own: Mapping[str, Content]
    shared: Mapping[str, Content]


@dataclass(frozen=True, slots=True)
class Published:
    """Where something was published: repository, commit, its address, and the pull request if it is one."""

    repo_id: str
    commit: str
    url: str
    pull_request: str | None = None


def publish(
    api: HfApi,
    repo_id: str,
    repo_type: str,
    build: Callable[[str], Change],
    message: str,
    create_pr: bool = False,
) -> Published:
    """Commit a change to `main`, or offer it as a pull request; it is there as a whole or not at all.

    Args:
        build: makes the change on top of the commit it is given; called again when someone else was faster.
        message: title of the commit; of a pull request too, which is recognised by it.

    Raises:
        HubError: refused, or its fate is still unknown after `ATTEMPTS` tries.
    """
    limit_waiting()
    sent: Change | None = None
    sent_parent = ""
    failure: BaseException = HubError(repo_id)
    for attempt in range(ATTEMPTS + 1):
        if attempt:
            time.sleep(wait(attempt, failure))
        try:
            parent = str(api.repo_info(repo_id, repo_type=repo_type).sha)
            if sent is not None:
                landed = _landed(api, repo_id, repo_type, sent, sent_parent, parent, message, create_pr)
                if landed is not None:
                    return landed
            if attempt == ATTEMPTS:
                break
            if sent is None or parent != sent_parent:
                sent, sent_parent = build(parent), parent
                offered = create_pr and _offered(api, repo_id, repo_type, sent, message)
                if offered:  # the same, offered before: a second pull request says nothing new
                    return offered
            done = api.create_commit(
                repo_id,
                _operations({**sent.own, **sent.shared}),
                commit_message=message,
                repo_type=repo_type,
                parent_commit=parent,
                create_pr=create_pr,
            )
            return Published(repo_id, str(done.oid), str(done.commit_url), done.pr_url)
        except HUB_FAILURES as error:
            if not is_unknown(error):
                raise explained(error, repo_id) from error
            failure = error
    else:
        raise HubError(
            f"{repo_id}: the Hub did not answer in {ATTEMPTS} tries ({one_line(failure)}); the commit is there as a "
            "whole or not at all, push again to be sure"
        ) from failure
    raise HubError(
        f"{repo_id}: the Hub did not accept the commit in {ATTEMPTS} tries ({one_line(failure)}); "
        "nothing of it is there, push again later"
    ) from failure


def signed_in(token: str | bool | None) -> HfApi:
    """A client with a token to write with.

    Raises:
        HubError: if there is none.
    """
    if not isinstance(token, str) and (token is False or get_token() is None):
        raise HubError("no Hugging Face token: run `hf auth login`, or set HF_TOKEN, then push again")
    return HfApi(token=token)


def prepare_repository(
    api: HfApi, repo_id: str, repo_type: str, private: bool | None, create_pr: bool
) -> str:
    """Make sure that a repository exists to push to, and give its full name.

    Raises:
        HubError: if it cannot be made, is of another type, or is public although `private` was asked for.
    """
    if "/" not in repo_id:
        repo_id = f"{patiently(lambda: api.whoami()['name'], repo_id)}/{repo_id}"
    try:
        validate_repo_id(repo_id)
    except ValueError as error:
        raise explained(error, repo_id) from error
    try:
        info = patiently(lambda: api.repo_info(repo_id, repo_type=repo_type), repo_id)
    except HubError as error:
        if not isinstance(error.__cause__, RepositoryNotFoundError):
            raise
    else:
        if private and not info.private:
            raise HubError(f"{repo_id}: already exists and is public, but a private repository was asked for")
        return repo_id
    for other in {"model", "dataset", "space"} - {repo_type}:
        if _exists(api, repo_id, other):
            raise HubError(
                f"{repo_id}: is a {other} repository; choose another name for a {repo_type} repository"
            )
    if create_pr:
        raise HubError(
            f"{repo_id}: does not exist, or this token may not see it: there is nothing to open a pull request on"
        )
    patiently(lambda: api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True), repo_id)
    return repo_id


def publish_folder(
    folder: Path,
    repo_id: str,
    repo_type: str,
    message: str,
    private: bool | None = None,
    create_pr: bool = False,
    token: str | bool | None = None,
) -> Published:
    """Publish the files of a folder, without its sub-folders and hidden files, in one commit.

    Raises:
        HubError: see `publish` and `prepare_repository`.
    """
    api = signed_in(token)
    repo_id = prepare_repository(api, repo_id, repo_type, private, create_pr)
    visible = (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
    files: dict[str, Content] = {path.name: path for path in visible}
    return publish(api, repo_id, repo_type, lambda parent: Change(files, {}), message, create_pr)


def remote_hash(content: bytes | Path, large: bool) -> str:
    """The hash by which the Hub knows a file: sha256 if it is stored as a large file, else git's sha1."""
    size = content.stat().st_size if isinstance(content, Path) else len(content)
    digest = hashlib.sha256() if large else hashlib.sha1(b"blob %d\0" % size)
    with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _landed(
    api: HfApi,
    repo_id: str,
    repo_type: str,
    sent: Change,
    sent_parent: str,
    parent: str,
    message: str,
    create_pr: bool,
) -> Published | None:
    """What an earlier try published after all, if it did."""
    if not create_pr:
        if parent == sent_parent or not _holds(api, repo_id, repo_type, parent, sent.own):
            return None
        prefix = "" if repo_type == "model" else f"{repo_type}s/"
        return Published(repo_id, parent, f"{api.endpoint}/{prefix}{repo_id}/commit/{parent}")
    return _offered(api, repo_id, repo_type, sent, message)


def _offered(api: HfApi, repo_id: str, repo_type: str, sent: Change, message: str) -> Published | None:
    """The open pull request that offers this already, if there is one."""
    for offered in api.get_repo_discussions(repo_id, repo_type=repo_type):
        if not (offered.is_pull_request and offered.title == message and offered.status == "open"):
            continue
        head = str(api.repo_info(repo_id, repo_type=repo_type, revision=f"refs/pr/{offered.num}").sha)
        if _holds(api, repo_id, repo_type, head, sent.own):
            return Published(repo_id, head, offered.url, offered.url)
    return None


def _holds(api: HfApi, repo_id: str, repo_type: str, revision: str, files: Mapping[str, Content]) -> bool:
    """Whether a revision has exactly this content at these paths."""
    rows = api.get_paths_info(repo_id, list(files), repo_type=repo_type, revision=revision)
    there = {row.path: row for row in rows}
    for path, content in files.items():
        row = there.get(path)
        if (row is None) != (content is None):
            return False
        if row is not None and content is not None:
            large = getattr(row, "lfs", None)
            known = large.sha256 if large else getattr(row, "blob_id", None)
            if known != remote_hash(content, large=bool(large)):
                return False
    return True


def _operations(files: Mapping[str, Content]) -> list[CommitOperationAdd | CommitOperationDelete]:
    return [
        CommitOperationDelete(path) if content is None else CommitOperationAdd(path, content)
        for path, content in files.items()
    ]


def _exists(api: HfApi, repo_id: str, repo_type: str) -> bool:
    try:
        return bool(api.repo_exists(repo_id, repo_type=repo_type))
    except HUB_FAILURES:
        return False
