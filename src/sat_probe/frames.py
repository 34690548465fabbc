"""Times of a model's frames, and the interval that a frame belongs to.

Positions are edges in samples: sample ``i`` covers ``[i, i + 1)``. A frame is at the centre of its receptive field, and
belongs to the interval ``[start, end)`` that contains this centre.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sat_probe.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class FrameGrid:
    """Equally spaced frames.

    Args:
        hop: samples from one frame centre to the next.
        first_centre: position of the centre of frame 0, in samples (200.0 = 12.5 ms for wav2vec2 at 16 kHz).
        sampling_rate: samples per second.

    Raises:
        ConfigurationError: if hop or sampling_rate is not positive.

    Examples:
        >>> FrameGrid(hop=320, first_centre=200.0).times(3)  # wav2vec 2.0
        array([0.0125, 0.0325, 0.0525])
    """

    hop: int
    first_centre: float
    sampling_rate: int = 16_000

    def __post_init__(self) -> None:
        if self.hop <= 0 or self.sampling_rate <= 0:
            raise ConfigurationError(f"hop and sampling_rate must be positive, got {self.hop} and {self.sampling_rate}")

    @property
    def hop_seconds(self) -> float:
        """Seconds from one frame centre to the next."""
        return self.hop / self.sampling_rate

    def centres(self, count: int) -> NDArray[np.float64]:
        """Return the centres of the first ``count`` frames, (count,), in samples."""
        return self.first_centre + self.hop * np.arange(count, dtype=np.float64)

    def times(self, count: int) -> NDArray[np.float64]:
        """Return the centres of the first ``count`` frames, (count,), in seconds."""
        return self.centres(count) / self.sampling_rate

    def frame_at(self, seconds: ArrayLike) -> NDArray[np.int64]:
        """Return the index of the frame with its centre nearest to each time (the later one on a tie; at least 0)."""
        position = np.asarray(seconds, dtype=np.float64) * self.sampling_rate
        return np.maximum(np.floor((position - self.first_centre) / self.hop + 0.5), 0).astype(np.int64)

    def stacked(self, factor: int) -> FrameGrid:
        """Return the grid of frames that stack ``factor`` consecutive frames, centred on their middle."""
        return replace(self, hop=self.hop * factor, first_centre=self.first_centre + self.hop * (factor - 1) / 2)

    def upsampled(self, factor: int) -> FrameGrid:
        """Return the grid after every frame is repeated ``factor`` times, the inverse of :meth:`stacked`.

        Raises:
            ConfigurationError: if the hop is not a multiple of ``factor``.
        """
        if self.hop % factor:
            raise ConfigurationError(f"a hop of {self.hop} samples cannot be divided into {factor} equal frames")
        hop = self.hop // factor
        return replace(self, hop=hop, first_centre=self.first_centre - hop * (factor - 1) / 2)


def label_frames(starts: ArrayLike, ends: ArrayLike, labels: ArrayLike, centres: ArrayLike) -> NDArray[np.int64]:
    """Return the label of the interval that contains each frame's centre.

    Args:
        starts: (segments,) first sample of each interval, ascending.
        ends: (segments,) sample after the last of each interval; intervals do not overlap.
        labels: (segments,) integers.
        centres: (frames,) frame centres in samples, ascending.

    Returns:
        (frames,) labels, -1 where no interval ``[start, end)`` contains the centre.
    """
    starts, ends, labels = (np.asarray(values, dtype=np.int64) for values in (starts, ends, labels))
    centres = np.asarray(centres, dtype=np.float64)
    if not starts.size:
        return np.full(centres.shape, -1, dtype=np.int64)
    segment = np.searchsorted(starts, centres, side="right") - 1
    inside = (segment >= 0) & (centres < ends[segment])
    return np.where(inside, labels[segment], -1)
