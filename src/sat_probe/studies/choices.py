"""Which model and which corpus: plain values, so that a demo or a command line can choose without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model, and where it computes.

    Attributes:
        model: name on the Hub, folder, "bundled" or None (the Mockingjay that comes with sat-probe), or a model in
            memory.
        revision: branch, tag or commit of a model on the Hub.
        allow_pickle: read weights from pytorch_model.bin where there are no safetensors.
        device: where to compute; by default the launcher's device, else a GPU if there is one.
        dtype: type of the weights; by default float32.
    """

    model: Any = None
    revision: str | None = None
    allow_pickle: bool = False
    device: str | torch.device | None = None
    dtype: str | torch.dtype | None = None


@dataclass(frozen=True, slots=True)
class CorpusChoice:
    """Which corpus, as `load_corpus` takes it.

    Attributes:
        dataset: name, folder, id on the Hub, or a corpus in memory; None is the bundled speech.
        configuration: of a dataset on the Hub that has several.
        data_dir: directory of a named corpus.
        split: part of the corpus.
        limit: only the first so many utterances.
        alignments: where phone alignments are; next to the audio by default.
        streaming: read utterances as they come.
        phone_set: fold phones into this set.
        tier: TextGrid tier that holds the phones.
        gaps: what unlabelled time between two segments means.
        sampling_rate: of bare arrays (Hz).
    """

    dataset: Any = None
    configuration: str | None = None
    data_dir: str | Path | None = None
    split: str | None = None
    limit: int | None = None
    alignments: str | Path | None = None
    streaming: bool = False
    phone_set: str | None = None
    tier: str | None = None
    gaps: str | None = None
    sampling_rate: int | None = None
