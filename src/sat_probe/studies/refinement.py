"""Refinement: heads removed for good, or the reach of attention limited (section 7 of the paper)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from sat_probe.errors import ModelError
from sat_probe.measures.intervals import paired_difference
from sat_probe.models.attention.probe import SpanMode
from sat_probe.models.probed import ProbedModel
from sat_probe.studies.choices import ModelChoice
from sat_probe.studies.footprint import footprints
from sat_probe.studies.importance.ablation_lab import MODES, AblationLab
from sat_probe.studies.inputs import Inputs, open_model
from sat_probe.studies.probing.features import Ablation
from sat_probe.studies.probing.prepared import MissingPhones, collect
from sat_probe.studies.probing.reconstruction import needs_proxy
from sat_probe.studies.probing.tasks import chosen_tasks

CAPTIONS = {
    "parameters": "parameters",
    "multiply_adds": "multiply-adds per second of audio",
    "real_time_factor": "real-time factor",
    "peak_memory": "peak memory of the process, bytes",
}


def refine(
    model: Any = None,
    remove: Iterable[tuple[int, int]] = (),
    span: int | None = None,
    span_mode: SpanMode = "mask",
    *,
    revision: str | None = None,
    allow_pickle: bool = False,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
) -> ProbedModel:
    """Return a copy of a model without some heads, or with attention that reaches only near frames.

    Removing heads gives what masking them gives (``head_mask`` 0) without computing them: their rows of the query, key
    and value projections and their columns of the output projection are cut out. ``save_pretrained`` keeps both
    changes, and ``AutoProbedModel.from_pretrained`` loads them.

    Args:
        model: a name on the Hub, a folder, "bundled" or None (the bundled Mockingjay), or a speech model of
            transformers in memory, which is left as it is.
        remove: heads as (layer, head), counted from 0 as in the intact model. All heads of a layer may go, but not all
            heads of all layers.
        span: each query reaches keys at most this many frames away; None changes nothing.
        span_mode: ``"mask"`` computes only the band, in time that grows with frames x span; ``"zero"`` is the paper's
            span pruning (weights beyond the span are dropped, the rest not re-normalised) and saves no time.
        revision: branch, tag or commit of a model on the Hub.
        allow_pickle: read weights from pytorch_model.bin where there are no safetensors.
        device: of the copy; by default that of a model in memory, and for others a GPU if there is one.
        dtype: of the copy; by default that of a model in memory, and for others float32. Half precision becomes
            float32 on a CPU.

    Raises:
        TypeError: for what is no model.
        ModelError: if the model cannot be loaded or moved, or holds adapters that are not merged; for a head that does
            not exist, was removed before or is named twice; if no head would be left; or for a negative span.

    Example:
        >>> from sat_probe import refine
        >>> small = refine(remove=[(0, 1), (2, 3)], span=15)
        >>> small.present_heads[0][:3]
        [0, 2, 3]
    """
    adapted = isinstance(model, nn.Module) and next((n for n, _ in model.named_modules() if "lora_" in n), None)
    if adapted:
        raise ModelError(
            f"{type(model).__name__} holds adapters that are not merged ({adapted}): call merge_and_unload() first"
        )
    refined = deepcopy(open_model(ModelChoice(model, revision, allow_pickle, device, dtype)))
    heads = list(remove)
    if heads:
        refined.remove_heads(heads)
    if span is not None:
        refined.limit_span(span, span_mode)
    return refined


def most_global(heads: pd.DataFrame, share: float) -> list[tuple[int, int]]:
    """Return the most global heads as (layer, head), the most global first (section 7).

    Args:
        heads: the table of a report.
        share: share of all heads, 0 to 1; at least one head stays.

    Raises:
        ModelError: if the share is out of range.
    """
    if not 0 <= share <= 1:
        raise ModelError(f"a share of heads lies between 0 and 1, got {share:g}")
    count = min(round(share * len(heads)), len(heads) - 1)
    chosen = heads.sort_values("globalness", ascending=False, kind="stable").head(count)
    return [(int(layer), int(head)) for layer, head in zip(chosen["layer"], chosen["head"], strict=True)]


def compare_footprints(before: ModelChoice, after: ModelChoice, seconds: float = 30.0) -> pd.DataFrame:
    """Return what two models cost, measured in turn in processes of their own.

    Args:
        before: the intact model, by name or folder.
        after: the refined one.
        seconds: of audio per forward pass.

    Returns:
        One row per quantity: `quantity`, `before`, `after`, `ratio`. For the real-time factor also the fastest and
        slowest pass of each model (`before_low`, `before_high`, `after_low`, `after_high`), and the smallest and
        largest ratio of two passes of one round (`ratio_low`, `ratio_high`).
    """
    first, second = footprints([before, after], seconds)
    rows = [
        {"quantity": caption, "before": float(getattr(first, name)), "after": float(getattr(second, name))}
        for name, caption in CAPTIONS.items()
    ]
    table = pd.DataFrame(rows).assign(ratio=lambda costs: costs["after"] / costs["before"])
    ratios = [now / then for then, now in zip(first.passes, second.passes, strict=True)]
    timed = table["quantity"] == CAPTIONS["real_time_factor"]
    for name, values in {"before": first.passes, "after": second.passes, "ratio": ratios}.items():
        table.loc[timed, [f"{name}_low", f"{name}_high"]] = [min(values), max(values)]
    return table


def compare_probes(
    inputs: Inputs,
    after: ProbedModel,
    tasks: Sequence[str] | None = None,
    *,
    missing_phones: MissingPhones = "refuse",
    seed: int = 0,
    strict: bool = False,
    progress: bool = False,
) -> pd.DataFrame:
    """Return what probes read from the last hidden state of two models, on the same split of a corpus.

    Args:
        inputs: the intact model, and a corpus with speakers, alignments, or both.
        after: the refined model.
        tasks: names of tasks; None for all that the corpus has labels for.
        missing_phones: ``refuse`` or ``ignore`` phones that do not occur in the training split.
        seed: random seed for the split, the probes and the intervals.
        strict: stop at the first file that cannot be used, instead of leaving it out.
        progress: show a progress bar.

    Returns:
        One row per task and mode (``retrain``: probes trained on the refined model, ``frozen``: those of the intact
        one): `quantity`, `before`, `after`, `ratio`, `change` (after minus before), and 95 % intervals over utterances:
        of either model alone in `before_low`, `before_high`, `after_low`, `after_high`, of the change in `change_low`,
        `change_high`, bootstrapped in pairs (``paired_difference``).

    Raises:
        ConfigurationError: for an unknown task.
        CorpusError: if the corpus lacks what a task needs.
    """
    before, corpus = inputs.model, inputs.corpus
    with tempfile.TemporaryDirectory(prefix="sat-probe-") as folder:
        inputs_folder, log_mel = Path(folder) / "inputs", needs_proxy(before, tasks)
        prepared = collect(
            before, corpus, inputs_folder, seed, progress, strict=strict, log_mel=log_mel, missing_phones=missing_phones
        )
        named = chosen_tasks(tasks, prepared)
        lab = AblationLab(before, prepared, named, Path(folder))
        lab.prepare()
        sides = [lab.measure(Ablation(), MODES), lab.measure(Ablation(), MODES, refined=after)]
    table = pd.DataFrame([_compared(first, second, seed) for first, second in zip(*sides, strict=True)])
    return table.assign(ratio=table["after"] / table["before"])


def _compared(before: dict[str, Any], after: dict[str, Any], seed: int) -> dict[str, Any]:
    """Return one row of the table from the scores of both models on the same utterances."""
    changed, intact, items = (np.asarray(sums) for sums in (after["totals"], before["totals"], before["counts"]))
    change, low, high = paired_difference(changed, intact, items, seed=seed)
    return {
        "quantity": f"{before['task']}, {before['mode']}: {before['metric']}",
        "before": before["value"],
        "after": after["value"],
        **{f"before_{end}": before[end] for end in ("low", "high")},
        **{f"after_{end}": after[end] for end in ("low", "high")},
        "change": change,
        "change_low": low,
        "change_high": high,
    }
