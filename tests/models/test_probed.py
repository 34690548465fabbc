"""Watching a model changes nothing, masking a head changes what it should, and everything is as it was afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModel, BertConfig, Wav2Vec2Config, Wav2Vec2ForCTC, Wav2Vec2Model

from sat_probe.errors import AudioError, ModelError
from sat_probe.models.attention import blocks as attention_blocks
from sat_probe.models.auto import AutoProbedModel
from sat_probe.models.probed_classes import ProbedHubertModel, ProbedMockingjayModel, ProbedWav2Vec2Model
from sat_probe.models.waveform_encoder import base_class
from tests.models.tiny_models import CONFIGURATIONS, PADDING_IS_EXACT, tiny_model

FAMILIES = pytest.mark.parametrize("name", CONFIGURATIONS)


def waveforms(*seconds: float) -> list[np.ndarray]:
    generator = np.random.default_rng(1)
    return [generator.standard_normal(int(16_000 * one)).astype(np.float32) for one in seconds]


def eager_maps(model, inputs):
    """The maps that transformers itself gives."""
    model.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            return base_class(type(model)).forward(model, **inputs.tensors, output_attentions=True).attentions
    finally:
        model.set_attn_implementation("sdpa")


SHAPES = ("_BLOCK_ELEMENTS", "_KEPT_ELEMENTS", "_TILE_ELEMENTS", "_TILE_QUERIES")


@pytest.fixture(
    params=[None, (400, 0, 150, 6), (2000, 10_000, 700, 13)], ids=["whole maps", "small tiles", "wider tiles"]
)
def block_elements(request, monkeypatch):
    """Run a test with blocks that hold everything, and with blocks of a few rows that meet the keys in tiles."""
    for name, value in zip(SHAPES, request.param or (), strict=False):
        monkeypatch.setattr(attention_blocks, name, value)


class Watcher:
    """Puts the blocks together again."""

    def __init__(self):
        self.maps = {}
        self.entropy = {}

    def observe(self, block):
        key = (block.utterance, block.layer)
        if key not in self.maps:
            heads = 4
            self.maps[key] = torch.full((heads, block.length, block.length), torch.nan)
            self.entropy[key] = torch.full((heads, block.length), torch.nan)
        rows = slice(block.first_query, block.first_query + block.weights.shape[1])
        self.maps[key][block.heads, rows] = block.weights
        self.entropy[key][block.heads, rows] = block.row_entropy


@FAMILIES
def test_observed_blocks_are_the_models_own_maps(name, block_elements):
    model = tiny_model(name)
    watcher = Watcher()
    audio = waveforms(0.9)
    model.encode(audio, observers=[watcher])
    for layer, maps in enumerate(eager_maps(model, model.prepare(audio)[0])):
        torch.testing.assert_close(watcher.maps[0, layer], maps[0], atol=4e-6, rtol=0)
        entropy = torch.special.entr(maps[0].double()).sum(-1).float()
        torch.testing.assert_close(watcher.entropy[0, layer], entropy, atol=1e-5, rtol=0)


@FAMILIES
def test_a_padded_batch_shows_each_utterance_as_if_alone(name, block_elements):
    model = tiny_model(name)
    audio = waveforms(0.9, 0.41, 0.63)
    together = Watcher()
    batch = model.encode(audio, observers=[together], output_hidden_states=True, output_attentions=True)
    for index, waveform in enumerate(audio):
        alone = Watcher()
        single = model.encode([waveform], observers=[alone], output_hidden_states=True, output_attentions=True)
        length = single.lengths[0]
        assert batch.lengths[index] == length
        for layer in range(3):
            torch.testing.assert_close(together.maps[index, layer], alone.maps[0, layer], atol=1e-5, rtol=0)
            torch.testing.assert_close(
                batch.attentions[layer][index, :, :length, :length], single.attentions[layer][0], atol=1e-5, rtol=0
            )
        for layer in range(4):
            torch.testing.assert_close(
                batch.hidden_states[layer][index, :length], single.hidden_states[layer][0], atol=2e-5, rtol=0
            )


@pytest.mark.parametrize("name", PADDING_IS_EXACT)
def test_forward_gives_eager_maps_in_a_padded_batch(name):
    model = tiny_model(name)
    (inputs,) = model.prepare(waveforms(0.9, 0.5))
    with torch.no_grad():
        probed = model(**inputs.tensors, output_attentions=True)
        plain = base_class(type(model)).forward(model, **inputs.tensors)
    for ours, theirs in zip(probed.attentions, eager_maps(model, inputs), strict=True):
        for utterance, length in enumerate(inputs.lengths):
            torch.testing.assert_close(ours[utterance, :, :length], theirs[utterance, :, :length], atol=2e-6, rtol=0)
    for utterance, length in enumerate(inputs.lengths):
        torch.testing.assert_close(
            probed.last_hidden_state[utterance, :length], plain.last_hidden_state[utterance, :length], atol=1e-5, rtol=0
        )


@FAMILIES
@pytest.mark.parametrize("watched", [False, True])
def test_a_masked_head_equals_zeros_in_the_input_of_the_output_projection(name, watched):
    model = tiny_model(name)
    audio = waveforms(0.6)
    mask = torch.ones(3, 4)
    mask[1, 2], mask[2, 0], mask[0, 3] = 0, 0, 0.5
    size = 32 // 4

    def gate(layer):
        def scale(module, arguments):
            (hidden,) = arguments
            return (hidden * mask[layer].repeat_interleave(size),)

        return scale

    hooks = [
        module.out_proj.register_forward_pre_hook(gate(layer)) for layer, module in enumerate(model.attention_modules)
    ]
    expected = model.encode(audio).last_hidden_state
    for hook in hooks:
        hook.remove()
    observers = [Watcher()] if watched else []
    masked = model.encode(audio, observers=observers, head_mask=mask).last_hidden_state
    torch.testing.assert_close(masked, expected, atol=2e-5, rtol=0)
    assert (masked - model.encode(audio).last_hidden_state).abs().max() > 1e-2


@pytest.mark.parametrize("mode", ["zero", "mask"])
@pytest.mark.parametrize("span", [0, 3])
@pytest.mark.parametrize("watched", [False, True])
def test_span_drops_far_weights_after_or_before_the_softmax(mode, span, watched, block_elements):
    model = tiny_model("mockingjay")
    audio = waveforms(0.9, 0.5)
    observers = [Watcher()] if watched else []
    full = model.encode(audio, output_attentions=True)
    limited = model.encode(audio, observers=observers, attention_span=span, span_mode=mode, output_attentions=True)
    for utterance, length in enumerate(full.lengths):
        position = torch.arange(length)
        near = (position[:, None] - position).abs() <= span
        # the first layer sees the same input with and without the span
        before = full.attentions[0][utterance, :, :length, :length]
        after = limited.attentions[0][utterance, :, :length, :length]
        expected = before * near
        if mode == "mask":
            expected = expected / expected.sum(-1, keepdim=True)
        torch.testing.assert_close(after, expected, atol=1e-5, rtol=0)
    unwatched = model.encode(audio, attention_span=span, span_mode=mode).last_hidden_state
    torch.testing.assert_close(unwatched, limited.last_hidden_state, atol=1e-5, rtol=0)


def test_differentiable_masks_agree_with_finite_differences():
    model = tiny_model("mockingjay").double()
    (inputs,) = model.prepare(waveforms(0.3))

    def loss(mask):
        return model(**inputs.tensors, head_mask=mask, attention_span=5).last_hidden_state.square().mean()

    mask = torch.rand(3, 4, dtype=torch.float64, requires_grad=True)
    loss(mask).backward()
    step = 1e-5
    for layer, head in [(0, 0), (1, 3), (2, 1)]:
        nudge = torch.zeros(3, 4, dtype=torch.float64)
        nudge[layer, head] = step
        with torch.no_grad():
            slope = (loss(mask + nudge) - loss(mask - nudge)) / (2 * step)
        torch.testing.assert_close(mask.grad[layer, head], slope, atol=1e-8, rtol=1e-4)


def test_state_is_restored_also_after_an_exception():
    model = tiny_model("wav2vec2-layer-norm")
    model.set_attn_implementation("eager")
    with pytest.raises(ZeroDivisionError), model.probe(head_mask=torch.zeros(3, 4)):
        raise ZeroDivisionError
    assert model.config._attn_implementation == "eager"
    assert not any("_attention_probe" in module.__dict__ for module in model.attention_modules)


def test_two_models_from_one_configuration_do_not_see_each_other():
    _, config = CONFIGURATIONS["wav2vec2-layer-norm"]
    watched, other = ProbedWav2Vec2Model(config).eval(), ProbedWav2Vec2Model(config).eval()
    audio = waveforms(0.5)
    (inputs,) = other.prepare(audio)
    watcher = Watcher()
    with torch.no_grad():
        before = other(**inputs.tensors).last_hidden_state
        with watched.probe(observers=[watcher], head_mask=torch.zeros(3, 4)):
            during = other(**inputs.tensors).last_hidden_state
    assert torch.equal(before, during)
    assert not watcher.maps


def test_inner_probe_adds_to_the_outer_one():
    model = tiny_model("mockingjay")
    (inputs,) = model.prepare(waveforms(0.5))
    watcher = Watcher()
    with torch.no_grad():
        expected = model(**inputs.tensors, head_mask=torch.zeros(3, 4)).last_hidden_state
        with model.probe(observers=[watcher]):
            masked = model(**inputs.tensors, head_mask=torch.zeros(3, 4)).last_hidden_state
            model(**inputs.tensors)
    torch.testing.assert_close(masked, expected, atol=1e-6, rtol=0)
    assert len(watcher.maps) == 3


def test_observers_refuse_training():
    model = tiny_model("mockingjay")
    (inputs,) = model.prepare(waveforms(0.3))
    with pytest.raises(ModelError, match="inference only"), model.probe(observers=[Watcher()]):
        model(**inputs.tensors)


def test_masks_and_spans_bear_layers_that_training_drops():
    model = tiny_model("wav2vec2-layer-norm").train()
    model.config.layerdrop = 0.5
    (inputs,) = model.prepare(waveforms(0.3))
    for seed in range(8):
        torch.manual_seed(seed)
        mask = torch.ones(3, 4, requires_grad=True)
        model(**inputs.tensors, head_mask=mask, attention_span=3).last_hidden_state.sum().backward()
        assert mask.grad is None or mask.grad.isfinite().all()


def test_encode_measures_in_evaluation_mode_and_leaves_the_mode_as_it_was():
    model, audio = tiny_model("wav2vec2-layer-norm"), waveforms(0.3)
    expected = model.encode(audio).last_hidden_state
    model.config.layerdrop = 0.9
    model.train()
    model.feature_extractor.eval()  # frozen, as in fine-tuning
    before = [module.training for module in model.modules()]
    watcher = Watcher()
    torch.testing.assert_close(model.encode(audio, observers=[watcher]).last_hidden_state, expected)
    assert {layer for _, layer in watcher.maps} == {0, 1, 2}
    assert [module.training for module in model.modules()] == before


def test_gradient_checkpointing_is_refused_where_it_would_compute_something_else():
    model = tiny_model("mockingjay").train()
    # what both names of the switch do, in old and new versions of transformers
    for module in model.modules():
        if hasattr(module, "gradient_checkpointing"):
            module.gradient_checkpointing = True
    (inputs,) = model.prepare(waveforms(0.3))
    with pytest.raises(ModelError, match="gradient_checkpointing_disable"):
        model(**inputs.tensors, attention_span=3)
    model.eval()(**inputs.tensors, attention_span=3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_the_softmax_in_float32(dtype):
    model = tiny_model("mockingjay")
    audio = waveforms(0.5)
    exact = model.encode(audio, output_attentions=True).attentions[0]
    half = tiny_model("mockingjay").to(dtype)
    watcher = Watcher()
    half.encode(audio, observers=[watcher])
    assert watcher.maps[0, 0].dtype == torch.float32
    torch.testing.assert_close(watcher.maps[0, 0].sum(-1), torch.ones(4, exact.shape[-1]), atol=1e-5, rtol=0)
    assert (watcher.maps[0, 0] - exact[0]).abs().mean() < 5e-3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"head_mask": torch.ones(2, 4)}, r"head_mask must have shape \(3, 4\)"),
        ({"attention_span": -1}, "attention_span must be a whole number, 0 or more frames, got -1"),
        ({"attention_span": 2.5}, "attention_span must be a whole number, 0 or more frames, got 2.5"),
        ({"attention_span": 1, "span_mode": "cut"}, "span_mode must be 'zero' or 'mask', got 'cut'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ModelError, match=message):
        tiny_model("mockingjay").encode(waveforms(0.3), **arguments)


def test_masks_may_be_arrays_or_lists():
    model = tiny_model("mockingjay")
    mask = np.random.default_rng(0).random((3, 4))
    wanted = model.encode(waveforms(0.3), head_mask=torch.tensor(mask)).last_hidden_state
    for given in (mask, mask.tolist()):
        torch.testing.assert_close(
            model.encode(waveforms(0.3), head_mask=given).last_hidden_state, wanted, atol=1e-6, rtol=0
        )


@FAMILIES
def test_audio_without_a_single_frame_is_refused(name):
    with pytest.raises(AudioError, match="too short"):
        tiny_model(name).encode([np.zeros(180, dtype=np.float32)])


@FAMILIES
def test_saved_models_load_again_probed_and_plain(name, tmp_path):
    model = tiny_model(name)
    model.save_pretrained(tmp_path)
    loaded = AutoProbedModel.from_pretrained(tmp_path)
    assert type(loaded) is type(model)
    audio = waveforms(0.4)
    expected = model.encode(audio).last_hidden_state
    assert torch.equal(loaded.encode(audio).last_hidden_state, expected)
    plain = AutoModel.from_pretrained(tmp_path).eval()
    assert type(plain) is base_class(type(model))
    with torch.no_grad():
        torch.testing.assert_close(
            plain(**model.prepare(audio)[0].tensors).last_hidden_state, expected, atol=1e-5, rtol=0
        )


def test_checkpoints_with_a_head_load_as_encoders(tmp_path):
    config = Wav2Vec2Config(**{**CONFIGURATIONS["wav2vec2-layer-norm"][1].to_diff_dict(), "vocab_size": 5})
    Wav2Vec2ForCTC(config).save_pretrained(tmp_path)
    loaded = AutoProbedModel.from_pretrained(tmp_path)
    assert isinstance(loaded, ProbedWav2Vec2Model)
    assert isinstance(loaded, Wav2Vec2Model)
    assert loaded.frame_grid.hop == 320
    assert loaded.frame_grid.first_centre == 200.0


def test_unknown_types_name_the_known_ones(tmp_path):
    BertConfig().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="'bert' cannot be probed; known types: .*hubert.*mockingjay.*wav2vec2"):
        AutoProbedModel.from_pretrained(tmp_path)


def test_missing_models_and_weights_are_one_line(tmp_path):
    def fails(name):
        with pytest.raises(ModelError) as caught:
            AutoProbedModel.from_pretrained(name)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "nowhere: no such folder" in fails(tmp_path / "nowhere")
    for name in (None, 3, ""):
        assert f"a model is the name of one on the Hub, or a folder; got {name!r}" in fails(name)
    model = tiny_model("mockingjay")
    model.config.save_pretrained(tmp_path)
    assert "holds no weights" in fails(tmp_path)
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    assert "allow pickle" in fails(tmp_path)
    model.save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    text = config.read_text()
    config.write_text(text.replace('"intermediate_size": 48', '"intermediate_size": 40'))
    assert "other shapes than its config.json says" in fails(tmp_path)
    config.write_text(text.replace('"intermediate_size": 48', '"intermediate_size": "many"'))
    assert "config.json is wrong" in (message := fails(tmp_path))
    assert "'intermediate_size' expected int, got str" in message


@pytest.mark.parametrize("probed", [ProbedWav2Vec2Model, ProbedHubertModel, ProbedMockingjayModel])
def test_probed_classes_extend_their_transformers_class(probed):
    assert probed.__name__ == f"Probed{base_class(probed).__name__}"
