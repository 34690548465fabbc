"""The door: the only place that opens models and corpora, and says where they come from and which run this is."""

from __future__ import annotations

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
from sat_probe.phones.corpora.corpus import Corpus, load_corpus
from sat_probe.reports.provenance import Provenance
from sat_probe.studies.choices import BUNDLED, CorpusChoice, ModelChoice, shown_name
from sat_probe.studies.corpus_pass.processes import Process, this_process

_HALF = (torch.float16, torch.bfloat16)
_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (torch.float32, *_HALF, torch.float64)}

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a study works on.

    Attributes:
        model: on its device, in the type it computes in.
        corpus: all of it; a process takes its shard.
        provenance: of model and corpus; the study adds its own.
        identity: what makes two runs the same run: weights, removed heads, span, corpus content, alignments, split,
            limit. A study adds its options.
        process: this one of several.
    """

    model: ProbedModel
    corpus: Corpus
    provenance: Provenance
    identity: dict[str, Any]
    process: Process


def open_inputs(model: ModelChoice, corpus: CorpusChoice) -> Inputs:
    """Open a model and a corpus.

    Raises:
        TypeError: for what is no model or no corpus; the message lists what is taken.
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
    dtype, stored = dtype_name(probed.dtype), _stored_dtype(model)
    provenance = Provenance(
        **described,
        model=model.name,
        revision=_revision(model, probed),
        architecture=base_class(type(probed)).__name__,
        layers=probed.num_probed_layers,
        heads_per_layer=probed.num_probed_heads,
        corpus=opened.name,
        configuration=corpus.configuration,
        corpus_digest=opened.digest,
        frame_hop_ms=1000 * probed.frame_grid.hop_seconds,
        dtype=dtype,
        stored_dtype=None if stored == dtype else stored,
        device=str(probed.device),
        processes=process.count,
    )
    identity = {
        **described,
        "corpus": opened.digest,
        "alignments": None if corpus.alignments is None else shown_name(corpus.alignments),
    }
    return Inputs(probed, opened, provenance, identity, process)


def open_model(choice: ModelChoice) -> ProbedModel:
    """A model ready to compute, on its device; one in memory shares its weights, or is copied, and stays as it was.

    Half precision is computed in float32 on a CPU, which is many times faster there.

    Raises:
        TypeError: for what is no model; the message lists what is taken.
        ModelError: if it cannot be loaded, the device cannot be used, the dtype is unknown, or a revision is given for
            a model that is not on the Hub.
    """
    wanted = None if choice.dtype is None else torch_dtype(choice.dtype)
    device = None if choice.device is None else usable_device(choice.device)
    model = stored_model(choice)
    in_memory = isinstance(choice.model, torch.nn.Module)
    if device is None and not in_memory:
        device = this_process().device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device, dtype = device or model.device, wanted or model.dtype
    if dtype in _HALF and device.type == "cpu":
        logger.warning("%s: computed in float32, for half precision is slow on a CPU", choice.name)
        dtype = torch.float32
    if (model.device, model.dtype) == (device, dtype):
        return model
    try:
        return (deepcopy(model) if in_memory else model).to(device=device, dtype=dtype)
    except (RuntimeError, AssertionError, ValueError, NotImplementedError) as error:
        raise ModelError(
            f"{choice.name} cannot be moved to {device} in {dtype}: {_first_line(error)}"
        ) from error


def stored_model(choice: ModelChoice) -> ProbedModel:
    """The model where it is and as it is stored: one in memory shares its weights, others are loaded in float32.

    Raises:
        TypeError: for what is no model; the message lists what is taken.
        ModelError: if it cannot be loaded, or a revision is given for a model that is not on the Hub.
    """
    model, revision = choice.model, choice.revision
    in_memory = isinstance(model, torch.nn.Module)
    if not (model is None or in_memory or isinstance(model, (str, Path))):
        raise TypeError(
            "a model is a name on the Hub, a folder, 'bundled', or a transformers speech model in memory "
            f"(got {type(model).__name__})"
        )
    if revision is not None and (choice.is_bundled or in_memory or Path(model).is_dir()):
        what = (
            "a model in memory"
            if in_memory
            else "the bundled model"
            if choice.is_bundled
            else f"the folder {model}"
        )
        raise ModelError(
            f"{what} has no revision {revision}: only models on the Hub do; leave the revision out"
        )
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
    """The corpus of a choice.

    Raises:
        TypeError: for what is no corpus; the message lists what is taken.
        CorpusError: if it cannot be found or read.
    """
    if isinstance(choice.dataset, Corpus):
        return choice.dataset if choice.limit is None else choice.dataset.limit(choice.limit)
    given = {name: getattr(choice, name) for name in choice.__slots__ if name != "dataset"}
    options = {name: value for name, value in given.items() if value not in (None, False)}
    return load_corpus(BUNDLED if choice.dataset is None else choice.dataset, **options)


def usable_device(device: str | torch.device) -> torch.device:
    """The device, tried out.

    Raises:
        ModelError: if it does not exist or nothing can be computed there.
    """
    try:
        found = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        raise ModelError(f"device {str(device)!r} cannot be used: {_first_line(error)}") from error
    if found.type == "meta":
        raise ModelError("device 'meta' cannot be used: nothing is computed there")
    return found


def torch_dtype(dtype: str | torch.dtype) -> torch.dtype:
    """The type of a name such as "float32".

    Raises:
        ModelError: if models cannot compute in it.
    """
    name = str(dtype).removeprefix("torch.")
    if name not in _DTYPES:
        raise ModelError(f"unknown dtype {name!r}: choose one of {', '.join(_DTYPES)}")
    return _DTYPES[name]


def dtype_name(dtype: torch.dtype) -> str:
    """``torch.float32`` as "float32"."""
    return str(dtype).removeprefix("torch.")


def removed_heads(model: ProbedModel) -> dict[str, list[int]]:
    """Heads that a model lost for good, by layer; layers that kept all of theirs are left out."""
    every = range(model.num_probed_heads)
    gone = {str(layer): sorted({*every} - {*kept}) for layer, kept in enumerate(model.present_heads)}
    return {layer: heads for layer, heads in gone.items() if heads}


def span_limit(model: ProbedModel) -> dict[str, Any]:
    """The span limit, which is not part of the weights, so it must identify a run too."""
    if model.limited_span is None:
        return {}
    return {"limited_span": [getattr(model.config, name) for name in (SPAN, SPAN_MODE)]}


def weights_digest(model: torch.nn.Module) -> str:
    """SHA-256 of a model's weights with their names, shapes and types, wherever they were loaded from."""
    digest = sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _revision(choice: ModelChoice, model: ProbedModel) -> str | None:
    """The commit that a model was loaded from; None for folders."""
    if getattr(model.config, "_commit_hash", None) is not None or choice.is_bundled:
        return getattr(model.config, "_commit_hash", None)
    if not isinstance(choice.model, str) or Path(choice.model).is_dir():
        return None
    cached = try_to_load_from_cache(choice.model, "config.json", revision=choice.revision)
    return Path(cached).parent.name if isinstance(cached, str) else choice.revision


def _stored_dtype(choice: ModelChoice) -> str | None:
    """The type that was asked for, or that a model in memory has; None is not known."""
    if choice.dtype is not None:
        return dtype_name(torch_dtype(choice.dtype))
    weights = choice.model.parameters() if isinstance(choice.model, torch.nn.Module) else ()
    return next((dtype_name(weight.dtype) for weight in weights if weight.is_floating_point()), None)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def load_model(
    model: Any, *, revision: str | None = None, device: Any = None, allow_pickle: bool = False
) -> ProbedModel:
    """As `open_model`."""
    return open_model(ModelChoice(model, revision, allow_pickle, device))


def require_intact(model: ProbedModel) -> None:
    """Raise a ModelError for a model that lost heads for good: a study of all its heads would miss some."""
    if removed_heads(model):
        raise ModelError("heads were removed from this model for good; analyze the model it was made from")
