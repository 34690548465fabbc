"""Every family of the table, tiny and random: what a probe shows and does is what the model itself computes."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch import nn
from transformers import CONFIG_MAPPING

from sat_probe.errors import AudioError, ModelError
from sat_probe.models.auto import AutoProbedModel
from sat_probe.models.inputs_outputs import ModelInputs
from sat_probe.models.probed_classes import ProbedWav2Vec2Model, probed_class
from sat_probe.models.views import layers_of
from sat_probe.models.waveform_encoder import base_class
from tests.models.tiny_families import CONFIGURATIONS, HEADS, LAYERS, SIZE, audio, prepared, tiny

EACH = pytest.mark.parametrize("name", CONFIGURATIONS)
# WavLM averages its maps over heads; Nemotron's eager attention turns its mask around; Phi-4 returns no maps
NO_TRUE_MAPS = {"wavlm", "wavlm:layer norm", "nemotron_asr_streaming_encoder", "phi4_multimodal_audio"}


@pytest.fixture(autouse=True)
def _needs_librosa(request):
    name = request.node.callspec.params.get("name") if hasattr(request.node, "callspec") else None
    if name == "parakeet_encoder":
        pytest.importorskip("librosa", reason="Parakeet's feature extractor needs librosa")


class Watcher:
    """Puts the blocks together again."""

    def __init__(self):
        self.maps = {}

    def observe(self, block):
        empty = torch.full((HEADS, block.length, block.length), torch.nan)
        maps = self.maps.setdefault((block.utterance, block.layer), empty)
        maps[block.heads, block.first_query : block.first_query + block.weights.shape[1]] = block.weights


def plain(model, inputs, implementation=None, **options):
    """The last state that transformers' own class computes, with all that it pads, pools or up-samples."""
    before = model.config._attn_implementation
    if implementation is not None and model.own_attention is None:
        model.set_attn_implementation(implementation)
    try:
        with torch.no_grad():
            output = base_class(type(model)).forward(model, **inputs.tensors, **options)
    finally:
        if model.own_attention is None:
            model.set_attn_implementation(before)
    return output if isinstance(output, torch.Tensor) else output.last_hidden_state


def eager_maps(model, inputs):
    """The weights that the attention modules return under eager attention, over the true frames."""
    found = []
    hooks = [
        module.register_forward_hook(lambda _, arguments, output: found.append(output[1]))
        for module in model.attention_modules
    ]
    try:
        plain(model, inputs, "eager", **({"output_attentions": True} if model.config.model_type == "speecht5" else {}))
    finally:
        for hook in hooks:
            hook.remove()
    length = inputs.lengths[0]
    true = [maps[0, :, :length, :length] for maps in found]
    return [maps / maps.sum(-1, keepdim=True) for maps in true]


def output_projections(model) -> list[nn.Linear]:
    """The layers that mix the heads again."""
    if model.config.model_type == "sew-d":
        return [layer.attention.output.dense for layer in layers_of(model, model._named_attention())]
    return [
        next(getattr(module, name) for name in ("out_proj", "o_proj", "linear_out") if hasattr(module, name))
        for module in model.attention_modules
    ]


@EACH
def test_probed_maps_and_output_are_the_models_own(name):
    model = tiny(name)
    # SeamlessM4T v2's eager attention adds 1 where it should hide: an even number of frames needs no hiding
    inputs, watcher = prepared(model, 0.32)[0], Watcher()
    with torch.no_grad(), model.probe(observers=[watcher], lengths=inputs.lengths):
        output = model(**inputs.tensors)
    output = output if isinstance(output, torch.Tensor) else output.last_hidden_state
    (length,) = inputs.lengths  # behind it, where every key is hidden, SDPA and a probe differ
    torch.testing.assert_close(output[:, :length], plain(model, inputs)[:, :length], atol=5e-6, rtol=0)
    assert sorted(watcher.maps) == [(0, layer) for layer in range(LAYERS)]
    for maps in watcher.maps.values():
        torch.testing.assert_close(maps.sum(-1), torch.ones(maps.shape[:2]), atol=1e-5, rtol=0)
        assert maps.std(0).max() > 0.01  # heads differ
    if name not in NO_TRUE_MAPS:
        for layer, maps in enumerate(eager_maps(model, inputs)):
            torch.testing.assert_close(watcher.maps[0, layer], maps, atol=2e-6, rtol=0)


@EACH
def test_a_masked_head_equals_no_columns_of_the_output_projection(name):
    model = tiny(name)
    inputs = prepared(model, 0.31)[0]
    intact = plain(model, inputs)
    size = SIZE // HEADS
    mask = torch.ones(LAYERS, HEADS)
    mask[0, 1], mask[1, 3], mask[1, 0] = 0, 0, 0.5
    before = [projection.weight.clone() for projection in output_projections(model)]
    with torch.no_grad():
        for layer, projection in enumerate(output_projections(model)):
            projection.weight.mul_(mask[layer].repeat_interleave(size))
    try:
        expected = plain(model, inputs)
    finally:
        with torch.no_grad():
            for projection, weight in zip(output_projections(model), before, strict=True):
                projection.weight.copy_(weight)
    with torch.no_grad(), model.probe(lengths=inputs.lengths, head_mask=mask):
        masked = model(**inputs.tensors)
    masked = masked if isinstance(masked, torch.Tensor) else masked.last_hidden_state
    torch.testing.assert_close(masked, expected, atol=1e-5, rtol=0)
    assert (masked - intact).abs().max() > 1e-3


@EACH
def test_an_utterance_is_the_same_alone_and_in_a_batch(name):
    model = tiny(name)
    batch = prepared(model, 0.5, 0.31)
    together, alone = Watcher(), Watcher()
    both = model.encode(batch, observers=[together], output_hidden_states=True, output_attentions=True)
    if name == "fun_asr_nano_encoder":
        length = batch[0].lengths[1]
        single = [ModelInputs({key: value[1:, :length] for key, value in batch[0].tensors.items()}, (length,))]
    else:
        single = model.prepare(audio(0.5, 0.31)[1:])
    one = model.encode(single, observers=[alone], output_hidden_states=True)
    (length,) = one.lengths
    assert both.lengths[1] == length
    assert len(both.hidden_states) == LAYERS + 1
    assert len(both.attentions) == LAYERS
    for layer in range(LAYERS):
        torch.testing.assert_close(together.maps[1, layer], alone.maps[0, layer], atol=1e-5, rtol=0)
    for ours, theirs in zip(both.hidden_states, one.hidden_states, strict=True):
        torch.testing.assert_close(ours[1, :length], theirs[0], atol=2e-5, rtol=0)
    torch.testing.assert_close(both.last_hidden_state[1, :length], one.last_hidden_state[0], atol=2e-5, rtol=0)


@pytest.mark.parametrize("name", ["wavlm", "wavlm:layer norm"])
def test_wavlm_shows_each_head_where_the_model_shows_their_mean(name, monkeypatch):
    model, watcher, true = tiny(name), Watcher(), []
    inputs = prepared(model, 0.31)[0]
    attend = nn.functional.multi_head_attention_forward

    def unaveraged(*args, **kwargs):
        true.append(attend(*args, **kwargs, average_attn_weights=False)[1][0])
        return attend(*args, **kwargs)

    monkeypatch.setattr(nn.functional, "multi_head_attention_forward", unaveraged)
    averaged = eager_maps(model, inputs)
    monkeypatch.undo()
    maps = model.encode([inputs], observers=[watcher], output_attentions=True).attentions
    for layer in range(LAYERS):
        found = watcher.maps[0, layer]
        torch.testing.assert_close(found, true[layer], atol=2e-6, rtol=0)
        torch.testing.assert_close(maps[layer][0], true[layer], atol=2e-6, rtol=0)
        torch.testing.assert_close(found.mean(0).expand_as(found), averaged[layer], atol=2e-6, rtol=0)
        distances = (found[:, None] - found).abs().amax((-1, -2)) + torch.eye(HEADS)
        assert distances.min() > 0.01


@pytest.mark.parametrize(
    ("name", "hop_ms", "first_ms"),
    [
        ("wavlm", 20, 12.5),
        ("sew", 40, 15.78125),
        ("whisper", 20, 0),
        ("wav2vec2-bert", 20, 17.5),
        ("speech_to_text", 40, 12.5),
        ("moonshine", 24, 27.96875),
        ("moonshine_streaming_encoder", 20, 2.5 - 10 - 20),
        ("parakeet_encoder", 40, 0),
        ("lasr_encoder", 40, 12.5 + 20 + 40),
        ("voxtral_realtime_encoder", 20, -10),
        ("nemotron3_diarization_audio", 20, 5),
        ("mockingjay", 30, 10),
    ],
)
def test_frame_centres(name, hop_ms, first_ms):
    grid = tiny(name).frame_grid
    assert 1000 * grid.hop_seconds == hop_ms
    assert 1000 * grid.first_centre / grid.sampling_rate == pytest.approx(first_ms)


def test_patches_have_no_frame_grid_and_long_audio_is_refused():
    with pytest.raises(ModelError, match="patches"):
        _ = tiny("audio-spectrogram-transformer").frame_grid
    with pytest.raises(AudioError, match="1.5 s of audio is too long: ProbedWhisperEncoder takes at most 1.0 s"):
        tiny("whisper").prepare([np.zeros(24_000, dtype=np.float32)])


def test_classes_made_from_the_table_can_be_pickled():
    probed = probed_class("unispeech")
    assert probed.__name__ == "ProbedUniSpeechModel"
    assert pickle.loads(pickle.dumps(probed)) is probed
    assert probed_class("wav2vec2") is ProbedWav2Vec2Model


def test_mockingjay_in_chunks_is_not_observed():
    model = probed_class("mockingjay")(CONFIG_MAPPING["mockingjay"](**CONFIGURATIONS["mockingjay"], chunk_length=8))
    model.eval()
    with pytest.raises(ModelError, match="chunk_length=8 .* set model.config.chunk_length = None"):
        model.encode(audio(0.31), observers=[Watcher()])
    assert model.encode(audio(0.5), head_mask=torch.ones(LAYERS, HEADS)).lengths == (17,)
    model.config.chunk_length = None
    watcher = Watcher()
    model.encode(audio(0.31), observers=[watcher])
    assert len(watcher.maps) == LAYERS


def test_an_extractor_that_stacks_otherwise_is_fitted_to_its_mockingjay(tmp_path):
    model = tiny("mockingjay")
    model.save_pretrained(tmp_path)
    extractor = type(model.preprocessor).from_pretrained(tmp_path)
    extractor.downsample_rate = 1
    extractor.save_pretrained(tmp_path)
    loaded = AutoProbedModel.from_pretrained(tmp_path)
    both, one = loaded.encode(audio(0.5, 0.322)), loaded.encode(audio(0.5, 0.322)[1:])
    assert both.lengths[1] == one.lengths[0]
    torch.testing.assert_close(both.last_hidden_state[1, : one.lengths[0]], one.last_hidden_state[0], atol=1e-5, rtol=0)
