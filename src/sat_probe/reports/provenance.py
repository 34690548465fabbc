"""`Provenance`: what a report was measured with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Provenance(Mapping[str, Any]):
    """What a report was measured with, the ``provenance`` of `report.json`; None is unknown.

    Also a read-only mapping of what is known: ``provenance["model"]``, ``provenance.get("revision")``.

    Attributes:
        model: name on the Hub, name of its folder, or "bundled"; never a path of one machine.
        revision: commit of a model on the Hub.
        weights: SHA-256 of the weights.
        architecture: class of transformers.
        removed_heads: heads the model lost for good, per layer.
        limited_span: (frames, "mask" or "zero") of a model whose attention reaches only so far.
        corpus: name of the corpus, split: part of it, configuration: of a dataset on the Hub.
        corpus_digest: SHA-256 of the content: ids, sizes and alignments of the utterances.
        phone_set: its labels are folded into this set.
        utterances, skipped, unaligned, seconds: what was used, left out, without alignment (counts), and the audio.
        skipped_files: the first of those left out, each with its reason.
        dtype, device: of the computation; stored_dtype: of the weights, where it differs.
        seed, bootstrap_replicates: of the intervals.
        processes: how many shared the work.
        segmentation, importance: what those studies add.
        other: entries of `report.json` that this version does not know.
    """

    model: str | None = None
    revision: str | None = None
    weights: str | None = None
    architecture: str | None = None
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

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Provenance:
        """The provenance that a mapping, such as `report.json`'s, describes."""
        if isinstance(values, cls):
            return values
        known = {one.name for one in dataclasses.fields(cls)} - {"other"}
        other = {name: value for name, value in values.items() if name not in known}
        return cls(**{name: value for name, value in values.items() if name in known}, other=other)

    def replace(self, **changes: Any) -> Provenance:
        """The same with other values."""
        return dataclasses.replace(self, **changes)

    def _known(self) -> dict[str, Any]:
        own = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name != "other"}
        return {name: value for name, value in own.items() if value is not None} | dict(self.other)

    def __getitem__(self, name: str) -> Any:
        return self._known()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def __len__(self) -> int:
        return len(self._known())
