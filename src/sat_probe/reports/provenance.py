"""`Provenance`: what a report was measured with."""

from __future__ import annotations

import dataclasses
import math
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import PureWindowsPath
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from sat_probe.errors import ReportError

MOST_HEADS = 1000  # layers, or heads per layer, beyond which a report is damaged
_PATH = re.compile(r"(?<![\w/\\.:@<-])(?:~|[A-Za-z]:)?[\\/](?:[^\s'\"\\/:=,]+[\\/])+([^\s'\"\\/:=,]+)")
_ABSOLUTE = re.compile(r"(~|[A-Za-z]:)?[\\/]")


@dataclass(frozen=True)
class Provenance(Mapping[str, Any]):
    """What a report was measured with, the ``provenance`` of `report.json`; None is unknown.

    Also a read-only mapping of what is known: ``provenance["model"]``, ``provenance.get("revision")``. Absolute paths
    in any value are cut to their last part.

    Attributes:
        model: name on the Hub, name of its folder, or "bundled".
        revision: commit of a model on the Hub.
        weights: SHA-256 of the weights.
        architecture: class of transformers.
        layers, heads_per_layer: of the intact model; removed heads count.
        removed_heads: heads that were removed from the model, per layer.
        limited_span: (frames, "mask" or "zero") of a model with a limited attention span.
        corpus, configuration, split: name of the corpus, configuration of a dataset on the Hub, part of the corpus.
        corpus_digest: SHA-256 of the content: ids, sizes and alignments of the utterances.
        phone_set: phone set that the labels are folded into.
        relation_rate, leave_out_own_segment: options of the relation maps.
        frame_hop_ms: time between two frames of the model.
        dtype, device: of the computation; stored_dtype: of the weights, if different.
        seed, bootstrap_replicates: of the intervals.
        utterances, skipped, unaligned: numbers of utterances used, skipped, and without an alignment.
        skipped_files: the first skipped files, each with the reason.
        seconds: duration of the audio used.
        processes: number of processes that shared the work.
        versions, date, command: of the software, of the run, on the command line.
        segmentation, importance: entries of those studies.
        other: entries of `report.json` that this version does not know.

    Example:
        >>> known = Provenance(model="org/model", corpus="/home/me/speech")
        >>> known["corpus"], known.revision, sorted(known)
        ('speech', None, ['corpus', 'model'])
    """

    model: str | None = None
    revision: str | None = None
    weights: str | None = None
    architecture: str | None = None
    layers: int | None = None
    heads_per_layer: int | None = None
    removed_heads: dict[str, list[int]] | None = None
    limited_span: list[Any] | None = None
    corpus: str | None = None
    configuration: str | None = None
    split: str | None = None
    corpus_digest: str | None = None
    phone_set: str | None = None
    relation_rate: str | None = None
    leave_out_own_segment: bool | None = None
    frame_hop_ms: float | None = None
    dtype: str | None = None
    stored_dtype: str | None = None
    device: str | None = None
    seed: int | None = None
    bootstrap_replicates: int | None = None
    utterances: int | None = None
    skipped: int | None = None
    skipped_files: list[str] | None = None
    unaligned: int | None = None
    seconds: float | None = None
    processes: int | None = None
    versions: dict[str, str] | None = None
    date: str | None = None
    command: str | None = None
    segmentation: dict[str, Any] | None = None
    importance: dict[str, Any] | None = None
    other: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in ((one.name, getattr(self, one.name)) for one in dataclasses.fields(self)):
            whole = name in ("model", "corpus") and isinstance(value, str) and _ABSOLUTE.match(value)
            shown = PureWindowsPath(value).name if whole else _without_places(value)
            object.__setattr__(self, name, shown)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Provenance:
        """The provenance that a mapping such as `report.json` describes.

        Raises:
            ReportError: if a known entry has the wrong type, or is out of bounds.
        """
        if isinstance(values, cls):
            return values
        hints = _hints()
        known: dict[str, Any] = {}
        for name in hints.keys() & values.keys():
            value = values[name].item() if isinstance(values[name], np.generic) else values[name]
            if not _fits(value, hints[name]):
                raise ReportError(f"the provenance is damaged: {name} cannot be {str(value)[:80]!r}")
            most = MOST_HEADS if name in ("layers", "heads_per_layer") else math.inf
            if isinstance(value, (int, float)) and not 0 <= value <= most:
                raise ReportError(f"the provenance is damaged: {name} cannot be {value}")
            known[name] = value
        return cls(**known, other={str(name): value for name, value in values.items() if name not in hints})

    def replace(self, **changes: Any) -> Provenance:
        """The same with other values."""
        return dataclasses.replace(self, **changes)

    def _known(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in _hints()}
        return {name: value for name, value in own.items() if value is not None} | dict(self.other)

    def __getitem__(self, name: str) -> Any:
        return self._known()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())


@cache
def _hints() -> dict[str, Any]:
    """The type of each entry, in order."""
    return {name: hint for name, hint in get_type_hints(Provenance).items() if name != "other"}


def _fits(value: Any, hint: Any) -> bool:
    """Whether a JSON value has a type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in arguments)
    if origin is dict:
        return isinstance(value, Mapping) and all(_fits(one, arguments[1]) for one in value.values())
    if origin is list:
        return isinstance(value, (list, tuple)) and all(_fits(one, arguments[0]) for one in value)
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def _without_places(value: Any) -> Any:
    """The value with absolute paths cut to their last part: where a file is on one machine is not published."""
    if isinstance(value, Mapping):
        return {name: _without_places(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_places(part) for part in value]
    if not isinstance(value, str):
        return value
    if _ABSOLUTE.match(value) and not re.search(r"[\s:]", value[2:]):
        return PureWindowsPath(value).name or value
    return _PATH.sub(r"\1", value.replace("file://", ""))
