"""The HTTP server on loopback: reads a request, applies a fault if one is due, lets the route work."""

from __future__ import annotations

import shutil
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl, urlsplit

from .exchange import Refusal, Request, Response
from .faults import Fault, Faults
from .hub import Hub, open_hub
from .routes import find_route


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that was answered (or dropped), for tests that count them."""

    route: str
    method: str
    path: str
    status: int | None  # None if the connection was dropped


class LocalHub:
    """A Hub on 127.0.0.1; `url` is known before it starts, so the environment can be set before any import."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="local-hub-"))
        self.state: Hub = open_hub(self.folder)
        self.faults = Faults()
        self.seen: list[Seen] = []
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.local = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.state.endpoint = self.url
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def reset(self) -> None:
        """Forget repositories, faults and requests; the xet store keeps its content, which nothing refers to."""
        with self.state.lock:
            self.state.repositories.clear()
            self.state.objects.clear()
            self.state.multipart.clear()
            self.state.multipart_above = None
        self.faults.clear()
        self.seen.clear()

    @contextmanager
    def counted(self) -> Iterator[list[Seen]]:
        """The requests made inside the `with` block."""
        first, inside = len(self.seen), []
        try:
            yield inside
        finally:
            inside.extend(self.seen[first:])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    local: LocalHub

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # otherwise every POST waits 40 ms for an acknowledgement
    server: _Server

    def log_message(self, format: str, *arguments: object) -> None:
        pass  # tests look at `seen` instead

    def _serve(self) -> None:
        local, address = self.server.local, urlsplit(self.path)
        found = find_route(self.command, address.path)
        name, route, parts = found or ("unknown", None, {})
        fault = local.faults.take(name)
        kind = fault.kind if fault else None
        if fault and kind == "drop_request":
            self._read_body(fault.after)
            self._note(name, None)
            self._reset()
        body = self._read_body(None)
        if fault and kind == "delay":
            time.sleep(fault.seconds)
        headers = {key.lower(): value for key, value in self.headers.items()}
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        request = Request(self.command, address.path, query, headers, body, parts)
        if fault and kind == "status":
            response = Refusal(fault.status, fault.message).response()
            response.headers.update(fault.headers)
        elif route is None:
            response = Refusal(404, f"no such route: {self.command} {address.path}").response()
        else:
            try:
                response = route(local.state, request)
            except Refusal as refusal:
                response = refusal.response()
        if fault and kind == "drop_response":
            self._note(name, None)
            self._reset()
        self._note(name, response.status)
        self._answer(response, fault)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve

    def _answer(self, response: Response, fault: Fault | None) -> None:
        body = response.body
        if fault and fault.kind == "corrupt" and body:
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]
        self.send_response(response.status)
        for key, value in response.headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if fault and fault.kind == "cut_body":
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            if fault.reset:
                self._reset()
            self.close_connection = True
            return
        self.wfile.write(body)

    def _read_body(self, limit: int | None) -> bytes:
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._read_chunks(limit)
        return self.rfile.read(length if limit is None else min(limit, length))

    def _read_chunks(self, limit: int | None) -> bytes:
        body = b""
        while limit is None or len(body) < limit:
            size = int(self.rfile.readline().split(b";")[0], 16)
            body += self.rfile.read(size)
            self.rfile.readline()
            if size == 0:
                break
        return body

    def _note(self, route: str, status: int | None) -> None:
        self.server.local.seen.append(Seen(route, self.command, self.path, status))

    def _reset(self) -> NoReturn:
        """Close so that the other side sees a reset (RST), not an orderly end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        self.wfile.close()
        self.connection.close()
        raise ConnectionAbortedError("dropped by a fault")
