"""State of a local Hub: permissions, repositories, and the content of files."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .exchange import Refusal, Request
from .repositories import Blob, Commit, Repository
from .xet_store import XetStore

LFS_THRESHOLD = 10 * 1024 * 1024
LFS_SUFFIXES = (".parquet", ".png", ".bin", ".safetensors", ".npz", ".wav", ".flac", ".ckpt", ".pt", ".pkl")


@dataclass(frozen=True, slots=True)
class User:
    name: str
    organizations: tuple[str, ...] = ()
    may_write: bool = True

    @property
    def namespaces(self) -> tuple[str, ...]:
        return (self.name, *self.organizations)


@dataclass(slots=True)
class Hub:
    """Repositories, users and stored objects; every change happens under one lock."""

    xet: XetStore
    endpoint: str = ""
    users: dict[str, User] = field(default_factory=dict)  # by token
    repositories: dict[tuple[str, str], Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)  # LFS objects by sha256
    multipart: dict[tuple[str, int], bytes] = field(default_factory=dict)
    multipart_above: int | None = None  # send files above this size in parts of this size
    lock: threading.RLock = field(default_factory=threading.RLock)

    def user(self, request: Request) -> User:
        """Who sent the request; 401 without a valid token."""
        if request.token is None:
            raise Refusal(401, "Invalid username or password.")
        if request.token not in self.users:
            raise Refusal(401, "Invalid credentials in Authorization header")
        return self.users[request.token]

    def repository(self, kind: str, identifier: str, request: Request) -> Repository:
        """A repository the sender may read. A private one looks absent to others, as on the real Hub."""
        user = self.users.get(request.token or "")
        found = self.repositories.get((kind, identifier))
        namespace = identifier.split("/")[0]
        if found is None or (found.private and (user is None or namespace not in user.namespaces)):
            if user is None:
                raise Refusal(401, "Invalid username or password.", code="RepoNotFound")
            raise Refusal(404, "Repository not found", code="RepoNotFound")
        return found

    def readable(self, kind: str, identifier: str, request: Request) -> Repository:
        """As `repository`, and its files may be read: not gated for the sender."""
        found = self.repository(kind, identifier, request)
        user = self.users.get(request.token or "")
        if found.gated and (user is None or identifier.split("/")[0] not in user.namespaces):
            message = f"Access to {kind} {identifier} is restricted. You must have access to it and be authenticated."
            raise Refusal(401 if user is None else 403, message, code="GatedRepo")
        return found

    def require_write(self, repository: Repository, request: Request, pull_request: bool) -> User:
        """The sender, if allowed to commit: anyone may open a pull request, owners may push."""
        user = self.user(request)
        if not user.may_write:
            raise Refusal(403, "This token does not have write permission: it is a read token.")
        if not pull_request and repository.id.split("/")[0] not in user.namespaces:
            raise Refusal(403, "Forbidden: pass `create_pr=1` as a query parameter to create a Pull Request")
        return user

    def stored(self, sha256: str, size: int | None) -> Blob:
        """The uploaded large file of that sha256, from the LFS or the xet lane; 400 if nobody uploaded it."""
        if sha256 in self.objects:
            return Blob.pointer(sha256, len(self.objects[sha256]), None)
        xet_hash = self.xet.hash_of(sha256)
        if xet_hash is None:
            known = next((b for r in self.repositories.values() for b in _blobs(r) if b.sha256 == sha256), None)
            if known is None:
                raise Refusal(400, f"LFS pointer pointed to a file that does not exist: {sha256}")
            return known
        if size is None:
            size = next(b.size for r in self.repositories.values() for b in _blobs(r) if b.sha256 == sha256)
        return Blob.pointer(sha256, size, xet_hash)

    def content(self, blob: Blob) -> bytes:
        """The bytes of a file, wherever they are kept."""
        if blob.content is not None:
            return blob.content
        if blob.sha256 in self.objects:
            return self.objects[blob.sha256]
        assert blob.xet_hash is not None
        return self.xet.read(blob.xet_hash, blob.size)

    def store_object(self, sha256: str, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != sha256:
            raise Refusal(400, "sha256 of the uploaded content does not match its oid")
        with self.lock:
            self.objects[sha256] = content

    def wants_lfs(self, path: str, size: int) -> bool:
        return path.endswith(LFS_SUFFIXES) or size > LFS_THRESHOLD

    # what tests look at

    def snapshot(self, kind: str, identifier: str, revision: str = "main") -> dict[str, bytes]:
        """Every file of a revision with its content."""
        commit = self.repositories[kind, identifier].resolve(revision)
        return {path: self.content(blob) for path, blob in commit.tree.items()}

    def history(self, kind: str, identifier: str, revision: str = "main") -> list[Commit]:
        """The commits of a revision, newest first."""
        repository = self.repositories[kind, identifier]
        return list(repository.history(repository.resolve(revision)))

    def create(
        self, kind: str, identifier: str, files: Mapping[str, bytes] | None = None, **options: bool
    ) -> Repository:
        """Put a repository there without going through a client."""
        tree = {}
        for path, content in (files or {}).items():
            if self.wants_lfs(path, len(content)):
                sha256 = hashlib.sha256(content).hexdigest()
                self.store_object(sha256, content)
                tree[path] = Blob.pointer(sha256, len(content), None)
            else:
                tree[path] = Blob.regular(content)
        with self.lock:
            repository = Repository(kind, identifier, **options)
            repository.add_commit("refs/heads/main", "initial commit", "", identifier.split("/")[0], tree, None)
            self.repositories[kind, identifier] = repository
        return repository


def _blobs(repository: Repository) -> list[Blob]:
    return [blob for commit in repository.commits.values() for blob in commit.tree.values()]


def open_hub(folder: Path) -> Hub:
    """A Hub with an owner `me` (also of the organization `team`), a stranger, and a token that only reads."""
    store = folder / "xet"
    store.mkdir(parents=True, exist_ok=True)
    users = {
        "hf_local_me": User("me", ("team",)),
        "hf_local_stranger": User("stranger"),
        "hf_local_reader": User("me", ("team",), may_write=False),
    }
    return Hub(XetStore(store), users=users)
