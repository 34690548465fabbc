"""A corpus prepared for probing: model inputs on disk, labels, and a split by utterance with the same speakers in all
parts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from sat_probe.errors import CorpusError
from sat_probe.measures.cepstra import cepstra_grid, log_mel, standardized
from sat_probe.models.inputs_outputs import ModelInputs
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.phones.phone_set import PhoneSet
from sat_probe.studies.corpus_pass.accumulation import Accumulator, CorpusPass
from sat_probe.studies.corpus_pass.batches import Batch, Samples

Part = Literal["train", "dev", "test"]
MissingPhones = Literal["refuse", "ignore"]
LOG_MEL = "log_mel"
PARTS: tuple[Part, ...] = ("train", "dev", "test")
HELD_OUT = 0.2  # share of each speaker's utterances in dev, and in test


@dataclass(frozen=True, slots=True)
class ProbingCorpus:
    """A corpus prepared for one model, with the frames of all utterances one after the other.

    Attributes:
        folder: of the model inputs.
        batches: number of their files.
        ids: (utterances,) in the order of the batches.
        speakers: (utterances,) index into speaker_names, -1 where unknown.
        speaker_names: names of the speakers.
        parts: (utterances,) index into PARTS.
        lengths: (utterances,) encoder frames.
        phones: (frames,) index into phone_names of the phone at each frame's centre, -1 where there is none.
        phone_names: names of the phones.
        seed: random seed of the split, and of the probes and intervals.
        missing_phones: what to do with phones that do not occur in train.
    """

    folder: Path
    batches: int
    ids: tuple[str, ...]
    speakers: NDArray[np.int64]
    speaker_names: tuple[str, ...]
    parts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    phones: NDArray[np.int64]
    phone_names: tuple[str, ...]
    seed: int = 0
    missing_phones: MissingPhones = "refuse"

    @property
    def first_frames(self) -> NDArray[np.int64]:
        """(utterances + 1,) first frame of each utterance among all frames, and their number."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    @property
    def frame_utterances(self) -> NDArray[np.int64]:
        """(frames,) which utterance each frame belongs to."""
        return np.repeat(np.arange(len(self.ids)), self.lengths)

    def in_part(self, part: Part) -> NDArray[np.bool_]:
        """(utterances,) which of them belong to a part."""
        return self.parts == PARTS.index(part)

    def inputs(self, device: str | torch.device = "cpu") -> Iterator[tuple[int, ModelInputs]]:
        """Yield the batches from disk on a device, each with the index of its first utterance."""
        first = 0
        for index in range(self.batches):
            with np.load(self.folder / f"inputs-{index}.npz") as stored:
                lengths = tuple(int(length) for length in stored["lengths"])
                tensors = {
                    name.removeprefix("tensor-"): torch.from_numpy(stored[name]).to(device)
                    for name in stored.files
                    if name.startswith("tensor-")
                }
            yield first, ModelInputs(tensors, lengths)
            first += len(lengths)

    def log_mel(self) -> Iterator[NDArray[np.float32]]:
        """Yield the log-mel spectra of each batch, (frames, bands), if they were written."""
        for index in range(self.batches):
            with np.load(self.folder / f"inputs-{index}.npz") as stored:
                yield stored[LOG_MEL]


def collect(
    model: ProbedModel,
    corpus: Corpus,
    folder: Path,
    seed: int = 0,
    progress: bool = False,
    *,
    strict: bool = False,
    log_mel: bool = False,
    missing_phones: MissingPhones = "refuse",
) -> ProbingCorpus:
    """Prepare a corpus for many passes: write model inputs and labels to disk once.

    Args:
        model: whose feature extractor and frame grid are used.
        corpus: utterances, with speakers and alignments as far as it has them.
        folder: for the model inputs.
        seed: random seed for the split, the probes and the intervals.
        progress: show a progress bar.
        strict: stop at the first file that cannot be used.
        log_mel: also write log-mel spectra, the targets of the reconstruction proxy.
        missing_phones: ``refuse`` or ``ignore`` phones that do not occur in train.

    Raises:
        CorpusError: if none of its audio can be used.
        AudioError: at the first bad file, if strict.
    """
    folder.mkdir(parents=True, exist_ok=True)
    found = _Prepared(model, corpus.phone_set, folder, log_mel)
    CorpusPass(model, corpus, {"prepared": found}, strict=strict, caption="Preparing").run(progress=progress)
    speaker_names = tuple(sorted({name for name in found.speakers if name is not None}))
    codes = {name: code for code, name in enumerate(speaker_names)}
    return ProbingCorpus(
        folder=folder,
        batches=found.batches,
        ids=tuple(found.ids),
        speakers=np.array([-1 if name is None else codes[name] for name in found.speakers]),
        speaker_names=speaker_names,
        parts=split_by_utterance(found.ids, found.speakers, seed),
        lengths=np.array(found.lengths),
        phones=np.concatenate(found.phones),
        phone_names=corpus.phone_set.phones,
        seed=seed,
        missing_phones=missing_phones,
    )


@dataclass(slots=True)
class _Prepared(Accumulator):
    """Model inputs on disk, with log-mel spectra if wanted; what is known of each utterance in memory."""

    model: ProbedModel
    phone_set: PhoneSet
    folder: Path
    waveforms: bool  # wanted for log-mel spectra
    batches: int = 0
    ids: list[str] = field(default_factory=list)
    speakers: list[str | None] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    phones: list[NDArray[np.int64]] = field(default_factory=list)

    def end(self, batch: Batch) -> None:
        """Add a batch."""
        first = 0
        for inputs in batch.inputs:
            last = first + len(inputs.lengths)
            arrays: dict[str, Any] = {f"tensor-{name}": tensor.cpu().numpy() for name, tensor in inputs.tensors.items()}
            if self.waveforms:
                arrays[LOG_MEL] = self._spectra(batch.waveforms[first:last], inputs.lengths)
            np.savez(self.folder / f"inputs-{self.batches}.npz", lengths=np.array(inputs.lengths), **arrays)
            self.batches += 1
            first = last
        for utterance, length in zip(batch.utterances, batch.lengths, strict=True):
            self.ids.append(utterance.id)
            self.speakers.append(utterance.speaker)
            self.lengths.append(length)
            self.phones.append(
                np.full(length, -1)
                if utterance.alignment is None
                else utterance.alignment.frame_labels(self.phone_set, self.model.frame_grid, length)
            )

    def _spectra(self, waveforms: Sequence[Samples], lengths: Sequence[int]) -> NDArray[np.float32]:
        """Return normalised log-mel spectra at the centre of each frame, (frames, bands), of all utterances."""
        rate = self.model.sampling_rate
        spectra = []
        for waveform, length in zip(waveforms, lengths, strict=True):
            mel = standardized(log_mel(waveform, sampling_rate=rate))
            nearest = cepstra_grid(sampling_rate=rate).frame_at(self.model.frame_grid.times(length))
            spectra.append(mel[np.minimum(nearest, len(mel) - 1)].astype(np.float32))
        return np.concatenate(spectra)


def split_by_utterance(ids: Sequence[str], speakers: Sequence[str | None], seed: int = 0) -> NDArray[np.int64]:
    """Return the part of each utterance, such that the speakers of dev and test occur in train too (a closed set).

    A fifth of each speaker's utterances, at least one, goes to dev and another fifth to test, chosen by a hash of their
    ids. Speakers with fewer than three utterances stay in train.

    Returns:
        (utterances,) index into PARTS.

    Raises:
        CorpusError: if test would be empty.
    """
    parts = np.zeros(len(ids), dtype=np.int64)
    groups: dict[str | None, list[int]] = defaultdict(list)
    for index, speaker in enumerate(speakers):
        groups[speaker].append(index)
    for members in groups.values():
        members.sort(key=lambda index: blake2b(f"{seed}/{ids[index]}".encode(), digest_size=8).digest())
        held = max(1, round(HELD_OUT * len(members))) if len(members) > 2 else 0
        parts[members[:held]] = PARTS.index("test")
        parts[members[held : 2 * held]] = PARTS.index("dev")
    if not (parts == PARTS.index("test")).any():
        raise CorpusError(
            f"too few utterances to learn from some and test on others, {len(ids)} in all: three of one speaker are "
            f"the least (speakers found: {len(groups)})"
        )
    return parts
