"""Saved reports that visitors may open, by name: the bundled ones, and those that the operator lists."""

from __future__ import annotations

import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

import gradio as gr

from sat_probe.demo.errors import guard
from sat_probe.demo.settings import BUNDLED_LABEL, DemoSettings
from sat_probe.errors import ReportError
from sat_probe.reports.head_report import HeadReport
from sat_probe.reports.hub.pull import list_reports

KEPT = 48  # reports, lists and pages in the cache
FRESH = 600.0  # seconds until a cached value is read again
Value = TypeVar("Value")
UNTRAINED_LABEL = "Mockingjay, small, before training"
_ON_HUB = re.compile(r"[\w.-]+/[\w.-]+")


def bundled_report_folder() -> Path:
    """Return the folder of the bundled report, which `scripts/make_demo_report.py` writes."""
    return Path(str(files("sat_probe") / "data" / "report"))


@cache
def bundled_report() -> HeadReport:
    """Return the report of the bundled model on the bundled speech."""
    return HeadReport.load(bundled_report_folder())


class PublishedReports:
    """Reports by the name of their source and the model in it, shared between visitors.

    Args:
        settings: names the sources; the reports of the bundled model and of its untrained twin always come first.
    """

    def __init__(self, settings: DemoSettings) -> None:
        self._sources: dict[str, str | None] = {
            BUNDLED_LABEL: None,
            UNTRAINED_LABEL: str(bundled_report_folder().with_name("report-untrained")),
        }
        for source in settings.reports:
            self._sources.setdefault(Path(source).name if Path(source).exists() else source, source)
        self._cache: OrderedDict[tuple[str, ...], tuple[float, object]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """The sources that a visitor may choose; a folder goes by its own name, without its path."""
        return tuple(self._sources)

    def models(self, name: str) -> tuple[str, ...]:
        """Return the models that a source has reports of, as "model@revision"; empty if it is a single report.

        Raises:
            ReportError: if the source is not offered.
            HubError: if it does not exist, or the Hub cannot be reached.
        """
        source = self._source(name)
        if source is None or Path(source).exists() or not _ON_HUB.fullmatch(source):
            return ()
        entries = self.cached((name,), lambda: list_reports(source))
        return tuple(f"{entry.model}@{entry.revision}" for entry in entries)

    def open(self, name: str, model: str | None = None) -> HeadReport:
        """Return a report; `model` is one of `models(name)`, by default the first.

        Raises:
            ReportError: if the source is not offered, has no such model, or is damaged.
            HubError: if it does not exist, or the Hub cannot be reached.
        """
        source = self._source(name)
        if source is None:
            return bundled_report()
        models = self.models(name)
        if not models:
            return self.cached((name, ""), lambda: HeadReport.open(source))
        chosen = model or models[0]
        if chosen not in models:
            raise ReportError(f"{name} has no report of this model; choose one from the list")
        return self.cached((name, chosen), lambda: HeadReport.open(f"{source}:{chosen}"))

    def _source(self, name: str) -> str | None:
        if name not in self._sources:
            raise ReportError("this report is not offered here; choose one from the list")
        return self._sources[name]

    def cached(self, key: tuple[str, ...], read: Callable[[], Value]) -> Value:
        """Return the cached result of `read`, calling it if there is none or it is old.

        Two visitors may call it at the same time; neither waits for the other.
        """
        with self._lock:
            since, value = self._cache.get(key, (-FRESH, None))
            if time.monotonic() - since < FRESH:
                self._cache.move_to_end(key)
                return value  # type: ignore[return-value]
        value = read()
        with self._lock:
            self._cache[key] = time.monotonic(), value
            while len(self._cache) > KEPT:
                self._cache.popitem(last=False)
        return value


def report_choice(
    published: PublishedReports, label: str, first: int = 0
) -> tuple[gr.Dropdown, gr.Dropdown, gr.events.Dependency]:
    """Return both lists, and the event after which the models are those of the chosen source.

    The list of models is visible only if there are several.

    Args:
        published: the reports to choose from.
        label: label of the list of sources.
        first: index of the source that is chosen at the start; the last one if there are fewer.
    """
    names = list(published.names)
    source = gr.Dropdown(names, value=names[min(first, len(names) - 1)], label=label, filterable=False)
    model = gr.Dropdown([], value=None, label="Model", visible=False)

    def offer_models(name: str) -> gr.Dropdown:
        models = published.models(name)
        choices = [(_short(model), model) for model in models]
        return gr.Dropdown(choices=choices, value=models[0] if models else None, visible=len(models) > 1)

    offered = source.input(guard(offer_models), source, model, api_visibility="private", show_progress="hidden")
    return source, model, offered


def _short(model: str) -> str:
    name, _, revision = model.rpartition("@")
    return f"{name} at {revision[:12]}"
