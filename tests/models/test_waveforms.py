"""Waveforms are arrays or tensors of finite floats; anything else is refused by name, before a model sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sat_probe.errors import AudioError
from tests.models.tiny_models import tiny_model

NOISE = np.random.default_rng(0).standard_normal(8_000).astype(np.float32)


@pytest.mark.parametrize("name", ["mockingjay", "wav2vec2-group-norm"])
def test_tensors_and_lists_of_floats_are_what_arrays_are(name):
    model = tiny_model(name)
    wanted = model.encode([NOISE, NOISE]).last_hidden_state
    for given in ([torch.from_numpy(NOISE)] * 2, torch.from_numpy(np.stack([NOISE, NOISE])), [NOISE.tolist()] * 2):
        torch.testing.assert_close(model.encode(given).last_hidden_state, wanted, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "give a list of waveforms"),
        (NOISE, "give a list of waveforms"),
        ("speech.wav", "give a list of waveforms"),
        (
            [NOISE, Path("speech.wav")],
            "waveform 1 is not an array of samples but PosixPath; read files with read_audio",
        ),
        ([NOISE, None], "waveform 1 is not an array of samples but NoneType"),
        ([np.zeros((2, 8_000))], r"waveform 0 has shape \(2, 8000\): give one channel"),
        ([(NOISE * 9_999).astype(np.int16)], r"waveform 0 holds integers \(int16\): scale them to -1 ... 1"),
        ([NOISE, np.append(NOISE, np.nan)], "waveform 1 holds NaN"),
    ],
    ids=str,
)
def test_anything_else_is_refused(given, message):
    with pytest.raises(AudioError, match=message):
        tiny_model("wav2vec2-group-norm").encode(given)


def test_prepared_inputs_and_waveforms_do_not_mix():
    model = tiny_model("mockingjay")
    with pytest.raises(AudioError, match="waveform 0 is not an array of samples but ModelInputs"):
        model.encode([*model.prepare([NOISE]), NOISE])
