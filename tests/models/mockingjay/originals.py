"""The original network as a plain function of an original state dict, and checkpoints as the originals wrote them."""

from __future__ import annotations

import argparse
import math
import sys
import types

import numpy as np
import torch
from torch.nn.functional import gelu, layer_norm, linear

HIDDEN, HEADS, LAYERS, INTERMEDIATE = 24, 3, 2, 40


def run_original(state, head, stacked, lengths, heads=HEADS, pre_layer_norm=False, final_norms=None):
    """Hidden states (the embedding first) and stacked prediction of a batch of stacked rows, in float64."""
    state = {name: value.double() for name, value in state.items()}
    head = {name: value.double() for name, value in head.items()}

    def dense(x, name, weights=state):
        return linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def norm(x, name, weights=state):
        return layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps=1e-12)

    batch, rows, _ = stacked.shape
    hidden = dense(stacked.double(), "input_representations.spec_transform")
    size = hidden.shape[-1]
    positions = torch.zeros(rows, size)
    for position in range(rows):
        for column in range(size):
            angle = position / 10_000 ** (2 * (column // 2) / size)
            positions[position, column] = math.cos(angle) if column % 2 else math.sin(angle)
    hidden = norm(hidden + positions.double(), "input_representations.LayerNorm")
    padding = torch.zeros(batch, 1, 1, rows, dtype=torch.float64)
    for utterance, length in enumerate(lengths):
        padding[utterance, :, :, length:] = -10_000.0

    def attend(x, name):
        def split(part):
            return dense(x, f"{name}.attention.self.{part}").view(batch, rows, heads, -1).transpose(1, 2)

        scores = split("query") @ split("key").transpose(2, 3) / math.sqrt(size // heads) + padding
        context = scores.softmax(-1) @ split("value")
        return dense(context.transpose(1, 2).reshape(batch, rows, size), f"{name}.attention.output.dense")

    def feed(x, name):
        return dense(gelu(dense(x, f"{name}.intermediate.dense")), f"{name}.output.dense")

    carried = [hidden]
    layers = 1 + max(int(name.split(".")[2]) for name in state if name.startswith("encoder.layer."))
    for layer in range(layers):
        name = f"encoder.layer.{layer}"
        if pre_layer_norm:
            hidden = hidden + attend(norm(hidden, f"{name}.attention.output.LayerNorm"), name)
            hidden = hidden + feed(norm(hidden, f"{name}.output.LayerNorm"), name)
        else:
            hidden = norm(attend(hidden, name) + hidden, f"{name}.attention.output.LayerNorm")
            hidden = norm(feed(hidden, name) + hidden, f"{name}.output.LayerNorm")
        carried.append(hidden)
    if pre_layer_norm:
        first = layers + 1 - final_norms
        carried = carried[:first] + [
            norm(one, f"encoder.LayerNorm.{index}") for index, one in enumerate(carried[first:])
        ]
    state_of_head = norm(gelu(dense(carried[-1], "dense", head)), "LayerNorm", head)
    return carried, dense(state_of_head, "output", head)


def random_states(feature_size, target_size, rate, share=False, final_norms=0, seed=0):
    """Parameters under the original names, large enough for peaked attention."""
    generator = torch.Generator().manual_seed(seed)

    def parameters(rows, columns):
        weight = torch.randn(rows, columns, generator=generator) / math.sqrt(columns) * 1.5
        return {"weight": weight, "bias": torch.randn(rows, generator=generator) * 0.2}

    def norms():
        return {
            "weight": 1 + 0.2 * torch.randn(HIDDEN, generator=generator),
            "bias": 0.2 * torch.randn(HIDDEN, generator=generator),
        }

    def put(state, name, values):
        state.update({f"{name}.{suffix}": value for suffix, value in values.items()})

    encoder = {}
    put(encoder, "input_representations.spec_transform", parameters(HIDDEN, feature_size * rate))
    put(encoder, "input_representations.LayerNorm", norms())
    layers = []
    for layer in range(LAYERS):
        parts = {f"attention.self.{one}": parameters(HIDDEN, HIDDEN) for one in ("query", "key", "value")}
        parts["attention.output.dense"] = parameters(HIDDEN, HIDDEN)
        parts["attention.output.LayerNorm"] = norms()
        parts["intermediate.dense"] = parameters(INTERMEDIATE, HIDDEN)
        parts["output.dense"] = parameters(HIDDEN, INTERMEDIATE)
        parts["output.LayerNorm"] = norms()
        if final_norms:  # pre-LN modules register their norms twice
            parts["attention.LayerNorm"] = parts["attention.output.LayerNorm"]
            parts["LayerNorm"] = parts["output.LayerNorm"]
        layers.append(layers[0] if share and layers else parts)
        for name, values in layers[-1].items():
            put(encoder, f"encoder.layer.{layer}.{name}", values)
    for index in range(final_norms):
        put(encoder, f"encoder.LayerNorm.{index}", norms())
    head = {}
    put(head, "dense", parameters(HIDDEN, HIDDEN))
    put(head, "LayerNorm", norms())
    put(head, "output", parameters(target_size * rate, HIDDEN))
    return encoder, head


def checkpoint(generation, feature_size=80, target_size=80, rate=1, share=False, pre_layer_norm=False, **settings):
    """A whole checkpoint as `torch.save` got it from one of the three code bases."""
    final_norms = 0
    if pre_layer_norm:
        final_norms = LAYERS + 1 if generation == "s3prl" else LAYERS
    encoder, head = random_states(feature_size, target_size, rate, share, final_norms)
    network = {
        "hidden_size": HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "intermediate_size": INTERMEDIATE,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12 if generation == "s3prl" else "1e-12",
    }
    if generation != "legacy":
        network |= {"share_layer": share, "pre_layer_norm": pre_layer_norm}
    if generation == "s3prl":
        audio = {
            "target_level": -25, "win_ms": 25, "hop_ms": 10, "n_freq": 201, "n_mels": 80, "n_mfcc": 13,
            "input": {"feat_type": "mel", "channel": 0, "log": True, "delta": 0, "cmvn": True},
            "target": {"feat_type": "mel", "channel": 1, "log": True, "delta": 0, "cmvn": True},
        }  # fmt: skip
        return {
            "SpecHead": head,
            "Transformer": encoder,
            "Optimizer": schedule_state("optimizers"),
            "Step": 1000,
            "Args": argparse.Namespace(upstream=settings.pop("upstream", "mockingjay"), seed=1337),
            "Config": {"runner": {"total_steps": 1000}},
            "Upstream_Config": {
                "transformer": network | {"input_dim": -1},
                "task": {"sequence_length": 12, "mask_proportion": 0.15},
                "audio": audio | settings,
            },
        }
    name, module = ("mockingjay", "mockingjay.optimization") if generation == "legacy" else (
        "transformer", "transformer.optimization"
    )  # fmt: skip
    return {
        "SpecHead": head,
        name.capitalize(): encoder,
        "Optimizer": schedule_state(module),
        "Global_step": 500_000,
        "Settings": {
            "Config": {
                name: network | {"downsample_rate": rate},
                "dataloader": {"data_path": "data/libri_mel160_subword5000", "target_path": ""} | settings,
                "timer": stranger("utility.timer", "Timer"),
            },
            "Paras": argparse.Namespace(seed=1337),
        },
    }


def stranger(module_name, class_name):
    """An object of a class that only the original code has; its module is gone again when this returns."""
    one = type(class_name, (), {"__module__": module_name})
    instance = one()
    instance.warmup = 0.07
    # pickle looks the class up while saving, see `save`
    return instance


def schedule_state(module_name):
    return {
        "state": {0: {"step": 3, "exp_avg": torch.zeros(2)}},
        "param_groups": [{"lr": 4e-4, "schedule": stranger(module_name, "WarmupLinearSchedule")}],
    }


def save(content, path, monkeypatch):
    """`torch.save` with the classes of `stranger` in place, as the originals had them."""
    found = []

    def look(value):
        if isinstance(value, dict):
            for one in value.values():
                look(one)
        elif isinstance(value, list):
            for one in value:
                look(one)
        elif type(value).__module__.endswith(("optimization", "optimizers", "timer")):
            found.append(type(value))

    look(content)
    with monkeypatch.context() as patch:
        for one in found:
            module = sys.modules.get(one.__module__) or types.ModuleType(one.__module__)
            patch.setitem(sys.modules, one.__module__, module)
            setattr(module, one.__name__, one)
            parent = one.__module__.partition(".")[0]
            if parent not in sys.modules:
                patch.setitem(sys.modules, parent, types.ModuleType(parent))
        torch.save(content, path)
    return path


def speech_like(samples, seed=0):
    """Noise with a moving tone, (samples,) float32."""
    generator = np.random.default_rng(seed)
    time = np.arange(samples) / 16_000
    tone = np.sin(2 * np.pi * (200 + 300 * time) * time) * (1 + np.sin(2 * np.pi * 3 * time))
    return (0.1 * tone + 0.02 * generator.standard_normal(samples)).astype(np.float32)
