"""One model used by many threads at once: every call gives exactly what it gives alone."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from sat_probe.models.auto import AutoProbedModel
from tests.models.tiny_families import tiny
from tests.models.tiny_models import tiny_model

THREADS, CALLS = 8, 1000  # of each of two models


class Sums:
    """Sum of all weights that are shown, per layer."""

    def __init__(self):
        self.sums = torch.zeros(8, dtype=torch.float64)

    def observe(self, block):
        self.sums[block.layer] += block.weights.double().square().sum()


def calls(model):
    """Every way to run a model, by name; each gives tensors."""
    layers, heads = model.num_probed_layers, model.num_probed_heads
    noise = np.random.default_rng(3)
    audio = [noise.standard_normal(length).astype(np.float32) for length in (1800, 2600)]
    inputs = [model.prepare([waveform])[0] for waveform in audio]
    mask = torch.linspace(0, 1, layers * heads).view(layers, heads)

    def forward(**options):
        with torch.no_grad():
            return model(**inputs[0].tensors, **options)

    def plain():
        return [forward().last_hidden_state]

    def masked():
        return [forward(head_mask=mask).last_hidden_state]

    def limited():
        return [forward(attention_span=1, span_mode="mask").last_hidden_state]

    def maps():
        output = forward(output_attentions=True)
        return [output.last_hidden_state, *output.attentions]

    def states():
        output = forward(output_hidden_states=True)
        return [output.last_hidden_state, *output.hidden_states]

    def encoded():
        output = model.encode(audio, output_hidden_states=True)
        return [output.last_hidden_state, *output.hidden_states]

    def encoded_maps():
        output = model.encode([audio[1]], head_mask=1 - mask, output_attentions=True)
        return [output.last_hidden_state, *output.attentions]

    def analyzed():
        sums = Sums()
        output = model.encode([audio[0]], observers=[sums])
        return [output.last_hidden_state, sums.sums]

    def probed():
        sums = Sums()
        with torch.no_grad(), model.probe(observers=[sums], head_mask=mask):
            first = model(**inputs[1].tensors).last_hidden_state
            second = model.encode([inputs[0]]).last_hidden_state
        return [first, second, sums.sums]

    return [plain, masked, limited, maps, states, encoded, encoded_maps, analyzed, probed]


@pytest.mark.parametrize("name", ["mockingjay", "wavlm"])
def test_threads_that_share_a_model_do_not_see_each_other(name):
    model = tiny_model(name) if name == "mockingjay" else tiny.__wrapped__(name)
    ways = calls(model)
    expected = [way() for way in ways]
    modes = [module.training for module in model.modules()]

    def work(thread: int) -> int:
        order = random.Random(thread)
        right = 0
        for _ in range(CALLS // THREADS):
            way = order.randrange(len(ways))
            found = ways[way]()
            right += len(found) == len(expected[way]) and all(map(torch.equal, found, expected[way]))
        return right

    with ThreadPoolExecutor(THREADS) as threads:
        assert sum(threads.map(work, range(THREADS))) == CALLS
    assert [module.training for module in model.modules()] == modes
    assert not any("_attention_probe" in module.__dict__ for module in model.modules())


def test_many_threads_analyze_a_model_in_memory_that_is_in_training_mode():
    plain = tiny_model("wav2vec2-layer-norm").train()
    model = AutoProbedModel.from_model(plain)
    noise = np.random.default_rng(4)
    audio = [noise.standard_normal(1500 + 300 * index).astype(np.float32) for index in range(4)]
    expected = [model.encode([one], output_hidden_states=True).hidden_states[-1] for one in audio]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(5):
            found = threads.map(lambda one: model.encode([one], output_hidden_states=True), audio)
            assert all(torch.equal(f.hidden_states[-1], e) for f, e in zip(found, expected, strict=True))
    assert all(module.training for module in plain.modules())
