"""Atomic commits on the Hugging Face Hub, sent again until it is known whether they succeeded.

`huggingface_hub.HfApi.create_commit` is atomic for readers, but its last request is never retried, and when the
connection breaks the caller cannot tell whether the commit landed. So: transport errors, 409, 412, 429 and 5xx
mean "unknown". Then the branch is read again; if it holds the files, the work is done; if it has moved, the
commit is built anew on what is there; if it has not, the same commit is sent again.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.utils import validate_repo_id
from huggingface_hub.utils.sha import git_hash, sha_fileobj

from sat_probe.errors import HubError
from sat_probe.hub.failures import ATTEMPTS, HUB_FAILURES, as_hub_error, is_unknown, one_line, retry, set_timeout, wait

Content = bytes | Path | None
"""New content of a path in the repository: bytes, the content of a file, or None to delete it."""


@dataclass(frozen=True, slots=True)
class Change:
    """The content of one commit.

    Attributes:
        own: files that only this commit writes; they show afterwards whether it succeeded.
        shared: files that other commits write too, such as the card of a repository with many reports.
    """

    own: Mapping[str, Content]
    shared: Mapping[str, Content]


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository on the Hub.

    Attributes:
        api: client with the token to use.
        repo_id: "owner/name".
        kind: "model", "dataset" or "space".
    """

    api: HfApi
    repo_id: str
    kind: str

    def head(self, revision: str | None = None) -> str:
        """The commit that a branch is at; `main` by default."""
        return str(self.api.repo_info(self.repo_id, repo_type=self.kind, revision=revision).sha)


@dataclass(frozen=True, slots=True)
class Published:
    """Result of a publication: repository, commit, its address, and the pull request if it is one."""

    repo_id: str
    commit: str
    url: str
    pull_request: str | None = None


def publish(repository: Repository, build: Callable[[str], Change], message: str, create_pr: bool = False) -> Published:
    """Commit a change to `main`, or open a pull request with it, as a whole or not at all.

    Args:
        repository: an existing repository.
        build: makes the change on top of the given commit; called again if another commit came first.
        message: title of the commit or pull request; an open pull request is recognised by it.
        create_pr: open a pull request instead of committing to `main`.

    Raises:
        HubError: refused, or it is still unknown after `ATTEMPTS` tries whether it succeeded.
    """
    api, repo_id = repository.api, repository.repo_id
    set_timeout()
    sent: Change | None = None
    sent_parent = ""
    failure: BaseException = HubError(repo_id)
    for attempt in range(ATTEMPTS + 1):
        if attempt:
            time.sleep(wait(attempt, failure))
        try:
            parent = repository.head()
            if sent is not None:
                landed = _landed(repository, sent, sent_parent, parent, message, create_pr)
                if landed is not None:
                    return landed
            if attempt == ATTEMPTS:
                break
            if sent is None or parent != sent_parent:
                sent, sent_parent = build(parent), parent
                offered = create_pr and _offered(repository, sent, message)
                if offered:  # an open pull request has the same content
                    return offered
            done = api.create_commit(
                repo_id,
                [
                    CommitOperationDelete(path) if content is None else CommitOperationAdd(path, content)
                    for path, content in {**sent.own, **sent.shared}.items()
                ],
                commit_message=message,
                repo_type=repository.kind,
                parent_commit=parent,
                create_pr=create_pr,
            )
            return Published(repo_id, str(done.oid), str(done.commit_url), done.pr_url)
        except HUB_FAILURES as error:
            if not is_unknown(error):
                raise as_hub_error(error, repo_id) from error
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


def prepare_repository(api: HfApi, repo_id: str, repo_type: str, private: bool | None, create_pr: bool) -> Repository:
    """The repository to push to, created if it does not exist.

    Raises:
        HubError: if it cannot be made, is of another type, or is public although `private` was asked for.
    """
    if "/" not in repo_id:
        repo_id = f"{retry(lambda: api.whoami()['name'], repo_id)}/{repo_id}"
    try:
        validate_repo_id(repo_id)
    except ValueError as error:
        raise as_hub_error(error, repo_id) from error
    try:
        info = retry(lambda: api.repo_info(repo_id, repo_type=repo_type), repo_id)
    except HubError as error:
        if not isinstance(error.__cause__, RepositoryNotFoundError):
            raise
    else:
        if private and not info.private:
            raise HubError(f"{repo_id}: already exists and is public, but a private repository was asked for")
        return Repository(api, repo_id, repo_type)
    for other in {"model", "dataset", "space"} - {repo_type}:
        if _exists(api, repo_id, other):
            raise HubError(f"{repo_id}: is a {other} repository; choose another name for a {repo_type} repository")
    if create_pr:
        raise HubError(
            f"{repo_id}: does not exist, or this token may not see it: there is nothing to open a pull request on"
        )
    retry(lambda: api.create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True), repo_id)
    return Repository(api, repo_id, repo_type)


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
    repository = prepare_repository(signed_in(token), repo_id, repo_type, private, create_pr)
    visible = (path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith("."))
    files: dict[str, Content] = {path.name: path for path in visible}
    return publish(repository, lambda parent: Change(files, {}), message, create_pr)


def remote_hash(content: bytes | Path, large: bool) -> str:
    """The hash that the Hub lists for a file: sha256 of a large file, otherwise git's sha1."""
    with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as stream:
        return sha_fileobj(stream).hex() if large else git_hash(stream.read())


def _landed(
    repository: Repository, sent: Change, sent_parent: str, parent: str, message: str, create_pr: bool
) -> Published | None:
    """The result of an earlier try that succeeded after all; None if it did not."""
    if create_pr:
        return _offered(repository, sent, message)
    if parent == sent_parent or not _holds(repository, parent, sent.own):
        return None
    prefix = "" if repository.kind == "model" else f"{repository.kind}s/"
    url = f"{repository.api.endpoint}/{prefix}{repository.repo_id}/commit/{parent}"
    return Published(repository.repo_id, parent, url)


def _offered(repository: Repository, sent: Change, message: str) -> Published | None:
    """The open pull request with this title and content, if there is one."""
    for offered in repository.api.get_repo_discussions(repository.repo_id, repo_type=repository.kind):
        if not (offered.is_pull_request and offered.title == message and offered.status == "open"):
            continue
        head = repository.head(f"refs/pr/{offered.num}")
        if _holds(repository, head, sent.own):
            return Published(repository.repo_id, head, offered.url, offered.url)
    return None


def _holds(repository: Repository, revision: str, files: Mapping[str, Content]) -> bool:
    """Whether a revision has exactly this content at these paths."""
    rows = repository.api.get_paths_info(repository.repo_id, list(files), repo_type=repository.kind, revision=revision)
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


def _exists(api: HfApi, repo_id: str, repo_type: str) -> bool:
    try:
        return bool(api.repo_exists(repo_id, repo_type=repo_type))
    except HUB_FAILURES:
        return False
