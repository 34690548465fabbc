"""The network: padding, stacking, implementations, saving."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining

from sat_probe.errors import ModelError
from sat_probe.models.auto import AutoProbedModel
from sat_probe.models.mockingjay import MockingjayConfig, MockingjayForPreTraining, MockingjayModel, modeling_mockingjay
from sat_probe.models.mockingjay.frame_stacking import reconstruction_loss, sinusoid_positions, stack_mask

SMALL = {
    "feature_size": 5, "target_size": 7, "hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 3,
    "intermediate_size": 40, "initializer_range": 0.3,
}  # fmt: skip
VARIANTS = [{}, {"share_layers": True}, {"pre_layer_norm": True}]


def small(model_class=MockingjayModel, **settings):
    torch.manual_seed(0)
    model = model_class(MockingjayConfig(**(SMALL | settings))).eval()
    with torch.no_grad():  # biases start at 0 and norms at 1, which would hide mistakes
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.2 * torch.randn_like(parameter)
    return model


def padded_batch(lengths, seed=1):
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(len(lengths), max(lengths), SMALL["feature_size"], generator=generator)
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).long()
    return features * mask[..., None], mask


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_padding_does_not_reach_true_frames(variant, implementation):
    model = small(**variant)
    model.set_attn_implementation(implementation)
    features, mask = padded_batch([31, 18, 24])
    batch = model(features, mask, output_hidden_states=True)
    features[~mask.bool()] = 7.0  # what stands in the padding must not matter either
    dirty = model(features, mask).last_hidden_state
    for index, length in enumerate((31, 18, 24)):
        alone = model(features[index : index + 1, :length], output_hidden_states=True)
        rows = length // 3
        torch.testing.assert_close(dirty[index, :rows], batch.last_hidden_state[index, :rows])
        for one, other in zip(alone.hidden_states, batch.hidden_states, strict=True):
            torch.testing.assert_close(one[0], other[index, :rows], atol=1e-5, rtol=0)


def test_a_partly_filled_last_row_counts_as_true():
    model = small()
    model.set_attn_implementation("eager")
    features, mask = padded_batch([12, 7])
    maps = model(features, mask, output_attentions=True).attentions
    assert (maps[0][1, :, :, :3] > 0).all()  # 7 frames: two whole rows and a third of one
    assert not maps[0][1, :, :, 3:].any()
    assert model.get_output_lengths(torch.tensor([12, 7])).tolist() == [4, 3]


def test_output_lengths_are_the_rows_that_exist():
    model = small()
    lengths = torch.tensor([62, 50, 31])
    assert model.get_output_lengths(lengths).tolist() == [20, 17, 11]
    assert model.get_output_lengths(lengths, frames=64).tolist() == [21, 17, 11]
    assert model.get_output_lengths(lengths[1:2]).tolist() == [16]
    features, mask = padded_batch([62, 50, 31])
    assert model(features, mask).last_hidden_state.shape[1] == 20


def test_trailing_frames_that_fill_no_row_are_dropped():
    model = small()
    features, _ = padded_batch([11])
    torch.testing.assert_close(model(features).last_hidden_state, model(features[:, :9]).last_hidden_state)


@pytest.mark.parametrize("variant", VARIANTS)
def test_sdpa_is_the_default_and_equals_eager(variant):
    model = small(**variant)
    assert model.config._attn_implementation == "sdpa"
    features, mask = padded_batch([30, 21])
    fast = model(features, mask).last_hidden_state
    model.set_attn_implementation("eager")
    slow = model(features, mask, output_attentions=True, output_hidden_states=True)
    torch.testing.assert_close(fast, slow.last_hidden_state, atol=1e-5, rtol=0)
    assert len(slow.hidden_states) == 4
    assert torch.equal(slow.hidden_states[-1], slow.last_hidden_state)
    assert [one.shape for one in slow.attentions] == [(2, 3, 10, 10)] * 3
    torch.testing.assert_close(slow.attentions[1].sum(-1), torch.ones(2, 3, 10))
    heads = slow.attentions[1][0]
    assert (heads[0] - heads[1]).abs().max() > 0.01


def test_a_head_whose_output_columns_are_zero_is_gone():
    model = small()
    features, mask = padded_batch([30, 21])
    before = model(features, mask).last_hidden_state
    with torch.no_grad():
        model.layers[1].attention.out_proj.weight[:, 8:16] = 0
        model.layers[1].attention.v_proj.weight[8:16] = 1e3
    after = model(features, mask).last_hidden_state
    assert torch.isfinite(after).all()
    assert (after - before).abs().max() > 0.01
    assert [layer.attention.layer_idx for layer in model.layers] == [0, 1, 2]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    "model_class, auto", [(MockingjayModel, AutoModel), (MockingjayForPreTraining, AutoModelForPreTraining)]
)
def test_saved_and_loaded_models_are_the_same(tmp_path, variant, model_class, auto):
    model = small(model_class, **variant)
    model.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    assert isinstance(AutoConfig.from_pretrained(tmp_path), MockingjayConfig)
    back, report = auto.from_pretrained(tmp_path, output_loading_info=True)
    assert type(back) is model_class
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    features, mask = padded_batch([30, 21])
    assert torch.equal(back(features, mask)[0], model(features, mask)[0])
    assert back.num_parameters() == model.num_parameters()


def test_a_pretraining_checkpoint_loads_as_encoder(tmp_path):
    model = small(MockingjayForPreTraining)
    model.save_pretrained(tmp_path)
    encoder = AutoModel.from_pretrained(tmp_path)
    features, mask = padded_batch([30, 21])
    expected = model(features, mask).last_hidden_state
    assert torch.equal(encoder(features, mask).last_hidden_state, expected)


def test_shared_layers_have_one_set_of_weights():
    shared, own = small(share_layers=True), small()
    layer = sum(parameter.numel() for parameter in own.layers[0].parameters())
    assert own.num_parameters() - shared.num_parameters() == 2 * layer
    assert shared.layers[2].attention.q_proj.weight is shared.layers[0].attention.q_proj.weight
    assert [one.attention.layer_idx for one in shared.layers] == [0, 1, 2]


def test_positions_keep_their_digits_far_out():
    table = sinusoid_positions(24_000, 8)
    assert table.dtype == torch.float32
    assert table[:2, :2].tolist() == [[0.0, 1.0], pytest.approx([0.8414709848, 0.5403023059])]
    assert table[23_999, 0].item() == pytest.approx(math.sin(23_999), abs=1e-6)
    assert table[23_999, 2].item() == pytest.approx(math.sin(2_399.9), abs=1e-6)


def test_positions_serve_training_after_inference_mode():
    model = small()
    features, _ = padded_batch([30])
    with torch.inference_mode():
        model(features)
    model(features).last_hidden_state.sum().backward()
    assert model.embeddings.projection.weight.grad.abs().sum() > 0


def test_long_input_is_encoded_in_one_piece_and_can_be_cut():
    model = small(downsample_rate=1)
    features, mask = padded_batch([161, 50])
    whole = model(features, mask).last_hidden_state
    cut = model(features, mask, chunk_length=40, output_hidden_states=True)
    assert cut.last_hidden_state.shape == whole.shape
    parts = torch.cat(
        [model(part).last_hidden_state for part in features[:1].split([33, 33, 33, 33, 29], dim=1)], dim=1
    )
    torch.testing.assert_close(cut.last_hidden_state[:1], parts, atol=1e-5, rtol=0)
    assert torch.equal(cut.hidden_states[-1], cut.last_hidden_state)
    alone = model(features[1:, :50], chunk_length=40).last_hidden_state
    torch.testing.assert_close(cut.last_hidden_state[1:, :50], alone, atol=1e-5, rtol=0)
    assert (whole - cut.last_hidden_state)[0].abs().max() > 0.01


def test_attention_maps_of_cut_input_lie_on_the_diagonal():
    model = small(downsample_rate=1, chunk_length=8)
    model.set_attn_implementation("eager")
    features, mask = padded_batch([20, 9])
    maps = model(features, mask, output_attentions=True).attentions
    assert maps[0].shape == (2, 3, 20, 20)
    torch.testing.assert_close(maps[0][0].sum(-1), torch.ones(3, 20))
    assert not maps[0][0, :, :7, 7:].any()
    assert not maps[0][1, :, 9:].any()
    assert isinstance(model(features, return_dict=False), tuple)


def test_heads_of_shared_layers_are_masked_one_by_one(tmp_path):
    small(MockingjayForPreTraining, share_layers=True).save_pretrained(tmp_path)
    own = MockingjayForPreTraining.from_pretrained(tmp_path, share_layers=False)
    state = MockingjayForPreTraining.from_pretrained(tmp_path).state_dict()
    own.load_state_dict(state)
    own.save_pretrained(tmp_path / "own")
    probed = AutoProbedModel.from_pretrained(tmp_path)
    features, mask = padded_batch([30, 21])
    head_mask = torch.ones(3, 3)
    head_mask[1, 2] = 0
    masked = probed(features, attention_mask=mask, head_mask=head_mask).last_hidden_state
    other = AutoProbedModel.from_pretrained(tmp_path / "own")
    with torch.no_grad():
        other.layers[1].attention.out_proj.weight[:, 16:] = 0
    wanted = other(features, attention_mask=mask).last_hidden_state
    true = stack_mask(mask, 3)
    torch.testing.assert_close(masked[true], wanted[true], atol=1e-5, rtol=0)
    assert (masked - probed(features, attention_mask=mask).last_hidden_state)[true].abs().max() > 1e-3


@pytest.mark.parametrize(
    "kind, hop, centre", [("online_log_mel", 160, 0.0), ("legacy_mel", 200, 0.0), ("kaldi_fbank", 160, 200.0)]
)
def test_frame_times_follow_from_the_features(tmp_path, kind, hop, centre):
    config = MockingjayConfig(feature_kind=kind)
    assert (config.hop_length, config.first_frame_centre) == (hop, centre)
    config = MockingjayConfig(feature_kind=kind, hop_length=80)
    config.save_pretrained(tmp_path)
    assert MockingjayConfig.from_pretrained(tmp_path).hop_length == 80


@pytest.mark.parametrize("selected", [None, "rows", "columns"])
def test_the_loss_is_one_mean_over_what_is_selected(selected):
    model = small(MockingjayForPreTraining)
    features, mask = padded_batch([30, 21])
    labels = torch.randn(2, 30, 7)
    positions = None
    if selected is not None:
        positions = torch.zeros(2, 10, dtype=torch.bool)
        positions[0, 2:5] = positions[1, 6] = True
    if selected == "columns":
        positions = positions[..., None].expand(2, 10, 21).clone()
        positions[..., 10:] = False
    output = model(features, mask, positions, labels)
    assert output.prediction.shape == (2, 30, 7)
    errors = (output.prediction - labels).abs().reshape(2, 10, 21)
    if selected is None:
        wanted = torch.cat([errors[0], errors[1, :7]]).mean()
    else:
        wanted = errors[positions].mean()
    torch.testing.assert_close(output.loss, wanted)


def test_nothing_selected_is_no_loss():
    loss = reconstruction_loss(torch.ones(1, 2, 3), torch.zeros(1, 2, 3), torch.zeros(1, 2, dtype=torch.bool))
    assert loss == 0


def test_gradient_checkpointing_changes_no_gradient():
    features, mask = padded_batch([30, 21])
    gradients = []
    for checkpointing in (False, True):
        model = small(MockingjayForPreTraining, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
        if checkpointing:
            model.activation_checkpointing_enable()
            assert model.mockingjay.layers[0].gradient_checkpointing
        model(features, mask, labels=torch.ones(2, 30, 7)).loss.backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"hidden_size": 25}, "must be a multiple of num_attention_heads"),
        ({"downsample_rate": 0}, "downsample_rate must be at least 1"),
        ({"feature_kind": "mel"}, "unknown feature_kind 'mel'"),
        ({"chunk_length": 0}, "chunk_length must be at least 1"),
        ({"num_hidden_layers": "three"}, "num_hidden_layers"),
    ],
)
def test_impossible_configurations_are_refused(settings, message):
    with pytest.raises(Exception, match=message):
        MockingjayConfig(**(SMALL | settings))


def test_features_of_another_size_are_refused():
    model = small()
    with pytest.raises(ValueError, match=r"expected input_features of shape \(batch, frames, 5\), got \(1, 9, 6\)"):
        model(torch.zeros(1, 9, 6))
    with pytest.raises(ModelError, match="2 frames are fewer than one row of 3"):
        model(torch.zeros(1, 2, 5))


@pytest.mark.parametrize(
    "settings, encoder, head",
    [  # Liu et al. 2020, table 1: BASE 21.4 M and LARGE 85.4 M; then s3prl's Base and Large
        ({"num_hidden_layers": 3, "downsample_rate": 1, "feature_size": 160, "target_size": 160}, 21_388_800, 715_168),
        ({"downsample_rate": 3, "feature_size": 160, "target_size": 1025}, 85_425_408, 2_956_803),
        ({"num_hidden_layers": 3, "downsample_rate": 1}, 21_327_360, 653_648),
        ({"downsample_rate": 1, "target_size": 201}, 85_118_208, 746_697),
    ],
)
def test_published_sizes(settings, encoder, head):
    with torch.device("meta"):
        model = MockingjayForPreTraining(MockingjayConfig(**settings))
    assert model.mockingjay.num_parameters() == encoder
    assert sum(parameter.numel() for parameter in model.head.parameters()) == head


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_long_utterance_passes_the_feed_forward_layers_in_parts(variant, monkeypatch):
    model = small(**variant)
    features, mask = padded_batch([130, 90])
    with torch.no_grad():
        whole = model(features, mask).last_hidden_state
        monkeypatch.setattr(modeling_mockingjay, "ROWS_AT_ONCE", 7)
        torch.testing.assert_close(model(features, mask).last_hidden_state, whole, atol=1e-6, rtol=1e-6)
