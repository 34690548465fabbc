"""The model card of a converted checkpoint."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from huggingface_hub import ModelCardData

from sat_probe.models.mockingjay.configuration_mockingjay import MockingjayConfig
from sat_probe.models.mockingjay.original_checkpoint import OriginalCheckpoint

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
