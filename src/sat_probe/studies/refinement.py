"""A smaller, faster model: heads removed for good, or the reach of attention limited (section 7 of the paper)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sat_probe.errors import ModelError
from sat_probe.measures.paired_difference import paired_difference
from sat_probe.models.attention.probe import SpanMode
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.studies.footprint import Footprint, footprint
from sat_probe.studies.importance.ablation_lab import MODES, AblationLab
from sat_probe.studies.inputs import load_model
from sat_probe.studies.probing.ablation import Ablation
from sat_probe.studies.probing.prepared import collect
from sat_probe.studies.probing.reconstruction import needs_proxy
from sat_probe.studies.probing.tasks import MissingPhones, chosen_tasks

CAPTIONS = {
    "parameters": "parameters",
    "multiply_adds": "multiply-adds per second of audio",
    "real_time_factor": "real-time factor",
    "peak_memory": "peak memory of the process, bytes",
}


def refine(
    model: str | Path | ProbedModel | None = None,
    remove: Iterable[tuple[int, int]] = (),
    span: int | None = None,
    span_mode: SpanMode = "mask",
) -> ProbedModel:
    """A copy of a model without some heads, or with attention that reaches only near frames.

    Removing heads gives what masking them gives (``head_mask`` 0), without computing them: their rows of the query,
    key and value projections and their columns of the output projection are cut out. ``save_pretrained`` keeps both
    changes, and ``AutoProbedModel.from_pretrained`` loads them.

    Args:
        model: a probed model, which is left as it is; a model on the Hub or a folder; None is the bundled one.
        remove: heads as (layer, head), counted from 0; all heads of a layer may go, but not all heads of all layers.
        span: each query reaches keys at most this many frames away; None changes nothing.
        span_mode: ``"mask"`` computes the band alone, in time that grows with frames x span; ``"zero"`` is the paper's
            span pruning (weights beyond the span are dropped, the rest not re-normalised) and saves no time.

    Raises:
        ModelError: for a head that is not there or named twice, if no head would be left, or for a negative span.
    """
    source = load_model(model)
    refined = deepcopy(source)
    heads = list(remove)
    if heads:
        refined.remove_heads(heads)
    if span is not None:
        refined.limit_span(span, span_mode)
    return refined


def most_global(heads: pd.DataFrame, share: float) -> list[tuple[int, int]]:
    """The heads that attend most evenly, as (layer, head), the first to go (section 7).

    Args:
        heads: the table of a report.
        share: how many of all heads, 0 to 1; at least one stays.

    Raises:
        ModelError: if the share is out of range.
    """
    if not 0 <= share <= 1:
        raise ModelError(f"a share of heads lies between 0 and 1, got {share:g}")
    count = min(round(share * len(heads)), len(heads) - 1)
    chosen = heads.sort_values("globalness", ascending=False, kind="stable").head(count)
    return [(int(layer), int(head)) for layer, head in zip(chosen["layer"], chosen["head"], strict=True)]


def compare_footprints(before: str | Path, after: str | Path, seconds: float = 30.0) -> pd.DataFrame:
    """What two saved models cost, measured alike in processes of their own.

    Args:
        before: folder or name of the intact model.
        after: folder of the refined one.
        seconds: of audio per forward pass.

    Returns:
        One row per quantity: `quantity`, `before`, `after`, `ratio`.
    """
    sides = [footprint(source, seconds) for source in (before, after)]
    rows = [(caption, *(_value(side, name) for side in sides)) for name, caption in CAPTIONS.items()]
    table = pd.DataFrame(rows, columns=["quantity", "before", "after"])
    return table.assign(ratio=table["after"] / table["before"])


def compare_probes(
    before: ProbedModel,
    after: ProbedModel,
    corpus: Corpus,
    tasks: Sequence[str] | None = None,
    *,
    missing_phones: MissingPhones = "refuse",
    seed: int = 0,
    progress: bool = False,
) -> pd.DataFrame:
    """What probes read from the last hidden state of two models, on the same split of a corpus.

    Args:
        before: the intact model.
        after: the refined one.
        corpus: with speakers, alignments, or both.
        tasks: names of tasks; None for all that the corpus has labels for.
        missing_phones: ``refuse`` or ``ignore`` phones that the part to learn from lacks.
        seed: of split, probes and intervals.
        progress: show a progress bar.

    Returns:
        One row per task and mode (``retrain``: probes of their own, ``frozen``: those of the intact model):
        `quantity`, `before`, `after`, `ratio`, `change` (after minus before), and 95 % intervals over utterances: those
        of either side alone in `before_low`, `before_high`, `after_low`, `after_high`, that of the change in
        `change_low`, `change_high`, bootstrapped in pairs (``paired_difference``).

    Raises:
        ConfigurationError: for an unknown task.
        CorpusError: if the corpus lacks what a task needs.
    """
    with tempfile.TemporaryDirectory(prefix="sat-probe-") as folder:
        prepared = collect(
            before, corpus, Path(folder) / "inputs", seed, progress, log_mel=needs_proxy(before, tasks)
        )
        named = chosen_tasks(tasks, prepared)
        lab = AblationLab(before, prepared, named, Path(folder), seed=seed, missing_phones=missing_phones)
        lab.prepare()
        sides = [lab.measure(Ablation(), MODES), lab.measure(Ablation(), MODES, refined=after)]
    table = pd.DataFrame([_compared(first, second, seed) for first, second in zip(*sides, strict=True)])
    return table.assign(ratio=table["after"] / table["before"])


def _compared(before: dict[str, Any], after: dict[str, Any], seed: int) -> dict[str, Any]:
    """One row of the table from the scores of both models on the same utterances."""
    changed, intact, items = (
        np.asarray(sums) for sums in (after["totals"], before["totals"], before["counts"])
    )
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


def _value(side: Footprint, name: str) -> float:
    return float(getattr(side, name))
