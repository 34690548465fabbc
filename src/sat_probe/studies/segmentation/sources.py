"""Sources of phone boundaries: every head, every layer's hidden states, and baselines without a model.

Each source gives one list of boundaries (s) for each of its settings. Alpha is in units of the utterance's mean
distance between frames, so that one grid of alphas fits sources of any scale and no label is needed to find it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks

from sat_probe.errors import ConfigurationError
from sat_probe.frames import FrameGrid
from sat_probe.measures.boundaries.attention_features import (
    AttentionFeatures,
    attention_features,
    average_shifted,
    upsampled_map,
    upsampled_states,
)
from sat_probe.measures.boundaries.kernel_gram import distances, minima_by_row, score_curves
from sat_probe.measures.cepstra import cepstra_grid, log_mel, mfcc
from sat_probe.models.probed import ProbedModel

Boundaries = NDArray[np.float64]
BASELINES = ("mfcc", "log_mel", "mel_difference", "uniform", "random")
PEAK_PROMINENCES = tuple(np.geomspace(0.05, 2.0, 16).round(3).tolist())  # in units of the mean difference
SHORTEST = 3  # frames below which there is no inner minimum to find


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A source of boundaries: kind is "attention", "hidden" or one of BASELINES; layer and head count from 0.

    Hidden layer 0 is the embedding, hidden layer l + 1 the output of layer l.
    """

    kind: str
    layer: int = -1
    head: int = -1

    def parameters(self, settings: Settings) -> list[tuple[float, float]]:
        """Return the (alpha, beta) of each setting; for peaks beta is the prominence, NaN is no parameter."""
        match self.kind:
            case "uniform" | "random":
                return [(np.nan, np.nan)]
            case "mel_difference":
                return [(np.nan, prominence) for prominence in PEAK_PROMINENCES]
            case _:
                return settings.pairs()


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings to try.

    Attributes:
        alphas: scales of the kernel, in units of the mean distance between frames of the utterance.
        betas: thresholds in units of the row's mean similarity.
        features: the part of a map that describes a frame.
        shifts: number of times that the model reads each utterance, each time 1 / shifts of a frame later; the paper
            uses 1.
    """

    alphas: tuple[float, ...] = (0.06, 0.1, 0.18, 0.32, 0.56, 1.0)
    betas: tuple[float, ...] = (0.7, 0.85, 1.0, 1.25, 1.5, 1.75, 2.1, 2.6, 3.3, 4.5, 6.0, 9.0)
    features: AttentionFeatures = "rows"
    shifts: int = 1

    def pairs(self) -> list[tuple[float, float]]:
        """Return (alpha, beta) of each setting, beta changing fastest."""
        return [(alpha, beta) for alpha in self.alphas for beta in self.betas]


def model_sources(model: ProbedModel) -> list[Source]:
    """Return every head that a model has, and the hidden states of every layer."""
    heads = [Source("attention", layer, head) for layer, own in enumerate(model.present_heads) for head in own]
    return heads + [Source("hidden", layer) for layer in range(model.num_probed_layers + 1)]


def model_boundaries(
    model: ProbedModel, waveform: NDArray[np.float32], settings: Settings
) -> Iterator[tuple[Source, list[Boundaries]]]:
    """Yield the boundaries of each of `model_sources`, for each pair of settings.

    Args:
        model: which reads the waveform ``settings.shifts`` times.
        waveform: (samples,) at the model's rate.
        settings: to try.

    Raises:
        ConfigurationError: if the samples of a frame cannot be divided into that many shifts.
        AudioError: if the waveform is too short for the model.
    """
    grid, factor = model.frame_grid, model.upsampling_factor
    if settings.shifts < 1 or grid.hop % settings.shifts:
        raise ConfigurationError(f"shifts must divide the model's frame of {grid.hop} samples, got {settings.shifts}")
    step = grid.hop // settings.shifts
    outputs = [
        model.encode([waveform[shift * step :]], output_attentions=True, output_hidden_states=True)
        for shift in range(settings.shifts)
    ]
    frames = outputs[0].lengths[0] * settings.shifts
    if settings.shifts > 1:
        grid, factor = grid.upsampled(settings.shifts), 1

    def read(name: str, layer: int, upsampled: Callable[..., NDArray[np.float64]], axes: int) -> NDArray[np.float64]:
        """Return the maps or the states of a layer, in float64, averaged over the shifts."""
        found = [getattr(output, name)[layer][0].float().cpu().numpy().astype(np.float64) for output in outputs]
        if settings.shifts == 1:
            return found[0]
        return average_shifted([upsampled(one, settings.shifts) for one in found], frames, axes=axes)

    for layer, present in enumerate(model.present_heads):
        if not present:
            continue
        between = distances(attention_features(read("attentions", layer, upsampled_map, 2), settings.features))
        for index, head in enumerate(present):  # maps are of the present heads
            yield Source("attention", layer, head), kernel_boundaries(between[index], settings, grid, factor)
    for layer in range(model.num_probed_layers + 1):
        between = distances(read("hidden_states", layer, upsampled_states, 1))
        yield Source("hidden", layer), kernel_boundaries(between, settings, grid, factor)


def baseline_boundaries(
    waveform: NDArray[np.float32], sampling_rate: int, rate: float, utterance_id: str, seed: int, settings: Settings
) -> Iterator[tuple[Source, list[Boundaries]]]:
    """Yield the boundaries of each of BASELINES: from MFCC, log-mel, peaks of the spectral difference, or no audio.

    Args:
        waveform: (samples,) at sampling_rate.
        sampling_rate: Hz.
        rate: boundaries per second of the uniform and the random baseline.
        utterance_id: with the seed, determines the random boundaries.
        seed: random seed.
        settings: to try for the kernel; peaks use ``PEAK_PROMINENCES``.
    """
    grid = cepstra_grid(sampling_rate // 100, sampling_rate)
    options = {"hop": grid.hop, "window": sampling_rate // 40, "sampling_rate": sampling_rate}
    mel = log_mel(waveform, **options)
    cepstra = mfcc(waveform, **options)
    yield Source("mfcc"), kernel_boundaries(distances(cepstra), settings, grid)
    yield Source("log_mel"), kernel_boundaries(distances(mel), settings, grid)
    yield Source("mel_difference"), difference_peaks(mel, grid)
    seconds = len(waveform) / sampling_rate
    count = round(rate * seconds)
    yield Source("uniform"), [np.arange(1, count + 1) * seconds / (count + 1)]
    rng = np.random.default_rng([seed, zlib.crc32(utterance_id.encode())])
    yield Source("random"), [np.sort(rng.uniform(0, seconds, count))]


def kernel_boundaries(
    between: NDArray[np.float64], settings: Settings, grid: FrameGrid, upsampling_factor: int = 1
) -> list[Boundaries]:
    """Return boundaries (s) from distances between frames (frames, frames) for each pair of settings.

    Args:
        between: distances of frames at the rate of ``grid``.
        settings: alphas and betas.
        grid: positions of the frames.
        upsampling_factor: number of times that each frame is repeated first.
    """
    scale = float(between.mean())
    if scale == 0 or len(between) < SHORTEST:
        return [np.zeros(0) for _ in settings.pairs()]
    curves = score_curves(between / scale, settings.alphas, settings.betas, upsampling_factor)
    fine = grid.upsampled(upsampling_factor)
    minima = minima_by_row(curves.reshape(-1, curves.shape[-1]))
    return [np.unique(np.maximum(fine.first_centre + fine.hop * at, 0)) / grid.sampling_rate for at in minima]


def difference_peaks(mel: NDArray[np.float64], grid: FrameGrid) -> list[Boundaries]:
    """Return peaks (s) of the change in spectrum across a frame, for each prominence in ``PEAK_PROMINENCES``.

    Args:
        mel: (frames, bins) log-mel spectrum.
        grid: positions of its frames.
    """
    if len(mel) < SHORTEST:
        return [np.zeros(0) for _ in PEAK_PROMINENCES]
    change = np.linalg.norm(mel[2:] - mel[:-2], axis=1)
    times = grid.times(len(mel))[1:-1]
    return [times[find_peaks(change, prominence=share * change.mean())[0]] for share in PEAK_PROMINENCES]
