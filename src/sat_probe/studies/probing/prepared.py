"""What probes learn from: model inputs and labels of a corpus on disk, and a split by utterance in which every speaker
is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm.auto import tqdm

from sat_probe.errors import CorpusError
from sat_probe.models.inputs_outputs import ModelInputs
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.studies.corpus_pass.batches import AudioStream, no_audio_left

Part = Literal["train", "dev", "test"]
PARTS: tuple[Part, ...] = ("train", "dev", "test")
HELD_OUT = 0.2  # of each speaker's utterances for dev, and as many for test


@dataclass(frozen=True, slots=True)
class ProbingCorpus:
    """A corpus as one model sees it. Frames of all utterances stand one after the other.

    Attributes:
        folder: where the model inputs are.
        batches: how many.
        ids: (utterances,) in the order of the batches.
        speakers: (utterances,) number of the speaker, -1 where unknown.
        speaker_names: what the numbers mean.
        parts: (utterances,) index into PARTS.
        lengths: (utterances,) encoder frames.
        phones: (frames,) number of the phone at each frame's centre, -1 where none is.
        phone_names: what the numbers mean.
        seconds: of audio.
        skipped: utterances whose audio could not be used.
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
    seconds: float
    skipped: int

    @property
    def first_frames(self) -> NDArray[np.int64]:
        """(utterances + 1,) where each utterance begins among all frames."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    @property
    def frame_utterances(self) -> NDArray[np.int64]:
        """(frames,) which utterance each frame belongs to."""
        return np.repeat(np.arange(len(self.ids)), self.lengths)

    def in_part(self, part: Part) -> NDArray[np.bool_]:
        """(utterances,) which of them belong to a part."""
        return self.parts == PARTS.index(part)

    def inputs(self) -> Iterator[tuple[int, ModelInputs]]:
        """Batches from disk, each with the index of its first utterance."""
        first = 0
        for index in range(self.batches):
            with np.load(self.folder / f"inputs-{index}.npz") as stored:
                lengths = tuple(int(length) for length in stored["lengths"])
                tensors = {
                    name.removeprefix("tensor-"): torch.from_numpy(stored[name])
                    for name in stored.files
                    if name != "lengths"
                }
            yield first, ModelInputs(tensors, lengths)
            first += len(lengths)


def collect(
    model: ProbedModel, corpus: Corpus, folder: Path, seed: int = 0, progress: bool = False
) -> ProbingCorpus:
    """Prepare a corpus for many passes: model inputs and labels to disk, once.

    Args:
        model: whose feature extractor and frame grid count.
        corpus: utterances, with speakers and alignments as far as it has them.
        folder: for the model inputs.
        seed: of the split.
        progress: show a progress bar.

    Raises:
        CorpusError: if none of its audio can be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stream = AudioStream(model)
    ids: list[str] = []
    names: list[str | None] = []
    lengths: list[int] = []
    labels: list[NDArray[np.int64]] = []
    seconds, batches = 0.0, 0
    total = None if corpus.is_streaming else len(corpus)
    with tqdm(total=total, unit="utt", desc="Preparing", disable=not progress) as bar:
        for count, window in stream.windows(corpus):
            for batch in window:
                seconds += batch.seconds
                for inputs in batch.inputs:
                    arrays: dict[str, Any] = {
                        f"tensor-{name}": tensor.cpu().numpy() for name, tensor in inputs.tensors.items()
                    }
                    np.savez(folder / f"inputs-{batches}.npz", lengths=np.array(inputs.lengths), **arrays)
                    batches += 1
                for utterance, length in zip(batch.utterances, batch.lengths, strict=True):
                    ids.append(utterance.id)
                    names.append(utterance.speaker)
                    lengths.append(length)
                    labels.append(
                        np.full(length, -1)
                        if utterance.alignment is None
                        else utterance.alignment.frame_labels(corpus.phone_set, model.frame_grid, length)
                    )
            bar.update(count)
    if not ids:
        raise no_audio_left(corpus.name, stream.skipped)
    speaker_names = tuple(sorted({name for name in names if name is not None}))
    codes = {name: code for code, name in enumerate(speaker_names)}
    return ProbingCorpus(
        folder=folder,
        batches=batches,
        ids=tuple(ids),
        speakers=np.array([-1 if name is None else codes[name] for name in names]),
        speaker_names=speaker_names,
        parts=split_by_utterance(ids, names, seed),
        lengths=np.array(lengths),
        phones=np.concatenate(labels),
        phone_names=corpus.phone_set.phones,
        seconds=seconds,
        skipped=len(stream.skipped),
    )


def split_by_utterance(
    ids: Sequence[str], speakers: Sequence[str | None], seed: int = 0
) -> NDArray[np.int64]:
    """Part of each utterance, so that the speakers of dev and test are in train too (a closed set).

    Of each speaker a fifth of the utterances, at least one, goes to dev and as much to test, chosen by a hash of their
    ids; speakers with fewer than three stay in train.

    Returns:
        (utterances,) index into PARTS.

    Raises:
        CorpusError: if nothing would be left to test on.
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
