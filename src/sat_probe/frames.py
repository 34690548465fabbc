"""Where a model's frames sit in time, and which phone a frame belongs to: one rule, used everywhere.

Positions are in samples, as edges: sample ``i`` fills ``[i, i + 1)``. A frame is represented by the centre of its
receptive field, and it belongs to the interval ``[start, end)`` that holds this centre.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class FrameGrid:
    """Equally spaced frames.

    Args:
        hop: samples from one frame centre to the next.
        first_centre: position of the centre of frame 0, in samples (200.0 = 12.5 ms for wav2vec2 at 16 kHz).
        sampling_rate: samples per second.

    Raises:
        ValueError: if hop or sampling_rate is not positive.
    """

    hop: int
    first_centre: float
    sampling_rate: int = 16_000

    def __post_init__(self) -> None:
        if self.hop <= 0 or self.sampling_rate <= 0:
            raise ValueError(
                f"hop and sampling_rate must be positive, got {self.hop} and {self.sampling_rate}"
            )

    @property
    def hop_seconds(self) -> float:
        """Seconds from one frame centre to the next."""
        return self.hop / self.sampling_rate

    def centres(self, count: int) -> NDArray[np.float64]:
        """Centres of the first ``count`` frames, shape (count,), in samples."""
        return self.first_centre + self.hop * np.arange(count, dtype=np.float64)

    def times(self, count: int) -> NDArray[np.float64]:
        """Centres of the first ``count`` frames, shape (count,), in seconds."""
        return self.centres(count) / self.sampling_rate

    def frame_at(self, seconds: ArrayLike) -> NDArray[np.int64]:
        """Index of the frame whose centre is nearest to each moment (the later one on a tie, never below 0)."""
        position = np.asarray(seconds, dtype=np.float64) * self.sampling_rate
        return np.maximum(np.floor((position - self.first_centre) / self.hop + 0.5), 0).astype(np.int64)

    def stacked(self, factor: int) -> FrameGrid:
        """The grid after every ``factor`` consecutive frames were stacked into one, centred on their middle."""
        return replace(
            self, hop=self.hop * factor, first_centre=self.first_centre + self.hop * (factor - 1) / 2
        )

    def upsampled(self, factor: int) -> FrameGrid:
        """The grid after every frame was repeated ``factor`` times: undoes :meth:`stacked`.

        Raises:
            ValueError: if the hop is not a multiple of ``factor``.
        """
        if self.hop % factor:
            raise ValueError(f"a hop of {self.hop} samples cannot be divided into {factor} equal frames")
        hop = self.hop // factor
        return replace(self, hop=hop, first_centre=self.first_centre - hop * (factor - 1) / 2)


def label_frames(
    starts: ArrayLike, ends: ArrayLike, labels: ArrayLike, centres: ArrayLike
) -> NDArray[np.int64]:
    """The label of the interval that holds each frame's centre.

    Args:
        starts: (segments,) first sample of each interval, ascending.
        ends: (segments,) sample after the last one; intervals do not overlap.
        labels: (segments,) integers.
        centres: (frames,) frame centres in samples, ascending.

    Returns:
        (frames,) labels, -1 where no interval ``[start, end)`` holds the centre.
    """
    starts, ends, labels = (np.asarray(values, dtype=np.int64) for values in (starts, ends, labels))
    centres = np.asarray(centres, dtype=np.float64)
    if not starts.size:
        return np.full(centres.shape, -1, dtype=np.int64)
    segment = np.searchsorted(starts, centres, side="right") - 1
    inside = (segment >= 0) & (centres < ends[segment])
    return np.where(inside, labels[segment], -1)
