"""Long audio, convolved piece by piece, gives the frames of a convolution at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sat_probe.models import long_audio
from tests.models.tiny_models import CONFIGURATIONS, tiny_model


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("piece", [1, 7, 40])
def test_pieces_equal_the_whole(name, piece, monkeypatch):
    model = tiny_model(name)
    waveform = np.random.default_rng(0).standard_normal(16_123).astype(np.float32) + 0.5
    whole = model.encode([waveform]).last_hidden_state
    calls = []
    convolve = long_audio._convolve
    monkeypatch.setattr(long_audio, "_convolve", lambda *arguments: calls.append(1) or convolve(*arguments))
    monkeypatch.setattr(long_audio, "WHOLE_FRAMES", 10)
    monkeypatch.setattr(long_audio, "PIECE_FRAMES", piece)
    torch.testing.assert_close(model.encode([waveform]).last_hidden_state, whole, atol=1e-4, rtol=1e-4)
    assert bool(calls) is (name != "mockingjay")
    assert "forward" not in getattr(model, "feature_extractor", model).__dict__
