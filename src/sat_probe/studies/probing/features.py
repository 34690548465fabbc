"""Hidden states of a whole corpus on disk, and how well they still tell the spectrogram."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sat_probe.audio import read_audio
from sat_probe.errors import ConfigurationError
from sat_probe.measures.cepstra import cepstra_grid, log_mel, standardized
from sat_probe.models.attention.probe import SpanMode
from sat_probe.models.mockingjay import MockingjayForPreTraining
from sat_probe.models.mockingjay.frame_stacking import stack_frames
from sat_probe.models.probed import ProbedModel
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.studies.probing.prepared import Part, ProbingCorpus
from sat_probe.studies.probing.probe import Score, mean_score
from sat_probe.studies.probing.tasks import RECONSTRUCTION

Layer = int | Literal["weighted"]
PROXY = "reconstruction_proxy"


@dataclass(frozen=True, slots=True)
class Ablation:
    """What is taken from a model while it runs.

    Attributes:
        heads: removed heads as (layer, head).
        span: frames that attention reaches; None for all.
        span_mode: ``zero`` or ``mask``.
    """

    heads: frozenset[tuple[int, int]] = frozenset()
    span: int | None = None
    span_mode: SpanMode = "zero"

    @property
    def key(self) -> str:
        """The same text for the same ablation."""
        heads = ",".join(f"{layer}.{head}" for layer, head in sorted(self.heads))
        return f"heads={heads} span={'full' if self.span is None else f'{self.span} {self.span_mode}'}"

    def arguments(self, model: ProbedModel) -> dict[str, Any]:
        """As :meth:`ProbedModel.encode` takes it."""
        mask = torch.ones(model.num_probed_layers, model.num_probed_heads, device=model.device)
        for layer, head in self.heads:
            mask[layer, head] = 0.0
        return {
            "head_mask": mask if self.heads else None,
            "attention_span": self.span,
            "span_mode": self.span_mode,
        }


def stacked_states(hidden_states: tuple[Tensor, ...], layer: Layer) -> Tensor:
    """(batch, frames, states, size): one hidden state (0 is the embedding, -1 the last layer), or all of them.

    Raises:
        ConfigurationError: if there is no such layer.
    """
    if layer == "weighted":
        return torch.stack(hidden_states, dim=2)
    if not -len(hidden_states) <= layer < len(hidden_states):
        raise ConfigurationError(
            f"there is no hidden state {layer}: 0 is the embedding, {len(hidden_states) - 1} the last layer"
        )
    return hidden_states[layer][:, :, None]


def write_features(
    model: ProbedModel, corpus: ProbingCorpus, path: Path, ablation: Ablation, layer: Layer = -1
) -> NDArray[np.float32]:
    """Run the corpus through a model and write its states to disk, utterance by utterance.

    Args:
        model: the intact model.
        corpus: prepared for it.
        path: an ``.npy`` file, replaced.
        ablation: what to take away.
        layer: which hidden state, or ``"weighted"`` for all.

    Returns:
        (frames, states, size) float32, memory-mapped.
    """
    features: NDArray[np.float32] | None = None
    for first, length, states in _encoded(model, corpus, ablation, layer):
        if features is None:
            shape = (int(corpus.lengths.sum()), *states.shape[1:])
            features = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        features[first : first + length] = states
    assert features is not None
    return features


def _encoded(
    model: ProbedModel, corpus: ProbingCorpus, ablation: Ablation, layer: Layer
) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
    """Of each utterance: its first frame among all, its length, and its states (length, states, size)."""
    edges = corpus.first_frames
    for first, inputs in corpus.inputs():
        tensors = {name: tensor.to(model.device) for name, tensor in inputs.tensors.items()}
        prepared = type(inputs)(tensors, inputs.lengths)
        output = model.encode([prepared], output_hidden_states=True, **ablation.arguments(model))
        assert output.hidden_states is not None
        states = stacked_states(output.hidden_states, layer)
        for offset, length in enumerate(inputs.lengths):
            yield int(edges[first + offset]), length, states[offset, :length].float().cpu().numpy()


class Reconstruction:
    """Spectrogram reconstruction from the last hidden state, L1 on test (task (a) of section 7).

    With a Mockingjay's own pre-training head where the checkpoint has one; else with a linear decoder to log-mel that
    is fitted by least squares on the intact model's train part and then frozen: ``reconstruction_proxy``.

    Args:
        model: the intact model.
        corpus: prepared for it.
        source: the same corpus, for the audio.
        folder: for the targets.
        intact: last hidden states of the intact model, (frames, 1, size); used by the stand-in alone.
    """

    def __init__(
        self,
        model: ProbedModel,
        corpus: ProbingCorpus,
        source: Corpus,
        folder: Path,
        intact: NDArray[np.float32],
    ) -> None:
        self.corpus = corpus
        head = pretraining_head(model)
        self.task = PROXY if head is None else RECONSTRUCTION
        self.targets = _targets(model, corpus, source, folder / "targets.npy", proxy=head is None)
        self.decode = _fitted_decoder(intact, self.targets, corpus) if head is None else head

    def score(self, states: NDArray[np.float32], seed: int = 0, part: Part = "test") -> Score:
        """L1 over the frames of a part, with its interval over utterances; states are (frames, 1, size)."""
        owners = self.corpus.frame_utterances
        rows = np.flatnonzero(self.corpus.in_part(part)[owners])
        with torch.no_grad():
            decoded = self.decode(torch.from_numpy(states[rows, 0])).numpy()
        errors = np.abs(decoded - self.targets[rows]).mean(1, dtype=np.float64)
        return mean_score(self.task, "l1", self.corpus.ids, owners[rows], errors, seed)


def pretraining_head(model: ProbedModel) -> torch.nn.Module | None:
    """The head a Mockingjay was pre-trained with, if its checkpoint still has it and it reconstructs its own input."""
    source = model.config._name_or_path
    if model.config.model_type != "mockingjay" or model.config.target_kind is not None or not source:
        return None
    try:
        whole, info = MockingjayForPreTraining.from_pretrained(source, output_loading_info=True)
    except (OSError, RuntimeError, ValueError):
        return None
    missing = any(key.startswith("head.") for key in info["missing_keys"])
    return None if missing else whole.head.eval().requires_grad_(False)


def _targets(
    model: ProbedModel, corpus: ProbingCorpus, source: Corpus, path: Path, proxy: bool
) -> NDArray[np.float32]:
    """(frames, bands) memory-mapped: the stacked input frames, or normalised log-mel at each frame's centre."""
    targets: NDArray[np.float32] | None = None
    wanted = dict(zip(corpus.ids, range(len(corpus.ids)), strict=True))
    edges = corpus.first_frames

    def keep(index: int, values: NDArray[np.float32]) -> None:
        nonlocal targets
        if targets is None:
            shape = (int(edges[-1]), values.shape[1])
            targets = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        targets[edges[index] : edges[index + 1]] = values

    if proxy:
        mel_grid = cepstra_grid(sampling_rate=model.sampling_rate)
        for utterance in source:
            if utterance.id in wanted:
                index = wanted[utterance.id]
                waveform = read_audio(utterance.audio, model.sampling_rate, utterance.id)
                mel = standardized(log_mel(waveform, sampling_rate=model.sampling_rate))
                nearest = mel_grid.frame_at(model.frame_grid.times(int(corpus.lengths[index])))
                keep(index, mel[np.minimum(nearest, len(mel) - 1)].astype(np.float32))
    else:
        for first, inputs in corpus.inputs():
            stacked = stack_frames(inputs.tensors["input_features"], model.config.downsample_rate)
            for offset, length in enumerate(inputs.lengths):
                keep(first + offset, stacked[offset, :length].numpy())
    assert targets is not None
    return targets


def _fitted_decoder(
    states: NDArray[np.float32], targets: NDArray[np.float32], corpus: ProbingCorpus
) -> torch.nn.Linear:
    """Ridge regression from states to targets on train."""
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
