"""Addresses of the routes. A `Fault` refers to a route by its name."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from . import repository_routes as repository
from . import transfer_routes as transfer
from .exchange import Request, Response
from .hub import Hub

Route = Callable[[Hub, Request], Response]

_API = r"/api/(?P<kinds>models|datasets|spaces)/(?P<id>[^/]+/[^/]+)"
_WEB = r"/(?P<prefix>datasets/|spaces/)?(?P<id>[^/]+/[^/]+)"
_REVISION = r"(?P<revision>[^/]+)"
_PATH = r"(?P<path>.+)"

# the first match wins; the name comes first
_TABLE: tuple[tuple[str, str, str, Route], ...] = (
    ("whoami", "GET", r"/api/whoami-v2", repository.whoami),
    ("agents", "GET", r"/api/agent-harnesses", repository.no_content),
    ("create_repo", "POST", r"/api/repos/create", repository.create_repo),
    ("delete_repo", "DELETE", r"/api/repos/delete", repository.delete_repo),
    ("validate_yaml", "POST", r"/api/validate-yaml", repository.validate_yaml),
    ("preupload", "POST", rf"{_API}/preupload/{_REVISION}", transfer.preupload),
    ("commit", "POST", rf"{_API}/commit/{_REVISION}", transfer.commit),
    ("xet_token", "GET", rf"{_API}/xet-(?P<right>read|write)-token/{_REVISION}", transfer.xet_token),
    ("tree", "GET", rf"{_API}/tree/{_REVISION}(?:/{_PATH})?", repository.tree),
    ("paths_info", "POST", rf"{_API}/paths-info/{_REVISION}", repository.paths_info),
    ("refs", "GET", rf"{_API}/refs", repository.refs),
    ("commits", "GET", rf"{_API}/commits/{_REVISION}", repository.commits),
    ("create_branch", "POST", rf"{_API}/branch/(?P<branch>[^/]+)", repository.create_branch),
    ("create_tag", "POST", rf"{_API}/tag/{_REVISION}", repository.create_tag),
    ("discussions", "GET", rf"{_API}/discussions", repository.discussions),
    ("create_discussion", "POST", rf"{_API}/discussions", repository.create_discussion),
    ("discussion", "GET", rf"{_API}/discussions/(?P<number>\d+)", repository.discussion),
    ("merge", "POST", rf"{_API}/discussions/(?P<number>\d+)/merge", repository.merge),
    ("repo_info", "GET", rf"{_API}(?:/revision/{_REVISION})?", repository.repo_info),
    ("lfs_batch", "POST", rf"{_WEB}\.git/info/lfs/objects/batch", transfer.lfs_batch),
    ("lfs_upload", "PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", transfer.lfs_upload),
    ("lfs_part", "PUT", r"/lfs-part/(?P<oid>[0-9a-f]{64})/(?P<number>\d+)", transfer.lfs_part),
    ("lfs_complete", "POST", r"/lfs-complete/(?P<oid>[0-9a-f]{64})", transfer.lfs_complete),
    ("lfs_verify", "POST", r"/lfs-verify/.+", transfer.lfs_verify),
    ("cdn", "GET", r"/cdn/(?P<oid>[0-9a-f]{64})", transfer.cdn),
    ("resolve", "GET", rf"{_WEB}/resolve/{_REVISION}/{_PATH}", transfer.resolve),
)
_COMPILED = tuple((name, method, re.compile(pattern), route) for name, method, pattern, route in _TABLE)

ROUTE_NAMES = tuple(name for name, *_ in _TABLE)


def find_route(method: str, path: str) -> tuple[str, Route, dict[str, str]] | None:
    """The route of a request, by its quoted path; a HEAD is a GET whose body is not sent."""
    wanted = "GET" if method == "HEAD" else method
    for name, known, pattern, route in _COMPILED:
        found = pattern.fullmatch(path) if known == wanted else None
        if found:
            return name, route, {key: unquote(value) for key, value in found.groupdict().items() if value}
    return None
