"""Routes for repositories: whoami, create, info, refs, pull requests."""

from __future__ import annotations

from typing import Any

from .card_check import card_problems
from .exchange import Refusal, Request, Response
from .hub import Hub
from .repositories import KINDS, Commit, PullRequest, Repository


def whoami(hub: Hub, request: Request) -> Response:
    user = hub.user(request)
    organizations = [{"name": name, "type": "org"} for name in user.organizations]
    role = "write" if user.may_write else "read"
    token = {"displayName": "local", "role": role}
    return Response.json({"type": "user", "name": user.name, "orgs": organizations, "auth": {"accessToken": token}})


def create_repo(hub: Hub, request: Request) -> Response:
    content, user = request.json(), hub.user(request)
    kind = content.get("type") or "model"
    namespace = content.get("organization") or user.name
    if not user.may_write or namespace not in user.namespaces:
        raise Refusal(403, f'You don\'t have the rights to create a {kind} under the namespace "{namespace}"')
    identifier = f"{namespace}/{content['name']}"
    with hub.lock:
        existing = hub.repositories.get((kind, identifier))
        if existing is None:
            private = content.get("visibility") == "private" or bool(content.get("private"))
            created = hub.create(kind, identifier, {".gitattributes": b"*.parquet filter=lfs\n"}, private=private)
            created.space_sdk = content.get("sdk")
            return Response.json({"url": f"{hub.endpoint}/{created.web_path}", "name": identifier})
    answer = {"error": "You already created this repo", "url": f"{hub.endpoint}/{existing.web_path}"}
    return Response.json(answer, 409)


def delete_repo(hub: Hub, request: Request) -> Response:
    content, user = request.json(), hub.user(request)
    key = (content.get("type") or "model", f"{content.get('organization') or user.name}/{content['name']}")
    hub.require_write(hub.repository(*key, request), request, pull_request=False)
    with hub.lock:
        del hub.repositories[key]
    return Response.json({})


def repo_info(hub: Hub, request: Request) -> Response:
    repository = _repository(hub, request)
    commit = repository.resolve(request.parts.get("revision") or "main")
    blobs = request.query.get("blobs", "").lower() in {"true", "1"}
    answer: dict[str, Any] = {
        "_id": repository.id,
        "id": repository.id,
        "author": repository.id.split("/")[0],
        "sha": commit.sha,
        "lastModified": commit.date,
        "createdAt": commit.date,
        "private": repository.private,
        "gated": "manual" if repository.gated else False,
        "disabled": False,
        "tags": [],
        "downloads": 0,
        "likes": 0,
        "siblings": [_sibling(path, blob.row(path), blobs) for path, blob in sorted(commit.tree.items())],
    }
    if repository.kind == "model":
        answer["modelId"] = repository.id
    if repository.space_sdk:
        answer["sdk"] = repository.space_sdk
    return Response.json(answer)


def tree(hub: Hub, request: Request) -> Response:
    """Files and folders below a path; `limit` pages them, the next page is named in `Link`."""
    repository = _repository(hub, request, files=True)
    commit = repository.resolve(request.parts["revision"])
    folder = request.parts.get("path", "").strip("/")
    recursive = request.query.get("recursive", "").lower() in {"true", "1"}
    rows = _listing(commit, folder, recursive)
    if folder and not rows:
        raise Refusal(404, f"{folder} does not exist", code="EntryNotFound", X_Repo_Commit=commit.sha)
    start, limit = int(request.query.get("cursor", 0)), int(request.query.get("limit", 1000))
    response = Response.json(rows[start : start + limit])
    if start + limit < len(rows):
        rest = "&".join(f"{k}={v}" for k, v in request.query.items() if k != "cursor")
        response.headers["Link"] = f'<{hub.endpoint}{request.path}?{rest}&cursor={start + limit}>; rel="next"'
    return response


def paths_info(hub: Hub, request: Request) -> Response:
    repository = _repository(hub, request, files=True)
    commit = repository.resolve(request.parts["revision"])
    rows = {row["path"]: row for row in _listing(commit, "", recursive=True)}
    return Response.json([rows[path] for path in request.form().get("paths", []) if path in rows])


def refs(hub: Hub, request: Request) -> Response:
    repository = _repository(hub, request)
    found: dict[str, list[dict[str, str]]] = {"branches": [], "converts": [], "tags": []}
    groups = {"refs/heads/": "branches", "refs/tags/": "tags"}
    if request.query.get("include_prs"):
        found["pullRequests"] = []
        groups["refs/pr/"] = "pullRequests"
    for ref, sha in repository.refs.items():
        for prefix, group in groups.items():
            if ref.startswith(prefix):
                found[group].append({"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": sha})
    return Response.json(found)


def commits(hub: Hub, request: Request) -> Response:
    repository = _repository(hub, request)
    rows = [
        {
            "id": commit.sha,
            "title": commit.title,
            "message": commit.description,
            "date": commit.date,
            "authors": [{"user": commit.author}],
        }
        for commit in repository.history(repository.resolve(request.parts["revision"]))
    ]
    return Response.json(rows)


def create_branch(hub: Hub, request: Request) -> Response:
    repository = _repository(hub, request)
    hub.require_write(repository, request, pull_request=False)
    name = f"refs/heads/{request.parts['branch']}"
    with hub.lock:
        if name in repository.refs:
            raise Refusal(409, "Reference already exists")
        repository.refs[name] = repository.resolve(request.json().get("startingPoint") or "main").sha
    return Response.json({})


def create_tag(hub: Hub, request: Request) -> Response:
    repository = _repository(hub, request)
    hub.require_write(repository, request, pull_request=False)
    name = f"refs/tags/{request.json()['tag']}"
    with hub.lock:
        if name in repository.refs:
            raise Refusal(409, "Tag reference already exists")
        repository.refs[name] = repository.resolve(request.parts["revision"]).sha
    return Response.json({})


def discussions(hub: Hub, request: Request) -> Response:
    repository = _repository(hub, request)
    rows = [_discussion(repository, item) for item in repository.pull_requests]
    return Response.json({"discussions": rows, "count": len(rows), "start": 0})


def create_discussion(hub: Hub, request: Request) -> Response:
    repository = _repository(hub, request)
    user = hub.require_write(repository, request, pull_request=True)
    with hub.lock:
        opened = repository.open_pull_request(request.json()["title"], user.name, repository.resolve("main"))
    return Response.json({"num": opened.number, "url": f"{hub.endpoint}/{repository.web_path}"})


def discussion(hub: Hub, request: Request) -> Response:
    repository = _repository(hub, request)
    return Response.json(_discussion(repository, _pull_request(repository, request)))


def merge(hub: Hub, request: Request) -> Response:
    """Merge a pull request that is ahead of main; one that is behind is refused."""
    repository = _repository(hub, request)
    hub.require_write(repository, request, pull_request=False)
    item = _pull_request(repository, request)
    with hub.lock:
        if repository.refs["refs/heads/main"] != item.base:
            raise Refusal(409, "The pull request conflicts with main")
        repository.refs["refs/heads/main"] = repository.refs[item.ref]
        item.status = "merged"
    return Response.json({})


def validate_yaml(hub: Hub, request: Request) -> Response:
    content = request.json()
    problems = card_problems(content["content"], content["repoType"])
    answer = {"errors": [{"message": problem} for problem in problems], "warnings": []}
    return Response.json(answer, 400 if problems else 200)


def no_content(hub: Hub, request: Request) -> Response:
    return Response.json([])


def _repository(hub: Hub, request: Request, files: bool = False) -> Repository:
    kind = KINDS[request.parts["kinds"]]
    find = hub.readable if files else hub.repository
    return find(kind, request.parts["id"], request)


def _pull_request(repository: Repository, request: Request) -> PullRequest:
    number = int(request.parts["number"])
    if not 1 <= number <= len(repository.pull_requests):
        raise Refusal(404, "Discussion not found")
    return repository.pull_requests[number - 1]


def _discussion(repository: Repository, item: PullRequest) -> dict[str, Any]:
    return {
        "num": item.number,
        "title": item.title,
        "author": {"name": item.author},
        "createdAt": repository.commits[item.base].date,
        "status": item.status,
        "repo": {"name": repository.id, "type": repository.kind},
        "isPullRequest": True,
        "events": [],
        "filesWithConflicts": [],
        "changes": {"base": "refs/heads/main", "mergeCommitId": None},
        "diff": "",
    }


def _sibling(path: str, row: dict[str, Any], blobs: bool) -> dict[str, Any]:
    if not blobs:
        return {"rfilename": path}
    sibling = {"rfilename": path, "size": row["size"], "blobId": row["oid"]}
    if "lfs" in row:
        sibling["lfs"] = {key: row["lfs"][key] for key in ("sha256", "size", "pointerSize")}
    return sibling


def _listing(commit: Commit, folder: str, recursive: bool) -> list[dict[str, Any]]:
    prefix = f"{folder}/" if folder else ""
    rows: dict[str, dict[str, Any]] = {}
    for path, blob in sorted(commit.tree.items()):
        if not path.startswith(prefix):
            continue
        names = path.removeprefix(prefix).split("/")
        for depth in range(1, len(names) if recursive else min(2, len(names))):
            directory = prefix + "/".join(names[:depth])
            rows.setdefault(directory, {"type": "directory", "path": directory, "oid": commit.sha, "size": 0})
        if recursive or len(names) == 1:
            rows[path] = blob.row(path)
    return list(rows.values())
