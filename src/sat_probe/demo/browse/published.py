"""The saved reports that visitors may open: the operator's, by name, and no others; what was opened is kept a while."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sat_probe.demo.explore.page_frame import bundled_report, bundled_report_folder
from sat_probe.demo.settings import BUNDLED_LABEL, DemoSettings
from sat_probe.errors import ReportError
from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.hub.pull import list_reports, open_report

KEPT = 48  # reports, lists and pages in memory
FRESH = 600.0  # seconds until the Hub is asked again
Value = TypeVar("Value")
UNTRAINED_LABEL = "Mockingjay, small, before training"
_ON_HUB = re.compile(r"[\w.-]+/[\w.-]+")


class PublishedReports:
    """Reports by the name of their source and the model in it; safe to share between visitors, who only read them.

    Args:
        settings: of the operator; the bundled report and that of its untrained twin are always there, first.
    """

    def __init__(self, settings: DemoSettings) -> None:
        self._sources: dict[str, str | None] = {
            BUNDLED_LABEL: None,
            UNTRAINED_LABEL: str(bundled_report_folder().with_name("report-untrained")),
        }
        for source in settings.reports:
            self._sources.setdefault(Path(source).name if Path(source).exists() else source, source)
        self._kept: OrderedDict[tuple[str, ...], tuple[float, object]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """What a visitor may choose; a folder is called by its own name, without where it lies."""
        return tuple(self._sources)

    def models(self, name: str) -> tuple[str, ...]:
        """The models a source has reports of, as "model@revision"; empty if it is one report.

        Raises:
            ReportError: the operator does not offer that source.
            HubError: it is not there, or the Hub is out of reach.
        """
        source = self._source(name)
        if source is None or Path(source).exists() or not _ON_HUB.fullmatch(source):
            return ()
        entries = self.kept((name,), lambda: list_reports(source))
        return tuple(f"{entry.model}@{entry.revision}" for entry in entries)

    def open(self, name: str, model: str | None = None) -> HeadReport:
        """A report; `model` is one of `models(name)`, the first if left out.

        Raises:
            ReportError: the operator does not offer that source, or it has no such model, or it is damaged.
            HubError: it is not there, or the Hub is out of reach.
        """
        source = self._source(name)
        if source is None:
            return bundled_report()
        models = self.models(name)
        if not models:
            return self.kept((name, ""), lambda: open_report(source))
        chosen = model or models[0]
        if chosen not in models:
            raise ReportError(f"{name} has no report of this model; choose one of the list")
        return self.kept((name, chosen), lambda: open_report(f"{source}:{chosen}"))

    def _source(self, name: str) -> str | None:
        if name not in self._sources:
            raise ReportError("this report is not offered here; choose one of the list")
        return self._sources[name]

    def kept(self, key: tuple[str, ...], read: Callable[[], Value]) -> Value:
        """What `read` gives, made again only when it is old; two visitors may make it at once, neither waits."""
        with self._lock:
            since, value = self._kept.get(key, (-FRESH, None))
            if time.monotonic() - since < FRESH:
                self._kept.move_to_end(key)
                return value  # type: ignore[return-value]
        value = read()
        with self._lock:
            self._kept[key] = time.monotonic(), value
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return value
