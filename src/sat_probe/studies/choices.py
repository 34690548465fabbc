"""Choice of a model, a corpus, a run and a scoring rule: plain values, made without importing torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from sat_probe.measures.boundaries.counting import Counting

if TYPE_CHECKING:
    import torch

    from sat_probe.phones.alignment import Gaps

BUNDLED = "bundled"


class StudyKeywords(TypedDict, total=False):
    """Keywords that every study takes.

    Attributes:
        configuration: of a dataset on the Hub that has several.
        data_dir: directory of a named corpus on this machine.
        split: part of the corpus.
        limit: use only the first utterances, at most this many.
        alignments: folder, archive or table of phone alignments; by default the files next to the audio.
        streaming: read utterances as they come, without downloading or listing the corpus first.
        phone_set: fold phones into this set, for corpora with alignments.
        tier: TextGrid tier that holds the phones.
        gaps: meaning of unlabelled time between two segments: "refuse", "unlabelled" or "silence".
        sampling_rate: of audio given as bare arrays (Hz).
        revision: branch, tag or commit of a model on the Hub.
        allow_pickle: read weights from pytorch_model.bin where there are no safetensors.
        device: where to compute; by default a model in memory stays where it is, and others go to the launcher's
            device, else to a GPU if there is one.
        dtype: "float32", "bfloat16" or "float16"; by default float32, and for a model in memory its own.
        output: save the report into this folder, and while running checkpoints next to it.
        overwrite: replace a report of another model or corpus in `output`.
        resume: continue from the checkpoints that a killed run with the same arguments left next to `output`.
        strict: stop at the first file that cannot be used, instead of counting it.
        progress: show a progress bar on standard error.
    """

    configuration: str | None
    data_dir: str | Path | None
    split: str | None
    limit: int | None
    alignments: str | Path | None
    streaming: bool
    phone_set: str | None
    tier: str | None
    gaps: Gaps | None
    sampling_rate: int | None
    revision: str | None
    allow_pickle: bool
    device: str | torch.device | None
    dtype: str | torch.dtype | None
    output: str | Path | None
    overwrite: bool
    resume: bool
    strict: bool
    progress: bool


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model, and where it computes. Hashable if the model is, so that loaded models can be kept by choice.

    Attributes:
        model: name on the Hub, folder, "bundled" or None (the Mockingjay that comes with sat-probe), or a model in
            memory.
        revision, allow_pickle, device, dtype: as in `StudyKeywords`.
    """

    model: Any = None
    revision: str | None = None
    allow_pickle: bool = False
    device: str | torch.device | None = None
    dtype: str | torch.dtype | None = None

    @property
    def is_bundled(self) -> bool:
        """True for the Mockingjay that comes with sat-probe."""
        return self.model is None or self.model == BUNDLED

    @property
    def name(self) -> str:
        """Name in reports: "bundled", the name on the Hub, or of the folder; never a path of one machine."""
        if self.is_bundled:
            return BUNDLED
        if isinstance(self.model, (str, Path)):
            return shown_name(self.model)
        loaded_from = getattr(getattr(self.model, "config", None), "_name_or_path", None)
        return shown_name(loaded_from) if loaded_from else type(self.model).__name__


@dataclass(frozen=True, slots=True)
class CorpusChoice:
    """A corpus, as `load_corpus` takes it.

    Attributes:
        dataset: name, folder, id on the Hub, or a corpus in memory; None is the bundled speech.
        configuration, data_dir, split, limit, alignments, streaming, phone_set, tier, gaps, sampling_rate: as in
            `StudyKeywords`.
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
    gaps: Literal["refuse", "unlabelled", "silence"] | None = None  # `Gaps`, spelled for readers of YAML
    sampling_rate: int | None = None


@dataclass(frozen=True, slots=True)
class Scoring:
    """The rule by which predicted phone boundaries are matched; None stands for no choice.

    Attributes:
        counting: rule of the score, see `sat_probe.measures.boundaries.score`.
        tolerance: of a boundary (s).
    """

    counting: Counting | None = None
    tolerance: float | None = None


def shown_name(name: str | Path) -> str:
    """Return a name on the Hub unchanged, and only the last part of a path, so that no report shows a private path."""
    text, path = str(name), Path(name)
    is_path = path.is_absolute() or text.startswith((".", "~")) or text.count("/") > 1 or path.is_dir()
    return path.expanduser().resolve().name if text and is_path else text
