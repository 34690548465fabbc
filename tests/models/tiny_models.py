"""Tiny models with random weights, their attention peaked so that a wrong mask or a wrong head shows."""

from __future__ import annotations

import torch
from transformers import HubertConfig, Wav2Vec2Config

from sat_probe.models.mockingjay import MockingjayConfig
from sat_probe.models.probed import ProbedModel
from sat_probe.models.probed_classes import ProbedHubertModel, ProbedMockingjayModel, ProbedWav2Vec2Model

_TRANSFORMER = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
_CONVOLUTIONAL = {
    **_TRANSFORMER,
    "conv_dim": (16,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 4,
}
CONFIGURATIONS = {
    "wav2vec2-layer-norm": (
        ProbedWav2Vec2Model,
        Wav2Vec2Config(**_CONVOLUTIONAL, feat_extract_norm="layer", do_stable_layer_norm=True),
    ),
    "wav2vec2-group-norm": (ProbedWav2Vec2Model, Wav2Vec2Config(**_CONVOLUTIONAL)),
    "hubert-layer-norm": (
        ProbedHubertModel,
        HubertConfig(**_CONVOLUTIONAL, feat_extract_norm="layer", do_stable_layer_norm=True),
    ),
    "hubert-group-norm": (ProbedHubertModel, HubertConfig(**_CONVOLUTIONAL)),
    "mockingjay": (ProbedMockingjayModel, MockingjayConfig(**_TRANSFORMER)),
}
PADDING_IS_EXACT = [name for name in CONFIGURATIONS if not name.endswith("group-norm")]


def tiny_model(name: str, seed: int = 0) -> ProbedModel:
    """A model of CONFIGURATIONS in evaluation mode."""
    torch.manual_seed(seed)
    probed, config = CONFIGURATIONS[name]
    model = probed(config).eval()
    with torch.no_grad():
        for module in model.attention_modules:
            for projection in (module.q_proj, module.k_proj):
                projection.weight.normal_(0, 0.5)
                projection.bias.normal_(0, 0.5)
    return model
