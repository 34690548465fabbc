"""Long audio, convolved piece by piece, gives the frames of a convolution at once."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from sat_probe.models import long_audio
from sat_probe.models.long_audio import ProductLayer, can_be_products
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
    monkeypatch.setattr(long_audio, "ROWS_FROM", 10)
    monkeypatch.setattr(long_audio, "ROWS_AT_ONCE", piece)
    torch.testing.assert_close(model.encode([waveform]).last_hidden_state, whole, atol=1e-5, rtol=1e-5)
    assert bool(calls) is (name != "mockingjay")
    assert not any("forward" in module.__dict__ for module in model.modules())


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_statistics_of_a_convolution_need_no_convolution(bias, offset, monkeypatch):
    """Also of several parts, and of a waveform far from zero, where mean and variance nearly cancel."""
    torch.manual_seed(0)
    convolution = torch.nn.Conv1d(1, 24, 10, stride=5, bias=bias)
    samples = 0.1 * torch.randn(5_003) + offset
    monkeypatch.setattr(long_audio, "_WINDOWS", 300)
    with torch.no_grad():
        mean, variance = long_audio._time_statistics(convolution, samples)
        hidden = convolution.double()(samples.double()[None])
    torch.testing.assert_close(mean, hidden.mean(-1), atol=1e-12, rtol=1e-10)
    torch.testing.assert_close(variance, hidden.var(-1, correction=0), atol=1e-12, rtol=1e-9)


@pytest.mark.parametrize(
    "kernel, stride, channels", [(10, 5, 1), (3, 2, 6), (2, 2, 6), (3, 1, 6), (2, 3, 6), (1, 1, 4)]
)
@pytest.mark.parametrize("bias", [True, False])
def test_products_equal_the_convolution(kernel, stride, channels, bias):
    torch.manual_seed(0)
    layer = SimpleNamespace(
        conv=nn.Conv1d(channels, 7, kernel, stride, bias=bias), layer_norm=nn.LayerNorm(7), activation=nn.GELU()
    )
    hidden = torch.randn(31, channels)
    with torch.no_grad():
        expected = layer.activation(layer.layer_norm(layer.conv(hidden.T[None])[0].T))
        found = ProductLayer(layer)(torch.cat([hidden, hidden])[31:])  # a part of something longer
    assert can_be_products(layer)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("changed", [{"padding": 1}, {"dilation": 2}, {"groups": 2}])
def test_other_convolutions_are_left_to_the_model(changed):
    assert not can_be_products(SimpleNamespace(conv=nn.Conv1d(4, 4, 3, **changed)))
