"""What does every head of a model do? One pass of a corpus through a model, one report."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import torch

from sat_probe.errors import ConfigurationError
from sat_probe.measures.bootstrap import PoissonBootstrap
from sat_probe.measures.head_accumulator import HeadMetrics, HeadMetricsAccumulator
from sat_probe.measures.head_metrics import RANKED
from sat_probe.measures.relations.accumulator import RelationMapAccumulator
from sat_probe.measures.relations.result import RelationMaps
from sat_probe.measures.relations.tables import concentration_frame, operations_frame, relation_frame
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.phones.phone_set import PhoneSet
from sat_probe.reports.head_report import HeadReport
from sat_probe.studies.choices import CorpusChoice, ModelChoice
from sat_probe.studies.corpus_pass.checkpoint import Checkpoint
from sat_probe.studies.corpus_pass.head_pass import CorpusPass, checkpoint_path
from sat_probe.studies.corpus_pass.processes import Process, gather, share
from sat_probe.studies.example_utterance import example_utterance
from sat_probe.studies.inputs import open_inputs, require_intact
from sat_probe.studies.provenance import command_line, versions

RelationRate = Literal["upsampled", "model"]
_ALONE = Process()
_MILLISECONDS = {"mean_offset": "mean_offset_ms", "spread": "spread_ms"}  # frames inside, time in reports


def analyze_model(
    model: str | Path | ProbedModel | None = None,
    dataset: str | Path | Corpus | None = None,
    *,
    data_dir: str | Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    alignments: str | Path | None = None,
    streaming: bool = False,
    phone_set: str | None = None,
    relation_rate: RelationRate = "upsampled",
    leave_out_own_segment: bool = False,
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
        alignments: where phone alignments are; beside the audio by default.
        streaming: read utterances as they come, without downloading or listing the corpus first.
        phone_set: fold phones into this set, for corpora with alignments.
        relation_rate: "upsampled" labels every input frame of a stacked one, as the paper's supplement does; "model"
            gives each encoder frame one label. The same where nothing is stacked.
        leave_out_own_segment: relation maps without pairs of frames in the same phone (Shim et al. 2022).
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
        The report: one row per head in ``report.heads``; with alignments also relation maps. Of several processes the
        first one's report holds the example.

    Raises:
        ModelError: if the model cannot be loaded or probed.
        CorpusError: if the corpus cannot be found, or none of it can be used.
        AudioError: at the first bad file, if strict.
        ConfigurationError: for an unknown rate of relations, or no replicates.
    """
    if relation_rate not in get_args(RelationRate):
        raise ConfigurationError(
            f"unknown relation_rate {relation_rate!r}: choose one of {', '.join(get_args(RelationRate))}"
        )
    if replicates < 1:
        raise ConfigurationError(f"replicates must be 1 or more, got {replicates}")
    inputs = open_inputs(
        ModelChoice(model, revision, allow_pickle, device),
        CorpusChoice(
            dataset,
            data_dir=data_dir,
            split=split,
            limit=limit,
            alignments=alignments,
            streaming=streaming,
            phone_set=phone_set,
        ),
    )
    probed, corpus, process = inputs.model, inputs.corpus, inputs.process
    require_intact(probed)
    layers, heads = probed.num_probed_layers, probed.num_probed_heads
    seen = CorpusPass(
        probed,
        corpus,
        HeadMetricsAccumulator(layers, heads, PoissonBootstrap(replicates, seed)),
        RelationMapAccumulator(
            layers,
            heads,
            corpus.phone_set.phones,
            upsampling_factor=probed.upsampling_factor if relation_rate == "upsampled" else 1,
            leave_out_own_segment=leave_out_own_segment,
        ),
        process,
        strict,
    )
    options = {
        "relation_rate": relation_rate,
        "leave_out_own_segment": leave_out_own_segment,
        "seed": seed,
        "bootstrap_replicates": replicates,
    }
    checkpoint = None
    if output is not None:
        checkpoint = Checkpoint(checkpoint_path(output, process), {**inputs.identity, **options})
    seen.run(checkpoint, resume, progress)
    provenance = inputs.provenance.replace(
        **options,
        utterances=seen.heads.utterances,
        skipped=len(seen.skipped),
        skipped_files=[f"{name}: {reason}" for name, reason in seen.skipped[:20]],
        unaligned=seen.relations.unlabelled,
        seconds=round(seen.seconds, 3),
        versions=versions(),
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        command=command_line(),
    )
    report = HeadReport(
        heads=head_table(seen.heads.compute(), 1000 * probed.frame_grid.hop_seconds),
        provenance=provenance,
        tables=relation_tables(seen.relations, corpus.phone_set, process),
        example=example_utterance(probed, corpus, skipped={name for name, _ in seen.skipped})
        if process.is_main
        else None,
    )
    if output is not None and process.is_main:
        report.save(output)
    if checkpoint is not None:
        checkpoint.delete()
    return report


def head_table(metrics: HeadMetrics, hop_ms: float) -> pd.DataFrame:
    """Return one row per head that the model has: category, metrics with intervals and ranks; offsets in ms.

    Args:
        metrics: computed by the accumulator, offsets in frames.
        hop_ms: milliseconds per frame.
    """
    here = metrics.present
    layer, head = np.nonzero(here)
    columns: dict[str, Any] = {
        "layer": layer,
        "head": head,
        "category": metrics.category[here],
        "category_stability": metrics.category_stability[here],
    }
    for name, values in metrics.values.items():
        scale = hop_ms if name in _MILLISECONDS else 1.0
        shown = _MILLISECONDS.get(name, name)
        columns[shown] = scale * values[here]
        columns[f"{shown}_low"] = scale * metrics.low[name][here]
        columns[f"{shown}_high"] = scale * metrics.high[name][here]
        if name in RANKED:
            columns[f"{name}_rank"] = metrics.ranks[name][here].astype(int)
    return pd.DataFrame(columns)


def relation_tables(
    relations: RelationMapAccumulator, phones: PhoneSet, process: Process = _ALONE
) -> dict[str, pd.DataFrame]:
    """Relation maps over phones, natural classes and voicing, concentration and named operations; nothing if no
    utterance was aligned.

    Args:
        relations: the sums of all processes.
        phones: their phone set.
        process: this one of several, which share the work: resampling takes its time.
    """
    if not relations.utterances:
        return {}
    mine = relations.of_layers(share(process, relations.layers))
    parts = gather(process, mine.compute() if mine.layers else None)
    maps = RelationMaps.of_parts([part for part in parts if part is not None])
    manner = {phone: phones.natural_class(phone) for phone in phones.phones}
    voicing = {phone: "voiced" if phones.is_voiced(phone) else "voiceless" for phone in phones.phones}
    voicing |= {phone: manner[phone] for phone in phones.phones if manner[phone] == "silence"}
    return {
        "relation_maps": relation_frame(maps),
        "concentration": concentration_frame(maps),
        "operations": operations_frame(maps),
        "relation_maps_by_class": relation_frame(relations.compute(manner)),
        "relation_maps_by_voicing": relation_frame(relations.compute(voicing)),
    }
