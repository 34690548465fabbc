"""Alignments: the labelled segments of one utterance, in exact samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat_probe.errors import AlignmentError
from sat_probe.frames import FrameGrid, label_frames
from sat_probe.phones.phone_set import SILENCE, PhoneSet

Gaps = Literal["refuse", "unlabelled", "silence"]
DURATION_TOLERANCE = 0.1  # seconds by which an alignment may differ from its audio; beyond, it is another's
SAME_MOMENT = 1e-3  # seconds; closer boundaries are one moment, written with a few decimals


def require_order(
    starts: ArrayLike,
    ends: ArrayLike,
    labels: Sequence[str],
    place: Callable[[int], str],
    show: Callable[[Any], str],
    *,
    tolerance: float = 0.0,
    gaps: Gaps = "unlabelled",
) -> None:
    """Require that no segment is empty, overlaps the one before, or follows a gap that ``gaps`` refuses.

    Args:
        starts, ends: (segments,) times in any unit.
        labels: (segments,) named in the error.
        place: says where the segment of an index is.
        show: writes a time with its unit.
        tolerance: boundaries that differ by no more are one boundary.
        gaps: what unlabelled time between two segments means.

    Raises:
        AlignmentError: about the first such segment.
    """
    starts, ends = np.asarray(starts), np.asarray(ends)
    empty = ends <= starts
    between = starts[1:] - ends[:-1]
    wrong = (between < -tolerance) | ((between > tolerance) & (gaps == "refuse"))
    found = np.flatnonzero(empty | np.append(False, wrong)[: len(starts)])
    if not len(found):
        return
    i = int(found[0])
    if empty[i]:
        problem = f"ends at {show(ends[i])}, not after its start at {show(starts[i])}"
    else:
        overlap = starts[i] < ends[i - 1]
        side = "before" if overlap else "after"
        what = "overlap" if overlap else "leave a gap; gaps (--gaps) says what unlabelled time means"
        problem = (
            f"starts at {show(starts[i])}, {side} the end of {labels[i - 1]!r} at {show(ends[i - 1])}: "
            f"the segments {what}"
        )
    raise AlignmentError(f"{place(i)}{labels[i]!r} {problem}")


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """Labelled segments of one utterance. Two alignments are equal if their utterances and segments are.

    Args:
        utterance_id: the utterance, named in every error.
        starts: (segments,) first sample of each segment.
        ends: (segments,) sample after the last one, ``ends[i] <= starts[i + 1]``.
        labels: (segments,) labels as transcribed.
        sampling_rate: samples per second, in which starts and ends count.
        duration: samples of audio, if known.

    Raises:
        AlignmentError: if the arrays differ in length, a segment is empty or negative, two overlap, or the last one
            ends more than 0.1 s after the audio.
    """

    utterance_id: str
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    labels: tuple[str, ...]
    sampling_rate: int = 16_000
    duration: int | None = None

    def __post_init__(self) -> None:
        for name in ("starts", "ends"):
            samples = np.array(getattr(self, name), dtype=np.int64).reshape(-1)
            samples.flags.writeable = False
            object.__setattr__(self, name, samples)
        object.__setattr__(self, "labels", tuple(self.labels))
        starts, ends, labels = self.starts, self.ends, self.labels
        if not len(starts) == len(ends) == len(labels):
            raise self._error(f"{len(starts)} starts, {len(ends)} ends and {len(labels)} labels; expected equally many")
        if not labels:
            raise self._error("holds no segment; leave the alignment out instead")
        if starts[0] < 0:
            raise self._error(f"{labels[0]!r} starts at {self._seconds(starts[0])}, before the audio")
        self._require_order("unlabelled")
        if self.duration is not None and ends[-1] > self.duration + DURATION_TOLERANCE * self.sampling_rate:
            raise self._error(
                f"{labels[-1]!r} ends at {self._seconds(ends[-1])}, but the audio is {self._seconds(self.duration)} "
                "long; the alignment probably belongs to another file"
            )

    def _require_order(self, gaps: Gaps) -> None:
        def place(segment: int) -> str:
            return f"{self.utterance_id}: segment {segment + 1}, "

        require_order(self.starts, self.ends, self.labels, place, self._seconds, gaps=gaps)

    def _error(self, problem: str) -> AlignmentError:
        return AlignmentError(f"{self.utterance_id}: {problem}")

    def _seconds(self, samples: int | np.int64) -> str:
        return f"{samples / self.sampling_rate:.4f} s"

    def __len__(self) -> int:
        return len(self.labels)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Alignment):
            return NotImplemented
        return (
            self.utterance_id == other.utterance_id
            and self.labels == other.labels
            and self.sampling_rate == other.sampling_rate
            and np.array_equal(self.starts, other.starts)
            and np.array_equal(self.ends, other.ends)
        )

    def __hash__(self) -> int:
        return hash((self.utterance_id, self.labels, self.sampling_rate, self.ends.tobytes()))

    @classmethod
    def from_seconds(
        cls,
        utterance_id: str,
        starts: Sequence[float],
        ends: Sequence[float],
        labels: Iterable[str],
        *,
        gaps: Gaps,
        sampling_rate: int = 16_000,
        duration: int | None = None,
    ) -> Alignment:
        """Return the alignment with times rounded to samples; boundaries less than 1 ms apart become one.

        Args:
            utterance_id: the utterance.
            starts: (segments,) seconds.
            ends: (segments,) seconds.
            labels: (segments,) labels.
            gaps: what time between two segments, or between the first or last one and the audio's edge, means: an error
                (between segments only), no label, or silence.
            sampling_rate: samples per second.
            duration: samples of audio, if known.

        Raises:
            AlignmentError: as the class does, for NaN times, and for a gap with ``gaps="refuse"``.
        """
        labels = tuple(labels)
        seconds = np.array([starts, ends], dtype=np.float64)
        if not np.isfinite(seconds).all():
            raise AlignmentError(f"{utterance_id}: holds a time that is NaN or infinite")
        samples = np.rint(seconds * sampling_rate).astype(np.int64)
        if samples.shape[1] > 1:
            between = seconds[0, 1:] - seconds[1, :-1]
            near = (np.abs(between) < SAME_MOMENT) & ((between < 0) | (gaps != "unlabelled"))
            samples[1, :-1] = np.where(near, samples[0, 1:], samples[1, :-1])
        alignment = cls(utterance_id, samples[0], samples[1], labels, sampling_rate, duration)
        match gaps:
            case "refuse":
                alignment._require_order("refuse")
            case "silence":
                alignment = alignment.with_silence_in_gaps()
        return alignment

    def with_silence_in_gaps(self, label: str = SILENCE) -> Alignment:
        """The alignment with ``label`` wherever nothing is labelled, up to the end of the audio if known."""
        before, after = np.r_[0, self.ends], np.r_[self.starts, max(self.duration or 0, self.ends[-1])]
        gaps = after > before
        starts, ends = np.r_[self.starts, before[gaps]], np.r_[self.ends, after[gaps]]
        labels = [*self.labels, *[label] * int(gaps.sum())]
        order = np.argsort(starts)
        return self._with(starts[order], ends[order], tuple(labels[i] for i in order))

    def _with(self, starts: NDArray[np.int64], ends: NDArray[np.int64], labels: tuple[str, ...]) -> Alignment:
        return Alignment(self.utterance_id, starts, ends, labels, self.sampling_rate, self.duration)

    def boundaries(self, edges: bool = False) -> NDArray[np.float64]:
        """Times where a segment starts or ends, ascending, in seconds.

        Args:
            edges: include the start of the first and the end of the last segment.
        """
        samples = np.unique(np.concatenate([self.starts, self.ends]))
        return (samples if edges else samples[1:-1]) / self.sampling_rate

    def folded(self, phone_set: PhoneSet) -> Alignment:
        """The segments with labels folded into a phone set; a segment whose label is deleted leaves a gap.

        Neighbours that fold into the same phone stay two segments (see :meth:`merged`).

        Raises:
            AlignmentError: for a label that the set does not know, or if no segment remains.
        """
        kept = [(i, phone) for i, phone in enumerate(self._fold(phone_set)) if phone is not None]
        index = np.array([i for i, _ in kept], dtype=np.int64)
        labels = tuple(phone for _, phone in kept)
        return self._with(self.starts[index], self.ends[index], labels)

    def merged(self) -> Alignment:
        """The alignment with adjacent segments of the same label joined."""
        same = [left == right for left, right in zip(self.labels, self.labels[1:], strict=False)]
        new = np.r_[True, ~(np.array(same, dtype=bool) & (self.starts[1:] == self.ends[:-1]))]
        labels = tuple(label for label, first in zip(self.labels, new, strict=True) if first)
        last = np.r_[new[1:], True]
        return self._with(self.starts[new], self.ends[last], labels)

    def frame_labels(self, phone_set: PhoneSet, grid: FrameGrid, count: int) -> NDArray[np.int64]:
        """The phone of each frame: the one whose segment contains the frame's centre.

        Args:
            phone_set: the inventory that numbers the phones.
            grid: centres of the frames; its sampling rate must be the alignment's.
            count: number of frames.

        Returns:
            (count,) positions in ``phone_set.phones``, -1 where nothing is labelled.

        Raises:
            AlignmentError: for an unknown label or another sampling rate.
        """
        if grid.sampling_rate != self.sampling_rate:
            raise self._error(
                f"the alignment counts {self.sampling_rate} Hz samples, the frames {grid.sampling_rate} Hz ones"
            )
        position = {phone: i for i, phone in enumerate(phone_set.phones)}
        codes = [-1 if phone is None else position[phone] for phone in self._fold(phone_set)]
        return label_frames(self.starts, self.ends, codes, grid.centres(count))

    def _fold(self, phone_set: PhoneSet) -> list[str | None]:
        try:
            return [phone_set.fold(label) for label in self.labels]
        except AlignmentError as error:
            raise self._error(str(error)) from None
