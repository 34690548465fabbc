"""Routes that move files: preupload, LFS, xet tokens, commit, and reading back."""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import Any
from urllib.parse import quote

from .exchange import Refusal, Request, Response
from .hub import Hub
from .repositories import KINDS, WEB_PREFIX, Repository, applied

STALE_PARENT = "A commit has happened since. Please refresh and try again."


def preupload(hub: Hub, request: Request) -> Response:
    repository = _repository(hub, request)
    hub.require_write(repository, request, pull_request="create_pr" in request.query or _is_pr(request))
    tree = repository.resolve(request.parts["revision"]).tree
    rows = []
    for file in request.json()["files"]:
        path = file["path"]
        mode = "lfs" if hub.wants_lfs(path, file["size"]) else "regular"
        row = {"path": path, "uploadMode": mode, "shouldIgnore": False}
        if path in tree and (tree[path].sha256 is not None) == (mode == "lfs"):
            row["oid"] = tree[path].etag
        rows.append(row)
    return Response.json({"files": rows})


def lfs_batch(hub: Hub, request: Request) -> Response:
    repository = _web_repository(hub, request)
    content = request.json()
    hub.require_write(repository, request, pull_request=True)
    return Response.json({"transfer": "basic", "objects": [_lfs_row(hub, repository, o) for o in content["objects"]]})


def lfs_upload(hub: Hub, request: Request) -> Response:
    if "authorization" in request.headers:
        raise Refusal(400, "Only one auth mechanism allowed")  # what S3 answers to a signed URL with a token
    hub.store_object(request.parts["oid"], request.body)
    return Response()


def lfs_part(hub: Hub, request: Request) -> Response:
    number = int(request.parts["number"])
    hub.multipart[request.parts["oid"], number] = request.body
    return Response(headers={"ETag": f'"{hashlib.md5(request.body).hexdigest()}"'})


def lfs_complete(hub: Hub, request: Request) -> Response:
    oid = request.parts["oid"]
    numbers = sorted(part["partNumber"] for part in request.json()["parts"])
    hub.store_object(oid, b"".join(hub.multipart.pop((oid, number)) for number in numbers))
    return Response.json({})


def lfs_verify(hub: Hub, request: Request) -> Response:
    hub.user(request)
    content = request.json()
    if len(hub.objects.get(content["oid"], b"")) != content["size"]:
        raise Refusal(404, "Object not found")
    return Response.json({})


def xet_token(hub: Hub, request: Request) -> Response:
    """The token for the content store. The uploading client reads the body, the downloading one the headers."""
    repository = _repository(hub, request)
    if request.parts["right"] == "write":
        hub.require_write(repository, request, pull_request="create_pr" in request.query or _is_pr(request))
    expires = int(time.time()) + 3600
    answer = {"accessToken": "local", "exp": expires, "casUrl": hub.xet.url}
    return Response.json(
        answer, X_Xet_Cas_Url=hub.xet.url, X_Xet_Access_Token="local", X_Xet_Token_Expiration=str(expires)
    )


def commit(hub: Hub, request: Request) -> Response:
    """All operations land in one new commit, or none do."""
    lines = [json.loads(line) for line in request.body.splitlines() if line.strip()]
    headers = [line["value"] for line in lines if line["key"] == "header"]
    if len(headers) != 1 or not headers[0].get("summary"):
        raise Refusal(400, "a commit needs one header with a summary")
    header, operations = headers[0], [line for line in lines if line["key"] != "header"]
    repository = _repository(hub, request)
    create_pr = request.query.get("create_pr") in {"1", "true"}
    user = hub.require_write(repository, request, pull_request=create_pr or _is_pr(request))
    with hub.lock:
        base = repository.resolve(request.parts["revision"])
        expected = header.get("parentCommit")
        if expected and expected != base.sha:
            raise Refusal(412, STALE_PARENT)
        tree = applied(base.tree, operations, hub.stored)
        if create_pr:
            opened = repository.open_pull_request(header["summary"], user.name, base)
            ref = opened.ref
        else:
            ref = repository.head_ref(request.parts["revision"])
        summary, description = header["summary"], header.get("description", "")
        created = repository.add_commit(ref, summary, description, user.name, tree, base.sha)
    address = f"{hub.endpoint}/{repository.web_path}"
    answer = {
        "success": True,
        "commitUrl": f"{address}/commit/{created.sha}",
        "commitOid": created.sha,
        "hookOutput": "",
    }
    if create_pr:
        answer["pullRequestUrl"] = f"{address}/discussions/{opened.number}"
    return Response.json(answer)


def resolve(hub: Hub, request: Request) -> Response:
    """One file. Large ones are on another origin, so the client must strip its token, as in production."""
    repository = _web_repository(hub, request, files=True)
    found = repository.resolve(request.parts["revision"])
    path = request.parts["path"]
    if path not in found.tree:
        raise Refusal(404, "Entry not found", code="EntryNotFound", X_Repo_Commit=found.sha)
    blob = found.tree[path]
    headers = {"X-Repo-Commit": found.sha, "Accept-Ranges": "bytes", "ETag": f'"{blob.etag}"'}
    if blob.sha256 is None:
        return _ranged(hub.content(blob), headers, request)
    headers |= {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(blob.size)}
    if blob.xet_hash:
        route = f"{hub.endpoint}/api/{repository.kind}s/{repository.id}/xet-read-token/{found.sha}"
        headers |= {"X-Xet-Hash": blob.xet_hash, "Link": f'<{route}>; rel="xet-auth"'}
    headers["Location"] = f"{hub.endpoint.replace('127.0.0.1', 'localhost')}/cdn/{blob.sha256}"
    return Response(302, headers=headers)


def cdn(hub: Hub, request: Request) -> Response:
    if "authorization" in request.headers:
        raise Refusal(400, "Only one auth mechanism allowed")
    blob = hub.stored(request.parts["oid"], None)
    return _ranged(hub.content(blob), {"ETag": f'"{blob.sha256}"', "Accept-Ranges": "bytes"}, request)


def _ranged(content: bytes, headers: dict[str, str], request: Request) -> Response:
    wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
    if wanted is None:
        return Response(200, content, headers)
    start, end = int(wanted[1]), min(int(wanted[2] or len(content) - 1), len(content) - 1)
    if start > end:
        return Response(416, b"", headers | {"Content-Range": f"bytes */{len(content)}"})
    return Response(206, content[start : end + 1], headers | {"Content-Range": f"bytes {start}-{end}/{len(content)}"})


def _lfs_row(hub: Hub, repository: Repository, wanted: dict[str, Any]) -> dict[str, Any]:
    oid, size = wanted["oid"], wanted["size"]
    row: dict[str, Any] = {"oid": oid, "size": size}
    if oid in hub.objects:
        return row
    upload: dict[str, Any] = {"href": f"{hub.endpoint}/lfs/{oid}", "header": {}}
    if hub.multipart_above is not None and size > hub.multipart_above:
        upload["href"] = f"{hub.endpoint}/lfs-complete/{oid}"
        upload["header"]["chunk_size"] = str(hub.multipart_above)
        for number in range(1, -(-size // hub.multipart_above) + 1):
            upload["header"][f"{number:05d}"] = f"{hub.endpoint}/lfs-part/{oid}/{number}"
    verify = {"href": f"{hub.endpoint}/lfs-verify/{quote(repository.web_path, safe='')}", "header": {}}
    row["actions"] = {"upload": upload, "verify": verify}
    return row


def _repository(hub: Hub, request: Request) -> Repository:
    return hub.repository(KINDS[request.parts["kinds"]], request.parts["id"], request)


def _web_repository(hub: Hub, request: Request, files: bool = False) -> Repository:
    prefix = request.parts.get("prefix") or ""
    kind = next(kind for kind, web in WEB_PREFIX.items() if web == prefix)
    find = hub.readable if files else hub.repository
    return find(kind, request.parts["id"], request)


def _is_pr(request: Request) -> bool:
    return request.parts["revision"].startswith("refs/pr/")
