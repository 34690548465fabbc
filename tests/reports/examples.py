"""Examples of reports, made of attention weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from sat_probe.reports.example import Example, make_example, map_codes


def example_of_weights(
    utterance_id: str, waveform: Any, sampling_rate: int, times: Any, attention: Any, phones: Any = ()
) -> Example:
    """Pack the weights (layers, heads, T, T) of all heads."""
    codes = map_codes(np.asarray(attention, dtype=np.float32))
    return make_example(utterance_id, waveform, sampling_rate, times, *codes, phones)
