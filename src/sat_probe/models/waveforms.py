"""What a model takes as waveforms, checked once at its door."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sat_probe.errors import AudioError

Waveform = NDArray[np.floating] | Tensor


def checked_waveforms(waveforms: Sequence[Waveform]) -> list[NDArray[np.floating]]:
    """Waveforms as arrays (samples,).

    Raises:
        AudioError: for anything else than floating-point samples of one channel; the message says what to do.
    """
    first = waveforms[0] if len(waveforms) and not isinstance(waveforms, (str, bytes)) else 0
    if isinstance(first, (int, float, np.number)) or (isinstance(first, Tensor) and not first.ndim):
        raise AudioError("give a list of waveforms, each (samples,), also where there is only one")
    return [_checked(waveform, index) for index, waveform in enumerate(waveforms)]


def _checked(waveform: Any, index: int) -> NDArray[np.floating]:
    samples = np.asarray(waveform.detach().cpu() if isinstance(waveform, Tensor) else waveform)
    if samples.dtype.kind not in "iuf":
        raise AudioError(
            f"waveform {index} is no array of samples but {type(waveform).__name__}; read_audio reads files"
        )
    if samples.ndim != 1:
        raise AudioError(f"waveform {index} has shape {samples.shape}: give one channel, (samples,)")
    if samples.dtype.kind != "f":
        raise AudioError(
            f"waveform {index} holds integers ({samples.dtype}): scale them to -1 ... 1, as read_audio does"
        )
    if not math.isfinite(samples.sum(dtype=np.float64)):
        raise AudioError(f"waveform {index} holds NaN or infinite samples")
    return samples
