"""Repositories with commits, branches, tags, pull requests, and the content of files."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from .exchange import Refusal

KINDS = {"models": "model", "datasets": "dataset", "spaces": "space"}
WEB_PREFIX = {"model": "", "dataset": "datasets/", "space": "spaces/"}


@dataclass(frozen=True, slots=True)
class Blob:
    """One version of one file. LFS and xet files know their sha256; their bytes are fetched on demand."""

    size: int
    git_sha1: str
    sha256: str | None = None
    xet_hash: str | None = None
    content: bytes | None = None

    @classmethod
    def regular(cls, content: bytes) -> Blob:
        return cls(len(content), git_blob_sha1(content), content=content)

    @classmethod
    def pointer(cls, sha256: str, size: int, xet_hash: str | None) -> Blob:
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
        return cls(size, git_blob_sha1(text.encode()), sha256=sha256, xet_hash=xet_hash)

    @property
    def etag(self) -> str:
        return self.sha256 or self.git_sha1

    def row(self, path: str) -> dict[str, Any]:
        """The file as the tree, paths-info and repo-info routes show it."""
        row: dict[str, Any] = {"type": "file", "path": path, "oid": self.git_sha1, "size": self.size}
        if self.sha256:
            row["lfs"] = {"oid": self.sha256, "sha256": self.sha256, "size": self.size, "pointerSize": 134}
        if self.xet_hash:
            row["xetHash"] = self.xet_hash
        return row


@dataclass(frozen=True, slots=True)
class Commit:
    sha: str
    parent: str | None
    title: str
    description: str
    author: str
    date: str
    tree: Mapping[str, Blob]


@dataclass(slots=True)
class PullRequest:
    number: int
    title: str
    author: str
    base: str
    status: str = "open"

    @property
    def ref(self) -> str:
        return f"refs/pr/{self.number}"


@dataclass(slots=True)
class Repository:
    kind: str
    id: str
    private: bool = False
    gated: bool = False
    space_sdk: str | None = None
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)  # "refs/heads/main", "refs/tags/v1", "refs/pr/1" -> sha
    pull_requests: list[PullRequest] = field(default_factory=list)

    @property
    def web_path(self) -> str:
        return WEB_PREFIX[self.kind] + self.id

    def resolve(self, revision: str) -> Commit:
        """The commit of a branch, tag, `refs/...` name, full sha or sha prefix."""
        for name in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}"):
            if name in self.refs:
                return self.commits[self.refs[name]]
        if len(revision) >= 7:
            for sha, commit in self.commits.items():
                if sha.startswith(revision):
                    return commit
        raise Refusal(404, f"Invalid rev id: {revision}", code="RevisionNotFound")

    def head_ref(self, revision: str) -> str:
        """The movable ref that a commit to `revision` advances."""
        for name in (revision, f"refs/heads/{revision}"):
            if name in self.refs and not name.startswith("refs/tags/"):
                return name
        raise Refusal(404, f"Invalid rev id: {revision}", code="RevisionNotFound")

    def add_commit(
        self, ref: str, title: str, description: str, author: str, tree: Mapping[str, Blob], parent: str | None
    ) -> Commit:
        date = _clock()
        listing = "\n".join(f"{path} {blob.git_sha1}" for path, blob in sorted(tree.items()))
        sha = hashlib.sha1(f"{parent}\n{author}\n{date}\n{title}\n{description}\n{listing}".encode()).hexdigest()
        commit = Commit(sha, parent, title, description, author, date, dict(tree))
        self.commits[sha] = commit
        self.refs[ref] = sha
        return commit

    def open_pull_request(self, title: str, author: str, base: Commit) -> PullRequest:
        request = PullRequest(len(self.pull_requests) + 1, title, author, base.sha)
        self.pull_requests.append(request)
        self.refs[request.ref] = base.sha
        return request

    def history(self, commit: Commit) -> Iterator[Commit]:
        """The commit and its ancestors, newest first."""
        current: Commit | None = commit
        while current is not None:
            yield current
            current = self.commits[current.parent] if current.parent else None


def git_blob_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def applied(
    tree: Mapping[str, Blob], operations: Iterable[Mapping[str, Any]], stored: Callable[[str, int | None], Blob]
) -> dict[str, Blob]:
    """The tree after the operations of one commit; `stored` finds an uploaded large file by sha256."""
    result = dict(tree)
    for operation in operations:
        key, value = operation["key"], operation["value"]
        path = value["path"]
        match key:
            case "file":
                content = value["content"]
                data = base64.b64decode(content) if value.get("encoding") == "base64" else content.encode()
                result[path] = Blob.regular(data)
            case "lfsFile":
                result[path] = stored(value["oid"], value.get("size"))
            case "deletedFile":
                if path not in result:
                    raise Refusal(404, f"A file with the name {path} does not exist", code="EntryNotFound")
                del result[path]
            case "deletedFolder":
                folder = path.rstrip("/") + "/"
                result = {name: blob for name, blob in result.items() if not name.startswith(folder)}
            case _:
                raise Refusal(400, f"unknown operation {key}")
    return result


_seconds = itertools.count()


def _clock() -> str:
    """A date that grows with every commit: two commits in one second still order."""
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=next(_seconds))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")
