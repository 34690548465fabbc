"""Conversion of original Mockingjay, TERA and AudioALBERT checkpoints to transformers."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import ModelCardData
from huggingface_hub.errors import StrictDataclassError
from transformers.activations import ACT2FN

from sat_probe.errors import ModelError
from sat_probe.models.mockingjay.checkpoint_features import CheckpointFeatures, checkpoint_features
from sat_probe.models.mockingjay.code_export import add_code
from sat_probe.models.mockingjay.configuration_mockingjay import MockingjayConfig
from sat_probe.models.mockingjay.feature_extraction_mockingjay import MockingjayFeatureExtractor
from sat_probe.models.mockingjay.original_checkpoint import OriginalCheckpoint, read_original
from sat_probe.models.mockingjay.pretraining_mockingjay import MockingjayForPreTraining

# Our name of a part -> the original's. Alternatives are aliases that pre-LN checkpoints hold twice.
ENCODER_PARTS = {
    "embeddings.projection": ("input_representations.spec_transform",),
    "embeddings.layer_norm": ("input_representations.LayerNorm",),
}
LAYER_PARTS = {
    "attention.q_proj": ("attention.self.query",),
    "attention.k_proj": ("attention.self.key",),
    "attention.v_proj": ("attention.self.value",),
    "attention.out_proj": ("attention.output.dense",),
    "attention_norm": ("attention.output.LayerNorm", "attention.LayerNorm"),
    "intermediate": ("intermediate.dense",),
    "output": ("output.dense",),
    "output_norm": ("output.LayerNorm", "LayerNorm"),
}
HEAD_PARTS = {"dense": ("dense",), "layer_norm": ("LayerNorm",), "output": ("output",)}


@dataclass(frozen=True, slots=True)
class Conversion:
    """A converted checkpoint, not yet written.

    feature_extractor is None where no recipe makes the features the model reads (fMLLR, MFCC).
    """

    model: MockingjayForPreTraining
    feature_extractor: MockingjayFeatureExtractor | None
    original: OriginalCheckpoint


def convert_checkpoint(
    path: str | Path, feature_kind: str | None = None, target_kind: str | None = None, chunked: bool = False
) -> Conversion:
    """Convert an original checkpoint to a transformers model and its feature extractor.

    Args:
        path: the `.ckpt` file; only tensors and plain values are read.
        feature_kind, target_kind: features that the model reads and reconstructs, if the file is silent or wrong.
        chunked: cut long utterances as s3prl does at inference, by the length the file was trained with.

    Raises:
        ModelError: the file is damaged, foreign, hostile, incomplete, or its shapes contradict each other.
    """
    original = read_original(path)
    try:
        config, features = _configuration(original, feature_kind, target_kind, chunked)
    except (ValueError, TypeError, AttributeError, StrictDataclassError) as error:
        raise ModelError(f"{path}: {error}") from error
    model = MockingjayForPreTraining(config).eval()
    state = _translated(original, config, path)
    _check_shapes(model, state, path)
    model.load_state_dict(state)
    return Conversion(model, features.extractor(config), original)


def convert_mockingjay(
    path: str | Path,
    folder: str | Path,
    feature_kind: str | None = None,
    target_kind: str | None = None,
    chunked: bool = False,
    with_code: bool = False,
) -> Conversion:
    """Convert a checkpoint to a new folder: config, safetensors, feature extractor and model card.

    Args as in `convert_checkpoint`; with_code also writes the modelling code, for use without sat-probe.

    Raises:
        ModelError: as `convert_checkpoint`, or `folder` exists and is not empty.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ModelError(f"{folder} exists and is not empty; choose another output folder")
    conversion = convert_checkpoint(path, feature_kind, target_kind, chunked)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Written beside its place and moved there whole, so that a broken run leaves no half folder.
    scratch = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        conversion.model.save_pretrained(scratch)
        if conversion.feature_extractor is not None:
            conversion.feature_extractor.save_pretrained(scratch)
        if with_code:
            add_code(scratch, scratch)
        card = conversion_card(Path(path), conversion.model.config, conversion.original, with_code)
        (scratch / "README.md").write_text(card, encoding="utf-8")
        scratch.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return conversion


def _configuration(
    original: OriginalCheckpoint, feature_kind: str | None, target_kind: str | None, chunked: bool
) -> tuple[MockingjayConfig, CheckpointFeatures]:
    """Return the configuration, with sizes from the weights and the rest from the settings."""
    settings = original.transformer
    if "num_attention_heads" not in settings:
        raise ModelError("the settings do not say how many heads a layer has")
    rate = int(settings.get("downsample_rate", 1))
    hidden_size, stacked_size = _shape(original.encoder, "input_representations.spec_transform.weight")
    intermediate_size, _ = _shape(original.encoder, "encoder.layer.0.intermediate.dense.weight")
    stacked_target, _ = _shape(original.head, "output.weight")
    if rate < 1 or stacked_size % rate or stacked_target % rate:
        raise ModelError(
            f"the settings say that {rate} frames are stacked, but the weights read {stacked_size} values and "
            f"predict {stacked_target}"
        )
    features = checkpoint_features(original, stacked_size // rate, stacked_target // rate, feature_kind, target_kind)
    layers = {int(found[1]) for name in original.encoder if (found := re.match(r"encoder\.layer\.(\d+)\.", name))}
    if layers != set(range(len(layers))):
        raise ModelError(f"layers are missing: found {sorted(layers)}")
    promised = settings.get("num_hidden_layers", len(layers))
    if promised != len(layers):
        raise ModelError(f"the settings promise {promised} layers, the weights hold {len(layers)}")
    final_norms = {name for name in original.encoder if re.match(r"encoder\.LayerNorm\.\d+\.weight", name)}
    hidden_act = str(settings.get("hidden_act", "gelu"))
    if hidden_act not in ACT2FN:
        raise ModelError(f"unknown activation {hidden_act!r}")
    chunk_length = original.task.get("sequence_length") if chunked else None
    if chunked and not isinstance(chunk_length, int):
        raise ModelError("chunked inference was asked for, but the file does not say its sequence length")
    config = MockingjayConfig(
        feature_size=stacked_size // rate,
        target_size=stacked_target // rate,
        downsample_rate=rate,
        feature_kind=features.kind,
        target_kind=features.target_kind,
        hop_length=features.hop_length,
        first_frame_centre=features.first_centre,
        hidden_size=hidden_size,
        num_hidden_layers=len(layers),
        num_attention_heads=int(settings["num_attention_heads"]),
        intermediate_size=intermediate_size,
        hidden_act=hidden_act,
        hidden_dropout_prob=float(settings.get("hidden_dropout_prob", 0.1)),
        attention_probs_dropout_prob=float(settings.get("attention_probs_dropout_prob", 0.1)),
        initializer_range=float(settings.get("initializer_range", 0.02)),
        layer_norm_eps=float(settings.get("layer_norm_eps", 1e-12)),  # legacy files hold it as text
        pre_layer_norm=bool(settings.get("pre_layer_norm", False)),
        normalize_embedding_state=len(final_norms) != len(layers),
        share_layers=bool(settings.get("share_layer", False)),
        zero_padding_positions=original.generation == "legacy",
        chunk_length=chunk_length,
    )
    return config, features


def _shape(state: dict[str, torch.Tensor], name: str) -> tuple[int, int]:
    if name not in state:
        raise ModelError(f"the parameter {name} is missing")
    if state[name].ndim != 2:
        raise ModelError(f"{name} has shape {tuple(state[name].shape)}, not two dimensions")
    rows, columns = state[name].shape
    return rows, columns


def _translated(original: OriginalCheckpoint, config: MockingjayConfig, path: str | Path) -> dict[str, torch.Tensor]:
    """Return the parameters under our names; every original parameter is used, and no other."""
    parts: list[tuple[str, str, tuple[str, ...]]] = [
        ("encoder", f"mockingjay.{ours}", theirs) for ours, theirs in ENCODER_PARTS.items()
    ]
    for layer in range(config.num_hidden_layers):
        for ours, theirs in LAYER_PARTS.items():
            names = tuple(f"encoder.layer.{layer}.{name}" for name in theirs)
            parts.append(("encoder", f"mockingjay.layers.{layer}.{ours}", names))
    if config.pre_layer_norm:
        first = 0 if config.normalize_embedding_state else 1
        for state in range(first, config.num_hidden_layers + 1):
            name = (f"encoder.LayerNorm.{state - first}",)
            parts.append(("encoder", f"mockingjay.shown_states.{state}.layer_norm", name))
    parts += [("head", f"head.{ours}", theirs) for ours, theirs in HEAD_PARTS.items()]

    left = {"encoder": dict(original.encoder), "head": dict(original.head)}
    translated: dict[str, torch.Tensor] = {}
    missing = []
    for where, ours, theirs in parts:
        for suffix in ("weight", "bias"):
            found = [left[where].pop(f"{name}.{suffix}") for name in theirs if f"{name}.{suffix}" in left[where]]
            if not found:
                missing.append(f"{theirs[0]}.{suffix}")
                continue
            if not all(torch.equal(found[0], other) for other in found[1:]):
                raise ModelError(f"{path}: {theirs[0]}.{suffix} and its alias differ")
            if not found[0].is_floating_point() or not torch.isfinite(found[0]).all():
                raise ModelError(f"{path}: {theirs[0]}.{suffix} holds values that are no finite numbers")
            translated[f"{ours}.{suffix}"] = found[0].float().clone()
    if missing:
        raise ModelError(f"{path}: {len(missing)} parameters are missing, the first is {missing[0]}")
    unknown = [*left["encoder"], *left["head"]]
    if unknown:
        raise ModelError(f"{path}: {len(unknown)} parameters are unknown, the first is {unknown[0]}")
    if config.share_layers:
        _check_shared(translated, path)
    return translated


def _check_shared(state: dict[str, torch.Tensor], path: str | Path) -> None:
    for name, value in state.items():
        first = re.sub(r"^mockingjay\.layers\.\d+\.", "mockingjay.layers.0.", name)
        if state[first].shape != value.shape or not torch.equal(state[first], value):
            raise ModelError(f"{path}: the settings say that layers share weights, but {name} differs from layer 0")


def _check_shapes(model: MockingjayForPreTraining, state: dict[str, torch.Tensor], path: str | Path) -> None:
    for name, expected in model.state_dict().items():
        if state[name].shape != expected.shape:
            raise ModelError(
                f"{path}: wrong shape of {name}: {tuple(state[name].shape)}, expected {tuple(expected.shape)}"
            )


ORIGINS = {
    "legacy": "andi611/Mockingjay-Speech-Representation",
    "v0.1.0": "andi611/Self-Supervised-Speech-Pretraining-and-Representation-Learning",
    "s3prl": "s3prl/s3prl",
}


def conversion_card(path: Path, config: MockingjayConfig, original: OriginalCheckpoint, with_code: bool = False) -> str:
    """Return the card: source, size, features and loading of the model; Markdown with Hub metadata."""
    metadata = ModelCardData(
        library_name="transformers",
        pipeline_tag="feature-extraction",
        tags=["sat-probe", "mockingjay", "speech", "self-supervised"],
    )
    assert config.hop_length is not None  # the configuration fills it in
    extra = ", trust_remote_code=True" if with_code else ""
    need = "" if with_code else "import sat_probe.models.mockingjay  # makes transformers know the architecture\n"
    features = config.feature_kind or "features that must be made outside (no recipe)"
    extractor = f'\nextractor = AutoFeatureExtractor.from_pretrained("FOLDER"{extra})' if config.feature_kind else ""
    variants = ", one set of weights" * config.share_layers + ", pre-LN" * config.pre_layer_norm
    long_input = "one piece; pass `chunk_length` to cut it as s3prl does"
    if config.chunk_length is not None:
        long_input = f"cut into near-equal chunks of at most {config.chunk_length} positions"
    digest = hashlib.sha256(np.memmap(path).data).hexdigest()
    return f"""---
{metadata.to_yaml()}
---

# {path.stem}

Converted by sat-probe from an original checkpoint; the weights are unchanged.

| | |
|---|---|
| original file | `{path.name}`, SHA-256 `{digest}` |
| written by | {ORIGINS[original.generation]} ({original.generation}), upstream `{original.upstream}` |
| updates | {"not kept" if original.steps is None else original.steps} |
| layers x heads | {config.num_hidden_layers} x {config.num_attention_heads}{variants} |
| hidden, intermediate size | {config.hidden_size}, {config.intermediate_size} |
| reads | {features}, {config.feature_size} values per frame, {config.downsample_rate} frames per position |
| reconstructs | {config.target_kind or features}, {config.target_size} values per frame |
| frame hop | {1000 * config.hop_length / config.sampling_rate:g} ms |
| longest training input | {original.task.get("sequence_length", "not kept")} frames |
| long input | {long_input} |

```python
{need}from transformers import AutoFeatureExtractor, AutoModel
{extractor}
model = AutoModel.from_pretrained("FOLDER"{extra})
```

Each utterance is featurised on its own. The original s3prl code computed features on the padded batch, which changed
the features of every utterance but the longest; its numbers for batches of one are matched.
"""
