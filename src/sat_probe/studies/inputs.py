"""Inputs of a study: the only place that opens models and corpora, with their provenance and identity."""

from __future__ import annotations

import json
import logging
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache

from sat_probe.errors import ModelError
from sat_probe.models.auto import AutoProbedModel
from sat_probe.models.probed import ProbedModel
from sat_probe.models.refined import SPAN, SPAN_MODE
from sat_probe.models.waveform_encoder import base_class
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.reports.provenance import Provenance
from sat_probe.studies.choices import BUNDLED, CorpusChoice, ModelChoice, shown_name
from sat_probe.studies.corpus_pass.processes import Process, this_process

logger = logging.getLogger(__name__)
_HALF = (torch.float16, torch.bfloat16)
_WEIGHTS = "model.safetensors"
_STORED = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64"}  # names in safetensors


@dataclass(frozen=True, slots=True)
class Inputs:
    """Model and corpus of a study.

    Attributes:
        model: on its device, in the number type it computes in.
        corpus: the whole corpus; each process takes its shard.
        provenance: of model and corpus; the study adds its own facts.
        identity: values that are equal in two runs on the same input: weights, removed heads, span, content of the
            corpus and its alignments. A study adds its options.
        process: this process among those of the run.
    """

    model: ProbedModel
    corpus: Corpus
    provenance: Provenance
    identity: dict[str, Any]
    process: Process


def open_inputs(model: ModelChoice, corpus: CorpusChoice) -> Inputs:
    """Open a model and a corpus.

    Raises:
        TypeError: if one of them is no model or no corpus; the message lists what is taken.
        ModelError: as `open_model`.
        CorpusError: as `open_corpus`.
    """
    process = this_process()
    probed, opened = open_model(model), open_corpus(corpus)
    described = {
        "weights": weights_digest(probed),
        "removed_heads": removed_heads(probed) or None,
        **span_limit(probed),
        "split": opened.split,
        "phone_set": opened.phone_set.name,
    }
    facts = model_facts(probed)
    revision = model_revision(model)
    stored = stored_dtype(model, revision)
    provenance = Provenance(
        **described,
        **facts,
        model=model.name,
        revision=revision,
        corpus=opened.name,
        configuration=corpus.configuration,
        corpus_digest=opened.digest,
        stored_dtype=None if stored == facts["dtype"] else stored,
        processes=process.count,
    )
    identity = {
        **described,
        "corpus": opened.digest,
        "alignments": None if corpus.alignments is None else shown_name(corpus.alignments),
    }
    return Inputs(probed, opened, provenance, identity, process)


def open_model(choice: ModelChoice) -> ProbedModel:
    """Return a model ready to compute, on its device.

    A model in memory stays as it is: the result shares its weights, or is a copy where the device or the number type
    differs. On a CPU half precision is computed in float32, which is many times faster there.

    Raises:
        TypeError: if it is no model; the message lists what is taken.
        ModelError: if it cannot be loaded, the device cannot be used, the dtype is unknown, or a revision is given for
            a model that is not on the Hub.
    """
    wanted = None if choice.dtype is None else torch_dtype(choice.dtype)
    device = None if choice.device is None else _usable_device(choice.device)
    model = _stored_model(choice)
    in_memory = isinstance(choice.model, torch.nn.Module)
    if device is None and not in_memory:
        device = this_process().device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device, dtype = device or model.device, wanted or model.dtype
    if dtype in _HALF and device.type == "cpu":
        logger.warning("%s: computed in float32, because half precision is slow on a CPU", choice.name)
        dtype = torch.float32
    if (model.device, model.dtype) == (device, dtype):
        return model
    try:
        return (deepcopy(model) if in_memory else model).to(device=device, dtype=dtype)
    except (RuntimeError, AssertionError, ValueError, NotImplementedError) as error:
        raise ModelError(f"{choice.name} cannot be moved to {device} in {dtype}: {_first_line(error)}") from error


def _stored_model(choice: ModelChoice) -> ProbedModel:
    """Return a model as it is stored: one in memory on its device, with shared weights; others loaded in float32."""
    model, revision = choice.model, choice.revision
    in_memory = isinstance(model, torch.nn.Module)
    if not (model is None or in_memory or isinstance(model, (str, Path))):
        raise TypeError(
            "a model is a name on the Hub, a folder, 'bundled', or a transformers speech model in memory "
            f"(got {type(model).__name__})"
        )
    if revision is not None and (choice.is_bundled or in_memory or Path(model).is_dir()):
        what = f"the folder {model}" if isinstance(model, (str, Path)) else "a model in memory"
        what = "the bundled model" if choice.is_bundled else what
        raise ModelError(f"{what} has no revision {revision}: only models on the Hub do; leave the revision out")
    if in_memory:
        return AutoProbedModel.from_model(model)
    name = BUNDLED if choice.is_bundled else str(model)
    if name and "/" not in name and not choice.is_bundled and not Path(name).exists():
        raise ModelError(f"no folder named {name!r} was found here; models on the Hub are named owner/name")
    options: dict[str, Any] = {} if revision is None else {"revision": revision}
    if choice.allow_pickle:
        options["use_safetensors"] = None  # transformers: safetensors first, then pytorch_model.bin
    return AutoProbedModel.from_pretrained(name, **options)


def open_corpus(choice: CorpusChoice) -> Corpus:
    """Return the corpus of a choice.

    Raises:
        TypeError: if it is no corpus; the message lists what is taken.
        CorpusError: if it cannot be found or read.
    """
    given = {name: getattr(choice, name) for name in CorpusChoice.__slots__ if name != "dataset"}
    options = {name: value for name, value in given.items() if value is not None and value is not False}
    return load_corpus(BUNDLED if choice.dataset is None else choice.dataset, **options)


def _usable_device(device: str | torch.device) -> torch.device:
    """Return a device after trying it; raise a ModelError if nothing can be computed there."""
    try:
        found = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise ModelError(f"device {str(device)!r} cannot be used: {_first_line(error)}") from error
    if found.type == "meta":
        raise ModelError("device 'meta' cannot be used: nothing is computed there")
    return found


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def torch_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """Return the number type of a name such as "float32".

    Raises:
        ModelError: if models cannot compute in it.
    """
    name = dtype_name(dtype)
    if name not in _STORED.values():
        raise ModelError(f"unknown dtype {name!r}: choose one of {', '.join(_STORED.values())}")
    return getattr(torch, name)


def dtype_name(dtype: str | torch.dtype) -> str:
    """Return the name of a number type: ``torch.float32`` as "float32"."""
    return str(dtype).removeprefix("torch.")


def weights_digest(model: torch.nn.Module) -> str:
    """Return the SHA-256 of a model's weights with their names, shapes and types, wherever they were loaded from."""
    digest = sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def model_facts(model: ProbedModel) -> dict[str, Any]:
    """Return what a report says about a model that is ready to compute."""
    return {
        "architecture": base_class(type(model)).__name__,
        "layers": model.num_probed_layers,
        "heads_per_layer": model.num_probed_heads,
        "frame_hop_ms": 1000 * model.frame_grid.hop_seconds,
        "dtype": dtype_name(model.dtype),
        "device": str(model.device),
    }


def removed_heads(model: ProbedModel) -> dict[str, list[int]]:
    """Return the heads that a model lost for good, by layer; layers that kept all of theirs are left out."""
    every = range(model.num_probed_heads)
    gone = {str(layer): sorted({*every} - {*kept}) for layer, kept in enumerate(model.present_heads)}
    return {layer: heads for layer, heads in gone.items() if heads}


def span_limit(model: ProbedModel) -> dict[str, Any]:
    """Return the span limit, which is not part of the weights, so it must identify a run too."""
    if model.limited_span is None:
        return {}
    return {"limited_span": [getattr(model.config, name) for name in (SPAN, SPAN_MODE)]}


def model_revision(choice: ModelChoice) -> str | None:
    """Return the commit that a model on the Hub was loaded from; None for all other models.

    transformers does not tell a model in memory which commit it was loaded from.
    """
    if choice.is_bundled or not isinstance(choice.model, str) or Path(choice.model).is_dir():
        return None
    cached = try_to_load_from_cache(choice.model, "config.json", revision=choice.revision)
    return Path(cached).parent.name if isinstance(cached, str) else choice.revision


def stored_dtype(choice: ModelChoice, revision: str | None) -> str | None:
    """Return the number type of the weights in memory, or on disk as safetensors; None if it is not known."""
    if isinstance(choice.model, torch.nn.Module):
        return next((dtype_name(w.dtype) for w in choice.model.parameters() if w.is_floating_point()), None)
    if choice.is_bundled:
        return None
    path: Any = Path(choice.model) / _WEIGHTS
    if not path.is_file():
        path = try_to_load_from_cache(str(choice.model), _WEIGHTS, revision=revision)
    if not isinstance(path, (str, Path)):
        return None
    with Path(path).open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    kinds = {_STORED.get(entry.get("dtype")) for entry in header.values()} - {None}
    return kinds.pop() if len(kinds) == 1 else None
