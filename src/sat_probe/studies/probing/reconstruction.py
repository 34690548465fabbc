"""Spectrogram reconstruction: how well hidden states still predict the input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sat_probe.models.mockingjay import MockingjayForPreTraining
from sat_probe.models.mockingjay.frame_stacking import stack_frames
from sat_probe.models.probed import ProbedModel
from sat_probe.studies.probing.features import memory_mapped
from sat_probe.studies.probing.prepared import Part, ProbingCorpus
from sat_probe.studies.probing.probe import Score, mean_score
from sat_probe.studies.probing.tasks import RECONSTRUCTION

PROXY = "reconstruction_proxy"


class Reconstruction:
    """Spectrogram reconstruction from the last hidden state, scored by L1 on test (task (a) of section 7).

    The decoder is a Mockingjay's own pre-training head if the checkpoint has one. Otherwise it is a linear decoder to
    log-mel, fitted by least squares on the intact model's train part and then frozen: ``reconstruction_proxy``.

    Args:
        model: the intact model.
        corpus: prepared for it, with log-mel spectra if the proxy is needed.
        folder: for the targets.
        intact: last hidden states of the intact model, (frames, 1, size); used by the proxy only.
    """

    def __init__(self, model: ProbedModel, corpus: ProbingCorpus, folder: Path, intact: NDArray[np.float32]) -> None:
        self.corpus = corpus
        head = pretraining_head(model)
        self.task = PROXY if head is None else RECONSTRUCTION
        self.targets = _targets(model, corpus, folder / "targets.npy", proxy=head is None)
        self.decode = _fitted_decoder(intact, self.targets, corpus) if head is None else head

    def score(self, states: NDArray[np.float32], part: Part = "test") -> Score:
        """Return the L1 over the frames of a part with its interval over utterances; states are (frames, 1, size)."""
        owners = self.corpus.frame_utterances
        rows = np.flatnonzero(self.corpus.in_part(part)[owners])
        with torch.no_grad():
            decoded = self.decode(torch.from_numpy(states[rows, 0])).numpy()
        errors = np.abs(decoded - self.targets[rows]).mean(1, dtype=np.float64)
        return mean_score(self.task, "l1", self.corpus.ids, owners[rows], errors, self.corpus.seed)


def pretraining_head(model: ProbedModel) -> torch.nn.Module | None:
    """Return the pre-training head of a Mockingjay that reconstructs its own input; None if its checkpoint has none."""
    checkpoint = model._preprocessor_source
    if model.config.model_type != "mockingjay" or model.config.target_kind is not None or checkpoint is None:
        return None
    source, hub = checkpoint
    try:
        whole, info = MockingjayForPreTraining.from_pretrained(source, output_loading_info=True, **hub)
    except (OSError, RuntimeError, ValueError):
        return None
    missing = any(key.startswith("head.") for key in info["missing_keys"])
    return None if missing else whole.head.eval().requires_grad_(False)


def needs_proxy(model: ProbedModel, tasks: Sequence[str] | None) -> bool:
    """Return whether a model needs log-mel targets for some of these tasks; None is all tasks."""
    return (tasks is None or RECONSTRUCTION in tasks) and pretraining_head(model) is None


def _targets(model: ProbedModel, corpus: ProbingCorpus, path: Path, proxy: bool) -> NDArray[np.float32]:
    """Return the targets, (frames, bands) memory-mapped: stacked input frames, or log-mel at each frame's centre."""
    parts = corpus.log_mel() if proxy else _stacked_inputs(model, corpus)
    return memory_mapped(path, int(corpus.lengths.sum()), parts)


def _stacked_inputs(model: ProbedModel, corpus: ProbingCorpus) -> Iterator[NDArray[np.float32]]:
    for _, inputs in corpus.inputs():
        stacked = stack_frames(inputs.tensors["input_features"], model.config.downsample_rate)
        yield np.concatenate([one[:length].numpy() for one, length in zip(stacked, inputs.lengths, strict=True)])


def _fitted_decoder(
    states: NDArray[np.float32], targets: NDArray[np.float32], corpus: ProbingCorpus
) -> torch.nn.Linear:
    """Return a ridge regression from states to targets, fitted on train."""
    rows = np.flatnonzero(corpus.in_part("train")[corpus.frame_utterances])
    size = states.shape[2] + 1
    gram, cross = np.zeros((size, size)), np.zeros((size, targets.shape[1]))
    for first in range(0, len(rows), 8192):
        chosen = rows[first : first + 8192]
        inputs = np.pad(states[chosen, 0].astype(np.float64), ((0, 0), (0, 1)), constant_values=1.0)
        gram += inputs.T @ inputs
        cross += inputs.T @ targets[chosen]
    gram += 1e-3 * np.trace(gram) / size * np.eye(size)
    solution = torch.from_numpy(np.linalg.solve(gram, cross).T.astype(np.float32))
    decoder = torch.nn.Linear(size - 1, targets.shape[1])
    with torch.no_grad():
        decoder.weight.copy_(solution[:, :-1])
        decoder.bias.copy_(solution[:, -1])
    return decoder.requires_grad_(False)
