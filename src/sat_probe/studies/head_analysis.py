"""What does every head of a model do? One pass of a corpus through a model, one report."""

from __future__ import annotations

import logging
import sys
from datetime import datetime, timezone
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from sat_probe.errors import ModelError
from sat_probe.measures.bootstrap import PoissonBootstrap
from sat_probe.measures.head_accumulator import HeadMetrics, HeadMetricsAccumulator
from sat_probe.measures.head_metrics import CATEGORIES, RANKED
from sat_probe.measures.relation_map import RelationMapAccumulator
from sat_probe.models.auto import AutoProbedModel
from sat_probe.models.probed import ProbedModel
from sat_probe.models.waveform_encoder import base_class
from sat_probe.phones.corpus import Corpus, load_corpus
from sat_probe.reports.head_report import HeadReport
from sat_probe.studies.audio_stream import AudioStream, Batch, no_audio_left
from sat_probe.studies.checkpoint import Checkpoint
from sat_probe.studies.example_utterance import example_utterance
from sat_probe.studies.provenance import model_revision, versions

BUNDLED = "bundled"
CHECKPOINT_UTTERANCES = 256  # between two checkpoints of the sums
_MILLISECONDS = {"mean_offset": "mean_offset_ms", "spread": "spread_ms"}  # frames inside, time in reports

logger = logging.getLogger(__name__)


def analyze_model(
    model: str | Path | ProbedModel | None = None,
    dataset: str | Path | Corpus | None = None,
    *,
    data_dir: str | Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    phone_set: str | None = None,
    revision: str | None = None,
    allow_pickle: bool = False,
    device: str | torch.device | None = None,
    strict: bool = False,
    progress: bool = True,
    seed: int = 0,
    replicates: int = 1000,
    output: str | Path | None = None,
    resume: bool = False,
) -> HeadReport:
    """Run a corpus through a model once, and report what each attention head does.

    Args:
        model: a model on the Hub, a folder, or a probed model; by default the Mockingjay that comes with sat-probe.
        dataset: a corpus, its name, or any folder of audio; by default the speech that comes with sat-probe.
        data_dir: where a corpus that has a name is on this machine.
        split: part of the corpus.
        limit: only the first so many utterances.
        phone_set: fold phones into this set, for corpora with alignments.
        revision: branch, tag or commit of a model on the Hub.
        allow_pickle: read weights from pytorch_model.bin where there are no safetensors.
        device: where to compute; a GPU if there is one.
        strict: stop at the first file that cannot be used, instead of counting it.
        progress: show a progress bar on standard error.
        seed: of the bootstrap.
        replicates: of the bootstrap.
        output: save the report into this folder, and while running checkpoints beside it.
        resume: go on from the checkpoint that a killed run with the same arguments left beside ``output``.

    Returns:
        The report: one row per head in ``report.heads``; with alignments also relation maps.

    Raises:
        ModelError: if the model cannot be loaded or probed.
        CorpusError: if the corpus cannot be found, or none of it can be used.
        AudioError: at the first bad file, if strict.
    """
    probed = load_model(model, revision=revision, device=device, allow_pickle=allow_pickle)
    corpus = (
        dataset
        if isinstance(dataset, Corpus)
        else load_corpus(dataset or BUNDLED, data_dir=data_dir, split=split, limit=limit, phone_set=phone_set)
    )
    heads = HeadMetricsAccumulator(
        probed.num_probed_layers, probed.num_probed_heads, PoissonBootstrap(replicates, seed)
    )
    relations = RelationMapAccumulator(
        probed.num_probed_layers,
        probed.num_probed_heads,
        corpus.phone_set.phones,
        upsampling_factor=probed.upsampling_factor,
    )
    provenance: dict[str, Any] = {
        "model": BUNDLED if model is None else _name_of(model, probed),
        "revision": model_revision(model, revision),
        "architecture": base_class(type(probed)).__name__,
        "corpus": corpus.name,
        "split": corpus.split,
        "phone_set": corpus.phone_set.name,
        "frame_hop_ms": 1000 * probed.frame_grid.hop_seconds,
        "dtype": str(probed.dtype).removeprefix("torch."),
        "device": str(probed.device),
        "seed": seed,
        "bootstrap_replicates": replicates,
    }
    accumulators = {"heads": heads, "relations": relations}
    checkpoint = (
        None if output is None else Checkpoint(_checkpoint_path(output), {**provenance, "limit": limit})
    )
    stream = AudioStream(probed, strict)
    seconds = _run(probed, corpus, stream, heads, relations, accumulators, checkpoint, resume, progress)
    if not heads.utterances:
        raise no_audio_left(corpus.name, stream.skipped)
    provenance |= {
        "utterances": heads.utterances,
        "skipped": len(stream.skipped),
        "skipped_files": [f"{name}: {reason}" for name, reason in stream.skipped[:20]],
        "unaligned": relations.unlabelled,
        "seconds": round(seconds, 3),
        "versions": versions(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": " ".join(["sat-probe", *sys.argv[1:]])
        if Path(sys.argv[0]).name.startswith("sat")
        else None,
    }
    report = HeadReport(
        heads=head_table(heads.compute(), 1000 * probed.frame_grid.hop_seconds),
        provenance=provenance,
        tables=relation_tables(relations),
        examples=example_utterance(probed, corpus),
    )
    if output is not None:
        report.save(output)
    if checkpoint is not None:
        checkpoint.delete()
    return report


def load_model(
    model: str | Path | ProbedModel | None,
    *,
    revision: str | None = None,
    device: str | torch.device | None = None,
    allow_pickle: bool = False,
) -> ProbedModel:
    """The model of a study, on its device; None is the bundled Mockingjay.

    Raises:
        ModelError: if it cannot be loaded, or the device does not exist.
    """
    if isinstance(model, ProbedModel):
        return model if device is None else model.to(device)
    name = files("sat_probe") / "data" / "mockingjay" if model is None else model
    options: dict[str, Any] = {} if revision is None else {"revision": revision}
    if allow_pickle:
        options["use_safetensors"] = None  # transformers: safetensors first, then pytorch_model.bin
    loaded = AutoProbedModel.from_pretrained(str(name), **options)
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return loaded.to(chosen)
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).splitlines()[0]
        raise ModelError(f"device {str(chosen)!r} cannot be used: {first_line}") from error


def _run(
    model: ProbedModel,
    corpus: Corpus,
    stream: AudioStream,
    heads: HeadMetricsAccumulator,
    relations: RelationMapAccumulator,
    accumulators: dict[str, Any],
    checkpoint: Checkpoint | None,
    resume: bool,
    progress: bool,
) -> float:
    """Show the corpus to the accumulators; returns the seconds of audio."""
    done: dict[str, Any] = {"utterances": 0, "seconds": 0.0, "skipped": []}
    if checkpoint is not None and resume:
        done = checkpoint.load(accumulators) or done
    stream.skipped.extend((name, reason) for name, reason in done["skipped"])
    seconds, consumed, saved = done["seconds"], done["utterances"], done["utterances"]
    total = None if corpus.is_streaming else len(corpus)
    with tqdm(total=total, initial=consumed, unit="utt", desc="Analyzing", disable=not progress) as bar:
        for count, batches in stream.windows(islice(corpus, consumed, None)):
            for batch in batches:
                _observe_batch(model, corpus, batch, heads, relations)
                seconds += batch.seconds
                bar.update(len(batch.utterances))
            consumed += count
            bar.update(consumed - bar.n)
            if checkpoint is not None and consumed - saved >= CHECKPOINT_UTTERANCES:
                checkpoint.save(
                    accumulators, {"utterances": consumed, "seconds": seconds, "skipped": stream.skipped}
                )
                saved = consumed
    for name, reason in stream.skipped:
        logger.warning("%s: left out: %s", name, reason)
    return seconds


def _observe_batch(
    model: ProbedModel,
    corpus: Corpus,
    batch: Batch,
    heads: HeadMetricsAccumulator,
    relations: RelationMapAccumulator,
) -> None:
    ids = [utterance.id for utterance in batch.utterances]
    grid = model.frame_grid.upsampled(model.upsampling_factor)
    labels: list[np.ndarray | None] = [
        None
        if utterance.alignment is None
        else utterance.alignment.frame_labels(corpus.phone_set, grid, length * model.upsampling_factor)
        for utterance, length in zip(batch.utterances, batch.lengths, strict=True)
    ]
    aligned = any(label is not None for label in labels)
    heads.begin(ids)
    relations.begin(ids, labels)
    model.encode(batch.inputs, observers=[heads, relations] if aligned else [heads])
    heads.end()
    relations.end()


def head_table(metrics: HeadMetrics, hop_ms: float) -> pd.DataFrame:
    """One row per head, as ``HeadReport.heads`` has it: category, metrics with intervals and ranks; offsets in ms.

    Args:
        metrics: computed by the accumulator, offsets in frames.
        hop_ms: milliseconds per frame.
    """
    layers, heads = metrics.category.shape
    layer, head = np.indices((layers, heads))
    columns: dict[str, Any] = {
        "layer": layer.ravel(),
        "head": head.ravel(),
        "category": np.array(CATEGORIES)[metrics.category.ravel()],
        "category_stability": metrics.category_stability.ravel(),
    }
    for name, values in metrics.values.items():
        scale = hop_ms if name in _MILLISECONDS else 1.0
        shown = _MILLISECONDS.get(name, name)
        columns[shown] = scale * values.ravel()
        columns[f"{shown}_low"] = scale * metrics.low[name].ravel()
        columns[f"{shown}_high"] = scale * metrics.high[name].ravel()
        if name in RANKED:
            columns[f"{name}_rank"] = metrics.ranks[name].ravel()
    return pd.DataFrame(columns)


def relation_tables(relations: RelationMapAccumulator) -> dict[str, pd.DataFrame]:
    """Relation maps, concentration and named operations; nothing if no utterance was aligned."""
    if not relations.utterances:
        return {}
    maps = relations.compute()
    return {
        "relation_maps": maps.relation_frame(),
        "concentration": maps.concentration_frame(),
        "operations": maps.operations_frame(),
    }


def _name_of(model: str | Path | ProbedModel, probed: ProbedModel) -> str:
    if isinstance(model, ProbedModel):
        return probed.config._name_or_path or type(probed).__name__
    return Path(model).name if Path(model).is_dir() else str(model)


def _checkpoint_path(output: str | Path) -> Path:
    folder = Path(output)
    return folder.parent / f".{folder.name}.checkpoint.npz"
