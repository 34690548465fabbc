"""Removing heads equals masking them in every family, with a layer that loses all of them, before and after saving."""

from __future__ import annotations

import pickle
from copy import deepcopy

import pytest
import torch
from torch.nn.utils.parametrize import is_parametrized

from sat_probe.errors import ModelError
from sat_probe.models.auto import AutoProbedModel
from tests.models.tiny_families import CONFIGURATIONS, HEADS, LAYERS, prepared, tiny

REMOVABLE = [name for name in CONFIGURATIONS if tiny(name).family.pruning is not None]
# PyTorch pickles no model with a weight norm
PICKLABLE = [name for name in REMOVABLE if not any(map(is_parametrized, tiny(name).modules()))]
SOME = [(0, 1), (1, 0), (1, 2)]
FIRST_LAYER = [(0, head) for head in range(HEADS)] + [(1, 2)]  # WavLM's first layer makes the positions of all


def output_of(model, inputs, **options):
    with torch.no_grad(), model.probe(lengths=inputs.lengths, **options):
        output = model(**inputs.tensors)
    return output if isinstance(output, torch.Tensor) else output.last_hidden_state


def unprobed(model, inputs):
    with torch.no_grad():
        output = model(**inputs.tensors)
    return output if isinstance(output, torch.Tensor) else output.last_hidden_state


@pytest.mark.parametrize("name", REMOVABLE)
@pytest.mark.parametrize("removed", [SOME, FIRST_LAYER], ids=["some heads", "all heads of a layer"])
def test_removing_equals_masking(name, removed, tmp_path):
    model = tiny(name)
    inputs = prepared(model, 0.31)[0]
    mask = torch.ones(LAYERS, HEADS)
    for layer, head in removed:
        mask[layer, head] = 0
    expected = output_of(model, inputs, head_mask=mask)
    assert (expected - unprobed(model, inputs)).abs().max() > 1e-3
    small = deepcopy(model)
    small.remove_heads(removed)
    small.save_pretrained(tmp_path)
    for refined in (small, AutoProbedModel.from_pretrained(tmp_path)):
        assert refined.present_heads == [[h for h in range(HEADS) if mask[layer, h]] for layer in range(LAYERS)]
        torch.testing.assert_close(unprobed(refined, inputs), expected, atol=2e-6, rtol=0)
        torch.testing.assert_close(output_of(refined, inputs, output_attentions=True), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("name", PICKLABLE)
def test_refined_models_can_be_pickled(name):
    # a model of its own: once asked for all hidden states, transformers leaves hooks in it that cannot be pickled
    small = tiny.__wrapped__(name)
    small.remove_heads(FIRST_LAYER)
    loaded, inputs = pickle.loads(pickle.dumps(small)), prepared(small, 0.31)[0]
    torch.testing.assert_close(unprobed(loaded, inputs), unprobed(small, inputs), atol=0, rtol=0)
    modules = zip(loaded.attention_modules, small.attention_modules, strict=True)
    assert all(type(theirs) is type(ours) for theirs, ours in modules)


def test_what_cannot_be_removed_is_said():
    with pytest.raises(ModelError, match="heads of fun_asr_nano_encoder cannot be removed"):
        deepcopy(tiny("fun_asr_nano_encoder")).remove_heads([(0, 1)])
