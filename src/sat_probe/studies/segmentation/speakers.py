"""Split of aligned utterances into a validation and a test part, without a speaker in both."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from sat_probe.errors import ConfigurationError, CorpusError
from sat_probe.phones.corpora.rows import Utterance
from sat_probe.studies.segmentation.tally import Part


@dataclass(frozen=True, slots=True)
class SpeakerSplit:
    """Aligned utterances in two parts.

    Attributes:
        parts: the part of each aligned utterance, by id, in the order of the corpus.
        speakers: the speaker of each; its id where speakers are unknown, or there is only one.
        rate: reference boundaries per second of the validation part.
    """

    parts: dict[str, Part]
    speakers: dict[str, str]
    rate: float

    def speakers_of(self, part: Part) -> list[str]:
        """Return the speakers of a part, sorted."""
        return sorted({self.speakers[name] for name, own in self.parts.items() if own == part})


def split_speakers(corpus: Iterable[Utterance], share: float, seed: int) -> SpeakerSplit:
    """Split the aligned utterances of a corpus by speaker; by utterance if there are no two known speakers.

    Args:
        corpus: utterances.
        share: of the speakers that validate, 0 to 1.
        seed: random seed.

    Raises:
        CorpusError: if fewer than two utterances have an alignment.
        ConfigurationError: if share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise ConfigurationError(f"validation_share must lie between 0 and 1, got {share!r}")
    known: dict[str, str | None] = {}
    sizes: dict[str, tuple[int, float]] = {}  # boundaries, seconds
    for one in corpus:
        if one.alignment is not None and len(one.alignment) > 1:
            samples = one.alignment.duration or int(one.alignment.ends[-1])
            known[one.id] = one.speaker
            sizes[one.id] = len(one.alignment.boundaries()), samples / one.alignment.sampling_rate
    if len(known) < 2:
        raise CorpusError(
            f"boundary scores need at least two utterances with phone alignments, found {len(known)}; "
            "put .phn or TextGrid files next to the audio, or make them with sat-probe align"
        )
    by_speaker = len(set(known.values()) - {None}) > 1
    speakers = {name: own if by_speaker and own is not None else name for name, own in known.items()}
    groups = sorted(set(speakers.values()))
    order = np.random.default_rng(seed).permutation(len(groups))
    count = min(max(round(share * len(groups)), 1), len(groups) - 1)
    validating = {groups[index] for index in order[:count]}
    parts: dict[str, Part] = {
        name: "validation" if own in validating else "test" for name, own in speakers.items()
    }
    chosen = [sizes[name] for name, part in parts.items() if part == "validation"]
    rate = sum(boundaries for boundaries, _ in chosen) / sum(seconds for _, seconds in chosen)
    return SpeakerSplit(parts, speakers, rate)
