"""Forced alignment of English with PocketSphinx, offline: times of words and phones from text and audio.

The `pocketsphinx` package includes an acoustic model and the CMU dictionary. A first pass finds the words and pauses
on the grammar of the text, a second one the phones within them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sat_probe.audio import SAMPLING_RATE
from sat_probe.errors import AlignmentError
from sat_probe.phones.alignment import Alignment
from sat_probe.phones.phone_set import phone_set
from sat_probe.phones.readers.phn_ctm import read_text

FRAME = SAMPLING_RATE // 100
# A frame covers 410 samples from its start. The edge between two frames is midway between their centres.
_EDGE = (410 - FRAME) // 2
_LABELS = {"SIL": "sil", "+NSN+": "spn", "+SPN+": "spn"}
_WORD_MARKS = str.maketrans({"’": "'", "‘": "'", "`": "'"})


@dataclass(frozen=True, slots=True)
class AlignedUtterance:
    """Words (without pauses) and phones (``sil`` in pauses) of one utterance."""

    words: Alignment
    phones: Alignment


class ForcedAligner:
    """Aligner of English utterances; each process needs its own.

    Args:
        lexicon: pronunciations of words that the CMU dictionary lacks, one ``WORD PH PH PH`` per line (a word may occur
            several times); stress is ignored.

    Raises:
        AlignmentError: if PocketSphinx is not installed, or the lexicon is malformed.
    """

    def __init__(self, lexicon: str | Path | None = None) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise AlignmentError(
                "forced alignment needs PocketSphinx; in a checkout of sat-probe: "
                "pip install -c constraints.txt '.[align]'"
            ) from error
        # A best path through the word lattice may drop the final pause, and the second pass then fails. These beams
        # prune nothing: on the grammar of one text an exact search is cheap, and an unusual phone does not end it.
        self._decoder: Any = Decoder(lm=None, bestpath=False, beam=1e-200, pbeam=1e-200, wbeam=1e-200, loglevel="FATAL")
        self._lexicon = read_lexicon(lexicon) if lexicon is not None else {}
        self._added: set[str] = set()

    def unknown_words(self, text: str) -> list[str]:
        """Words of a text, in order, that are neither in the dictionary nor in the lexicon."""
        return [word for word in split_words(text) if self._spelling(word) is None]

    def align(self, utterance_id: str, waveform: NDArray[np.float32], text: str) -> AlignedUtterance:
        """Align one utterance.

        Args:
            utterance_id: name of the utterance in error messages.
            waveform: (samples,) at 16 kHz, in -1 .. 1.
            text: what is said; punctuation and case are ignored.

        Raises:
            AlignmentError: if the text is empty, has unknown words, or does not fit the audio.
        """
        words = split_words(text)
        if not words:
            raise AlignmentError(f"{utterance_id}: has no text to align")
        unknown = self.unknown_words(text)
        if unknown:
            raise AlignmentError(f"{utterance_id}: {unknown_words_message(unknown)}")
        spelled = [spelling for word in words for spelling in self._spelling(word) or []]
        samples = np.clip(np.rint(waveform * 32768), -32768, 32767).astype("<i2").tobytes()
        try:
            self._decoder.set_align_text(" ".join(spelled))
            self._decode(samples)
            self._decoder.set_alignment()
            self._decode(samples)
            found = [
                (word.name, [(phone.name, phone.start) for phone in word]) for word in self._decoder.get_alignment()
            ]
        except (RuntimeError, TypeError) as error:  # the decoder found no path through the audio
            raise AlignmentError(
                f"{utterance_id}: the text does not fit the audio ({len(waveform) / SAMPLING_RATE:.2f} s): "
                f"{' '.join(words)!r}; check that it is what is spoken"
            ) from error
        return _as_alignments(utterance_id, found, len(waveform))

    def _decode(self, samples: bytes) -> None:
        self._decoder.reinit_feat()  # discards the feature means of the utterance before
        self._decoder.start_utt()
        self._decoder.process_raw(samples, full_utt=True)
        self._decoder.end_utt()

    def _spelling(self, word: str) -> list[str] | None:
        """The dictionary's words for a word: itself, without quotes, or its hyphenated parts; None if unknown."""
        if self._decoder.lookup_word(word) is not None or word in self._added:
            return [word]
        if word in self._lexicon:
            for number, phones in enumerate(self._lexicon[word], start=1):
                self._decoder.add_word(word if number == 1 else f"{word}({number})", phones, False)
            self._added.add(word)
            return [word]
        bare = word.strip("'")
        if bare and bare != word:
            return self._spelling(bare)
        parts = [part for part in word.split("-") if part]
        if len(parts) < 2:
            return None
        spellings = [self._spelling(part) for part in parts]
        return None if None in spellings else [spelling for found in spellings for spelling in found or []]


def _as_alignments(utterance_id: str, found: list[tuple[str, list[tuple[str, int]]]], samples: int) -> AlignedUtterance:
    phones = [(name, start) for _, segments in found for name, start in segments]
    starts = np.array([start for _, start in phones], dtype=np.int64) * FRAME + _EDGE
    starts[0] = 0
    ends = np.append(starts[1:], samples)
    labels = tuple(_LABELS.get(name, name) for name, _ in phones)
    first = np.cumsum([0, *(len(segments) for _, segments in found)])
    spoken = [(name, i, j) for (name, _), i, j in zip(found, first, first[1:], strict=False) if name[0] not in "<["]
    words = Alignment(
        utterance_id,
        starts[[i for _, i, _ in spoken]],
        ends[[j - 1 for _, _, j in spoken]],
        tuple(re.sub(r"\(\d+\)$", "", name) for name, _, _ in spoken),
        SAMPLING_RATE,
        samples,
    )
    return AlignedUtterance(words, Alignment(utterance_id, starts, ends, labels, SAMPLING_RATE, samples))


def split_words(text: str) -> list[str]:
    """Words of a text in lower case, without punctuation except apostrophes and hyphens inside a word."""
    cleaned = re.sub(r"[^\w'\-]+|_+", " ", text.translate(_WORD_MARKS).lower())
    stripped = (word.strip("-") for word in cleaned.split())
    return [word for word in stripped if word.strip("'-")]


def unknown_words_message(words: list[str]) -> str:
    """One line with the first ten unknown words and what to do about them."""
    distinct = list(dict.fromkeys(words))
    more = f" and {len(distinct) - 10} more" if len(distinct) > 10 else ""
    return (
        f"{len(distinct)} word{'s' * (len(distinct) > 1)} unknown to the dictionary: {', '.join(distinct[:10])}{more}; "
        "give their pronunciations with a lexicon (--lexicon), and write numbers as words"
    )


def read_lexicon(path: str | Path) -> dict[str, list[str]]:
    """Read ``WORD PH PH PH`` lines: word in lower case -> pronunciations without stress.

    Raises:
        AlignmentError: with file and line, for a line without phones or a phone that ARPAbet lacks.
    """
    known = phone_set("arpabet-40")
    lexicon: dict[str, list[str]] = {}
    for number, line in enumerate(read_text(Path(path)).splitlines(), start=1):
        fields = line.split()
        if not fields or line.startswith(";;;"):
            continue
        word, phones = re.sub(r"\(\d+\)$", "", fields[0]).lower(), fields[1:]
        wrong = next((phone for phone in phones if phone not in known), None)
        if not phones or wrong is not None:
            problem = f"{wrong!r} is not an ARPAbet phone" if phones else "a word without phones"
            raise AlignmentError(f"{path}, line {number}: {problem}; expected 'WORD PH PH PH'")
        pronunciation = " ".join(re.sub(r"[012]$", "", phone).upper() for phone in phones)
        pronunciations = lexicon.setdefault(word, [])
        if pronunciation not in pronunciations:
            pronunciations.append(pronunciation)
    return lexicon
