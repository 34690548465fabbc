"""What one visitor works on. It lives in their session alone and is forgotten with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sat_probe.demo.guard import delete_upload
from sat_probe.demo.settings import ModelChoice


@dataclass(slots=True)
class Session:
    """A recording, and the model that read it.

    Attributes:
        model: the visitor's choice; None before the first analysis.
        name: of the recording.
        source: the upload that the samples came from, which is deleted by now; None for an example.
        waveform: (samples,) at 16 kHz.
        phones: (start s, end s, label); empty if they are not known.
        head: (layer, head) in detail.
    """

    model: ModelChoice | None = None
    name: str = ""
    source: str | None = None
    waveform: NDArray[np.float32] | None = None
    phones: tuple[tuple[float, float, str], ...] = ()
    head: tuple[int, int] = (0, 0)

    def forget(self) -> None:
        """Delete what is left of the visitor's recording."""
        delete_upload(self.source)
        self.waveform, self.phones = None, ()
