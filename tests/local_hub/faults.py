"""Ways in which the Hub can fail, each tied to a named route and counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["status", "drop_request", "drop_response", "cut_body", "corrupt", "delay"]


@dataclass(slots=True)
class Fault:
    """One fault.

    Attributes:
        route: the route's name (see `routes.py`), or "*" for any.
        kind: "status" refuses without doing the work; "drop_request" resets the connection after `after` bytes
            of the request's body, work not done; "drop_response" does the work and resets before answering;
            "cut_body" sends half of the answer, then closes (or resets, if `reset`); "corrupt" flips one byte
            of the answer; "delay" waits `seconds` before the work.
        skip: how many requests pass before the fault begins.
        times: how many requests it then hits; None for ever.
    """

    route: str
    kind: Kind = "status"
    status: int = 503
    message: str = "Service Unavailable"
    headers: dict[str, str] = field(default_factory=dict)
    after: int = 0
    reset: bool = True
    seconds: float = 0.0
    skip: int = 0
    times: int | None = 1
    hits: int = 0


class Faults:
    """The faults now in force; safe to read from many server threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._active: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._active.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._active.clear()

    @contextmanager
    def during(self, *faults: Fault) -> Iterator[tuple[Fault, ...]]:
        """The faults hold inside the `with` block only."""
        for fault in faults:
            self.add(fault)
        try:
            yield faults
        finally:
            with self._lock:
                self._active = [fault for fault in self._active if not any(fault is mine for mine in faults)]

    def take(self, route: str) -> Fault | None:
        """The fault that hits this request, if any; counts it."""
        with self._lock:
            for fault in self._active:
                if fault.route not in (route, "*"):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                elif fault.times is None or fault.hits < fault.times:
                    fault.hits += 1
                    return fault
        return None
