"""Models in memory: whatever is around the encoder, the numbers are its own, and the model stays as it was."""

from __future__ import annotations

import logging
import threading
from copy import deepcopy

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
    Wav2Vec2ForPreTraining,
    Wav2Vec2ForSequenceClassification,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMForCTC,
    WavLMModel,
    WhisperConfig,
    WhisperForConditionalGeneration,
)

from sat_probe.errors import ModelError
from sat_probe.models.auto import AutoProbedModel
from sat_probe.models.mockingjay import MockingjayForPreTraining
from sat_probe.models.own_attention import ProbedWavLMModel
from sat_probe.models.probed_classes import ProbedWav2Vec2Model
from sat_probe.models.waveform_encoder import base_class
from tests.models.tiny_families import CONFIGURATIONS as TINY
from tests.models.tiny_families import prepared, tiny
from tests.models.tiny_models import CONFIGURATIONS, tiny_model

_WAV2VEC2 = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 24, "vocab_size": 8,
    "conv_dim": (8,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 4,
    "num_codevectors_per_group": 4,
    "feat_extract_norm": "layer", "do_stable_layer_norm": True, "codevector_dim": 8, "proj_codevector_dim": 8,
}  # fmt: skip
_WHISPER = {
    "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 24, "decoder_layers": 1,
    "decoder_attention_heads": 2, "decoder_ffn_dim": 24, "vocab_size": 20, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2, "decoder_start_token_id": 1, "num_mel_bins": 20, "max_source_positions": 50,
}  # fmt: skip


def lora(model: nn.Module, *targets: str) -> nn.Module:
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=list(targets)))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:  # zero at first: the adapter would have no effect
            nn.init.normal_(weight, std=0.5)
    return adapted


MODELS = {
    "encoder": lambda: Wav2Vec2Model(Wav2Vec2Config(**_WAV2VEC2)),
    "CTC": lambda: Wav2Vec2ForCTC(Wav2Vec2Config(**_WAV2VEC2)),
    "pre-training": lambda: Wav2Vec2ForPreTraining(Wav2Vec2Config(**_WAV2VEC2)),
    "classification": lambda: Wav2Vec2ForSequenceClassification(Wav2Vec2Config(**_WAV2VEC2)),
    "adapter": lambda: Wav2Vec2ForCTC(Wav2Vec2Config(**_WAV2VEC2, add_adapter=True, output_hidden_size=16)),
    "eager": lambda: Wav2Vec2ForCTC(Wav2Vec2Config(**_WAV2VEC2, attn_implementation="eager")),
    "wavlm": lambda: WavLMForCTC(WavLMConfig(**_WAV2VEC2, num_buckets=8, max_bucket_distance=12)),
    "whisper": lambda: WhisperForConditionalGeneration(WhisperConfig(**_WHISPER)),
    "mockingjay": lambda: MockingjayForPreTraining(CONFIGURATIONS["mockingjay"][1]),
    "LoRA": lambda: lora(Wav2Vec2ForCTC(Wav2Vec2Config(**_WAV2VEC2)), "q_proj", "v_proj", "intermediate_dense"),
    "LoRA on whisper": lambda: lora(
        WhisperForConditionalGeneration(WhisperConfig(**_WHISPER)), "q_proj", "v_proj"
    ),
}  # fmt: skip
EACH = pytest.mark.parametrize("name", MODELS)


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    model = MODELS[name]()
    with torch.no_grad():  # peaked attention, so that a wrong mask shows
        for parameter, weight in model.named_parameters():
            if "q_proj" in parameter or "k_proj" in parameter:
                weight.mul_(30)
    return model


def waveform(seconds: float = 0.4) -> np.ndarray:
    return np.random.default_rng(1).standard_normal(int(16_000 * seconds)).astype(np.float32)


def everything(model: nn.Module) -> dict[str, object]:
    """What a user could notice of a model."""
    return {
        "weights": {name: (w.data_ptr(), w.dtype) for name, w in model.state_dict(keep_vars=True).items()},
        "objects": {name: id(weight) for name, weight in model.named_parameters(remove_duplicate=False)},
        "learning": {name: weight.requires_grad for name, weight in model.named_parameters()},
        "modes": [module.training for module in model.modules()],
        "classes": [type(module) for module in model.modules()],
        "hooks": [
            (list(module._forward_hooks), list(module._forward_pre_hooks), list(module._backward_hooks))
            for module in model.modules()
        ],
        "attributes": [sorted(module.__dict__) for module in model.modules()],
        "implementations": [
            module.config._attn_implementation for module in model.modules() if hasattr(module, "config")
        ],
        "configuration": model.config.to_dict() if hasattr(model, "config") else None,
    }


def encoder_of(model: nn.Module) -> nn.Module:
    names = {"Wav2Vec2Model", "WavLMModel", "WhisperEncoder", "MockingjayModel"}
    return next(module for module in model.modules() if type(module).__name__ in names)


class Broken:
    """An observer that fails in the middle of a pass."""

    def observe(self, block):
        if block.layer == 1:
            raise ZeroDivisionError


class Counter:
    def __init__(self):
        self.blocks = 0

    def observe(self, block):
        self.blocks += 1


@EACH
def test_the_numbers_are_those_of_the_encoder_in_evaluation_mode(name):
    model = made(name).train()
    probed = AutoProbedModel.from_model(model)
    found = probed.encode([waveform()], output_hidden_states=True, output_attentions=True)
    encoder = encoder_of(model.eval())
    if getattr(encoder, "adapter", None) is not None:
        encoder.adapter = None
    (inputs,) = probed.prepare([waveform()])
    with torch.no_grad():
        expected = encoder(**inputs.tensors).last_hidden_state
    length = found.lengths[0]
    torch.testing.assert_close(found.last_hidden_state, expected[:, :length].float(), atol=3e-5, rtol=0)
    assert found.attentions is not None
    assert found.attentions[0].std() > 1e-3


@EACH
def test_the_model_stays_as_it_was(name):
    model = made(name).train()
    next(model.parameters()).requires_grad_(False)
    handle = model.register_forward_hook(lambda *_: None)
    before = everything(model)
    probed = AutoProbedModel.from_model(model)
    assert everything(model) == before
    mask = torch.zeros(probed.num_probed_layers, probed.num_probed_heads)
    counter = Counter()
    probed.encode([waveform()], observers=[counter], head_mask=mask, attention_span=3, output_hidden_states=True)
    assert counter.blocks
    (inputs,) = probed.prepare([waveform()])
    probed(**inputs.tensors, output_attentions=True)
    with pytest.raises(ZeroDivisionError):
        probed.encode([waveform()], observers=[Broken()])
    probed.train()
    if probed.own_attention is None:
        probed.set_attn_implementation("eager")
    assert everything(model) == before
    handle.remove()


@EACH
def test_weights_are_shared_until_the_probed_model_moves(name):
    model = made(name)
    probed = AutoProbedModel.from_model(model)
    encoder = dict(encoder_of(model).named_parameters())
    for parameter, weight in probed.named_parameters():
        assert weight is encoder[parameter]
    before = probed.encode([waveform()]).last_hidden_state
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.01)  # a step of training
    after = probed.encode([waveform()]).last_hidden_state
    assert (after - before).abs().max() > 1e-4
    pointers = {parameter: weight.data_ptr() for parameter, weight in encoder.items()}
    probed.double()
    assert probed.dtype == torch.float64
    assert {parameter: weight.data_ptr() for parameter, weight in encoder.items()} == pointers
    assert {weight.dtype for weight in encoder.values()} == {torch.float32}


def test_removing_heads_and_limiting_the_span_leave_the_model_alone():
    model = made("CTC")
    before = everything(model)
    probed = AutoProbedModel.from_model(model)
    mask = torch.ones(2, 4)
    mask[0, 1] = 0
    expected = probed.encode([waveform()], head_mask=mask).last_hidden_state
    probed.remove_heads([(0, 1)])
    torch.testing.assert_close(probed.encode([waveform()]).last_hidden_state, expected, atol=2e-6, rtol=0)
    probed.limit_span(3, "zero")
    assert everything(model) == before
    assert AutoProbedModel.from_model(model).present_heads[0] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", TINY)
def test_every_family_is_the_same_in_memory(name):
    expected = tiny(name)
    plain = base_class(type(expected))(deepcopy(expected.config))
    plain.load_state_dict(expected.state_dict())
    model = AutoProbedModel.from_model(plain)
    assert type(model) is type(expected)
    originals = set(plain.modules())
    for module in model.modules():
        values = [*vars(module).values(), *vars(module)["_modules"].values()]
        assert not any(isinstance(value, nn.Module) and value in originals for value in values)
        assert not any(getattr(value, "__self__", None) in originals for value in values if callable(value))
    inputs = prepared(expected, 0.31)
    mask = torch.linspace(0, 1, 8).view(2, 4)
    for options in ({}, {"head_mask": mask}, {"output_attentions": True}):
        torch.testing.assert_close(
            model.encode(inputs, **options).last_hidden_state,
            expected.encode(inputs, **options).last_hidden_state,
            atol=1e-6,
            rtol=0,
        )


def test_adapters_have_their_effect():
    model = made("LoRA").eval()
    with_adapter = AutoProbedModel.from_model(model).encode([waveform()]).last_hidden_state
    with model.disable_adapter():
        without = AutoProbedModel.from_model(model).encode([waveform()]).last_hidden_state
    merged = AutoProbedModel.from_model(deepcopy(model).merge_and_unload())
    assert (with_adapter - without).abs().max() > 1e-2
    torch.testing.assert_close(merged.encode([waveform()]).last_hidden_state, with_adapter, atol=1e-4, rtol=0)


def test_adapters_on_the_attention_of_wavlm_have_no_effect_as_in_transformers(caplog):
    model = lora(made("wavlm"), "q_proj", "v_proj").eval()
    with caplog.at_level(logging.WARNING):
        probed = AutoProbedModel.from_model(model)
    assert "LoRA adapters on q_proj, k_proj, v_proj and out_proj have no effect" in caplog.text
    (inputs,) = probed.prepare([waveform()])
    with torch.no_grad():
        expected = encoder_of(model)(**inputs.tensors).last_hidden_state
    torch.testing.assert_close(probed.encode([waveform()]).last_hidden_state, expected, atol=1e-5, rtol=0)
    observed = probed.encode([waveform()], output_attentions=True).last_hidden_state
    torch.testing.assert_close(observed, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_on_a_cpu_is_copied_to_float32(dtype, caplog):
    model = made("CTC").to(dtype)
    before = everything(model)
    with caplog.at_level(logging.WARNING):
        probed = AutoProbedModel.from_model(model)
    kind = str(dtype).removeprefix("torch.")
    assert caplog.messages == [f"ProbedWav2Vec2Model in {kind} on a CPU: computing with a copy in float32"]
    assert probed.dtype == torch.float32
    expected = AutoProbedModel.from_model(deepcopy(model).float()).encode([waveform()]).last_hidden_state
    assert torch.equal(probed.encode([waveform()]).last_hidden_state, expected)
    assert everything(model) == before


def test_a_probed_model_is_returned_as_it_is_and_found_below_a_head():
    model = tiny_model("wav2vec2-layer-norm")
    assert AutoProbedModel.from_model(model) is model
    head = Wav2Vec2ForCTC(Wav2Vec2Config(**_WAV2VEC2))
    head.wav2vec2 = model
    assert AutoProbedModel.from_model(head) is model


def test_subclasses_keep_their_own_forward():
    class Louder(Wav2Vec2Model):
        def forward(self, input_values, **kwargs):
            return super().forward(2 * input_values, **kwargs)

    torch.manual_seed(0)
    model = Louder(Wav2Vec2Config(**_WAV2VEC2)).eval()
    probed = AutoProbedModel.from_model(model)
    assert isinstance(probed, ProbedWav2Vec2Model)
    assert isinstance(probed, Louder)
    (inputs,) = probed.prepare([waveform()])
    with torch.no_grad():
        expected = model(**inputs.tensors).last_hidden_state
    torch.testing.assert_close(probed.encode([waveform()]).last_hidden_state, expected, atol=1e-5, rtol=0)


def test_a_model_is_analyzed_while_another_thread_trains_it():
    model = made("CTC").train()
    probed = AutoProbedModel.from_model(model)
    expected = probed.encode([waveform()]).last_hidden_state
    modes, stop = set(), threading.Event()

    def train():
        while not stop.is_set():
            model(torch.randn(1, 4000)).logits.sum().backward()
            modes.update(module.training for module in model.modules())
            model.zero_grad()

    thread = threading.Thread(target=train)
    thread.start()
    try:
        for _ in range(20):
            assert torch.equal(probed.encode([waveform()]).last_hidden_state, expected)
    finally:
        stop.set()
        thread.join()
    assert modes == {True}


def offloaded() -> nn.Module:
    model = made("CTC")
    model._hf_hook = object()
    return model.to("meta")


def two_encoders() -> nn.Module:
    return nn.ModuleDict({"teacher": made("encoder"), "student": made("wavlm")})


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (lambda: "wav2vec2", TypeError, "expected a model of transformers .*, got str; names and folders"),
        (lambda: None, TypeError, "got NoneType"),
        (lambda: np.zeros(3), TypeError, "got ndarray"),
        (lambda: BertModel(BertConfig(num_hidden_layers=1)), ModelError, "BertModel has no speech encoder .*families"),
        (lambda: nn.Linear(2, 2), ModelError, "Linear has no speech encoder"),
        (lambda: made("CTC").to("meta"), ModelError, "Wav2Vec2ForCTC has no weights yet"),
        (lambda: offloaded().wav2vec2, ModelError, "no weights yet"),
        (two_encoders, ModelError, r"2 speech encoders \(teacher, student.wavlm\): give one of them"),
    ],
)  # fmt: skip
def test_bad_objects_are_one_line(model, error, message):
    with pytest.raises(error, match=message) as caught:
        AutoProbedModel.from_model(model())
    assert "\n" not in str(caught.value)


def test_offloaded_models_are_refused():
    model = made("encoder")
    model._hf_hook = object()
    with pytest.raises(ModelError, match="weights of Wav2Vec2Model are offloaded: load it without device_map"):
        AutoProbedModel.from_model(model.to("meta"))


def test_heads_of_adapted_or_quantised_layers_cannot_be_removed(tmp_path):
    probed = AutoProbedModel.from_model(made("LoRA"))
    with pytest.raises(ModelError, match=r"q_proj is a Linear, .*merge adapters first \(model.merge_and_unload"):
        probed.remove_heads([(0, 1)])
    assert probed.present_heads[0] == [0, 1, 2, 3]
    with pytest.raises(ModelError, match="with adapters cannot be saved as one: merge them first"):
        probed.save_pretrained(tmp_path)
    quantised = torch.ao.quantization.quantize_dynamic(made("CTC").eval(), {nn.Linear}, dtype=torch.qint8)
    probed = AutoProbedModel.from_model(quantised)
    assert probed.encode([waveform()], output_attentions=True).attentions is not None
    with pytest.raises(ModelError, match="and quantise afterwards"):
        probed.remove_heads([(0, 1)])


def test_the_bundled_model_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = AutoProbedModel.from_pretrained("bundled")
    assert (model.num_probed_layers, model.num_probed_heads) == (6, 6)
    assert model.config._name_or_path == "bundled"
    assert model.preprocessor.recipe is not None
    torch.manual_seed(0)
    WavLMModel(WavLMConfig(**_WAV2VEC2)).save_pretrained(tmp_path / "bundled")
    assert AutoProbedModel.from_pretrained("bundled").config.model_type == "mockingjay"
    assert isinstance(AutoProbedModel.from_pretrained("./bundled"), ProbedWavLMModel)
