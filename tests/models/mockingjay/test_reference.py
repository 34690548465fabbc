"""Equal to the original implementations: outputs they stored, with the weights they stored."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sat_probe.models.auto import AutoProbedModel
from sat_probe.models.mockingjay.convert_mockingjay import convert_checkpoint, convert_mockingjay
from sat_probe.models.mockingjay.modeling_mockingjay import position_table

pytestmark = pytest.mark.shared

NAMES = ("legacy_small", "s3prl_small_linear")
SINGLE, DOUBLE = 2e-5, 1e-6


@pytest.fixture(scope="module", params=NAMES)
def reference(request, shared_data):
    """The converted model and what the original computed with the same weights."""
    folder = shared_data / "mockingjay-reference"
    model = convert_checkpoint(folder / f"{request.param}.ckpt").model
    return model, dict(np.load(folder / f"{request.param}.npz"))


def inputs(stored, dtype=torch.float32):
    features = torch.from_numpy(stored["features"]).to(dtype)
    # s3prl stores lengths as its mask only
    lengths = torch.from_numpy(stored.get("lengths", stored["attention_mask"].sum(1)))
    mask = (torch.arange(features.shape[1]) < lengths[:, None]).long()
    return features, mask


def near(ours, theirs, tolerance):
    np.testing.assert_allclose(ours.detach().numpy(), theirs, atol=tolerance, rtol=0)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_hidden_states_and_reconstruction(reference, implementation):
    model, stored = reference
    model.float().set_attn_implementation(implementation)
    output = model(*inputs(stored), output_hidden_states=True)
    near(torch.stack(output.hidden_states), stored["hidden_states"], SINGLE)
    near(output.prediction, stored["pred_upsampled" if "lengths" in stored else "pred_spec"], SINGLE)
    doubled = model.double()(*inputs(stored, torch.float64))
    near(doubled.last_hidden_state, stored["last_hidden_f64"], DOUBLE)
    theirs = stored["pred_stacked_f64" if "lengths" in stored else "pred_spec_f64"]
    near(doubled.prediction.reshape(theirs.shape), theirs, DOUBLE)


def test_attentions(reference):
    model, stored = reference
    model.set_attn_implementation("eager")
    near(torch.stack(model.float()(*inputs(stored), output_attentions=True).attentions), stored["attentions"], SINGLE)
    if "attentions_f64" in stored:
        doubled = model.double()(*inputs(stored, torch.float64), output_attentions=True)
        near(torch.stack(doubled.attentions), stored["attentions_f64"], DOUBLE)


def test_head_masks(reference, tmp_path):
    model, stored = reference
    model.float().set_attn_implementation("sdpa")
    model.save_pretrained(tmp_path)
    probed = AutoProbedModel.from_pretrained(tmp_path)
    features, mask = inputs(stored)
    head_mask = torch.from_numpy(stored["head_mask"])
    assert not head_mask.all()
    output = probed(features, attention_mask=mask, head_mask=head_mask, output_attentions=True)
    rows = stored["attention_mask"].astype(bool)  # a probe shows true frames only
    near(output.last_hidden_state[torch.from_numpy(rows)], stored["headmask_last_hidden"][rows], SINGLE)
    if "headmask_attentions_layer1" in stored:
        for utterance, length in enumerate(rows.sum(1)):
            theirs = stored["headmask_attentions_layer1"][utterance, :, :length, :length]
            near(output.attentions[1][utterance, :, :length, :length], theirs, SINGLE)
    if "pruned_last_hidden" in stored:  # the originals' physical removal equals their mask
        near(output.last_hidden_state[torch.from_numpy(rows)], stored["pruned_last_hidden"][rows], SINGLE)


def test_loss_and_gradients(reference):
    model, stored = reference
    model.float().set_attn_implementation("sdpa")
    model.zero_grad()
    rate = model.config.downsample_rate
    masked, target = (torch.from_numpy(stored[f"mam_{one}"]) for one in ("masked_input", "target"))
    batch, rows, _ = masked.shape
    output = model(
        masked.view(batch, rows * rate, -1),
        torch.from_numpy(stored["mam_attention_mask"]).repeat_interleave(rate, dim=1),
        torch.from_numpy(stored["mam_mask_label"]),
        target.view(batch, rows * rate, -1),
    )
    near(output.prediction.reshape(stored["mam_pred"].shape), stored["mam_pred"], SINGLE)
    assert output.loss.item() == pytest.approx(float(stored["mam_loss"]), abs=1e-6)
    output.loss.backward()
    ours = {name: parameter.grad for name, parameter in model.named_parameters()}
    theirs = [name for name in stored if name.startswith("grad/")]
    assert len(theirs) == len(ours)
    for name in theirs:
        near(ours[our_name(name)], stored[name], 2e-6)


def our_name(name):
    """The parameter that a stored gradient belongs to."""
    name = name.removeprefix("grad/").replace("Mockingjay.", "mockingjay.").replace("Transformer.", "mockingjay.")
    for theirs, ours in (
        ("input_representations.spec_transform", "embeddings.projection"),
        ("input_representations.LayerNorm", "embeddings.layer_norm"),
        ("encoder.layer.", "layers."),
        ("attention.self.query", "attention.q_proj"),
        ("attention.self.key", "attention.k_proj"),
        ("attention.self.value", "attention.v_proj"),
        ("attention.output.dense", "attention.out_proj"),
        ("attention.output.LayerNorm", "attention_norm"),
        ("intermediate.dense", "intermediate"),
        ("SpecHead.LayerNorm", "head.layer_norm"),
        ("SpecHead.", "head."),
        (".output.dense", ".output"),
        (".output.LayerNorm", ".output_norm"),
    ):
        name = name.replace(theirs, ours)
    return name


def test_legacy_extras(shared_data):
    folder = shared_data / "mockingjay-reference"
    model = convert_checkpoint(folder / "legacy_small.ckpt").model
    stored = dict(np.load(folder / "legacy_small.npz"))
    features, mask = inputs(stored)
    near(model.mockingjay(features[:1]).last_hidden_state, stored["single_last_hidden"], SINGLE)
    tiled = model(features, mask).last_hidden_state.repeat_interleave(3, dim=1)
    near(tiled, stored["last_hidden_tiled"], SINGLE)
    near(position_table(20, torch.zeros(96)), stored["pos_enc"][0], 1e-7)


def test_s3prl_chunks(shared_data):
    folder = shared_data / "mockingjay-reference"
    model = convert_checkpoint(folder / "s3prl_small_linear.ckpt").model.mockingjay
    stored = np.load(folder / "s3prl_small_linear.npz")
    features = torch.from_numpy(stored["features_single0"])[None]
    near(model(features, chunk_length=40).last_hidden_state, stored["chunk40_last_hidden"], SINGLE)
    whole = model(features).last_hidden_state.detach().numpy()
    assert np.abs(whole - stored["chunk40_last_hidden"]).max() > 0.01


def test_waveform_to_hidden_states(shared_data, tmp_path):
    """The whole way, from samples: features, network and lengths together."""
    folder = shared_data / "mockingjay-reference"
    convert_mockingjay(folder / "s3prl_small_linear.ckpt", tmp_path / "model")
    stored = np.load(folder / "s3prl_small_linear.npz")
    probed = AutoProbedModel.from_pretrained(tmp_path / "model")
    output = probed.encode([stored["wav0"], stored["wav1"]])
    assert list(output.lengths) == [161, 91]
    near(output.last_hidden_state[0], stored["hidden_states"][-1][0], 1e-3)
