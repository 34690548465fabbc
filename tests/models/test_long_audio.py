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
    torch.testing.assert_close(model.encode([waveform]).last_hidden_state, whole, atol=1e-5, rtol=1e-5)
    assert bool(calls) is (name != "mockingjay")
    assert "forward" not in getattr(model, "feature_extractor", model).__dict__


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_statistics_of_a_convolution_need_no_convolution(bias, offset, monkeypatch):
    """Also of several parts, and of a waveform far from zero, where mean and variance nearly cancel."""
    torch.manual_seed(0)
    convolution = torch.nn.Conv1d(1, 24, 10, stride=5, bias=bias)
    samples = 0.1 * torch.randn(2, 1, 5_003) + offset
    monkeypatch.setattr(long_audio, "_WINDOWS", 300)
    with torch.no_grad():
        mean, variance = long_audio._time_statistics(convolution, samples)
        hidden = convolution.double()(samples.double())
    torch.testing.assert_close(mean, hidden.mean(-1, keepdim=True), atol=1e-12, rtol=1e-10)
    torch.testing.assert_close(variance, hidden.var(-1, keepdim=True, correction=0), atol=1e-12, rtol=1e-9)
