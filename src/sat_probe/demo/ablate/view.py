"""Effect of an ablation as HTML: reconstructions to see and hear, and the change of every hidden state."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import soundfile
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from sat_probe.audio import SAMPLING_RATE
from sat_probe.demo.clips import Clip
from sat_probe.demo.inline_figure import figure_html
from sat_probe.demo.theme import note_html
from sat_probe.reports.palette import REFERENCE_COLOUR, SERIES_COLOURS, SPECTROGRAM_COLOURMAP
from sat_probe.reports.plots.axes import axes_or_new, figure_of, tidy

if TYPE_CHECKING:
    from sat_probe.studies.ablation_effect import AblationEffect

_PANELS = ("input of the model", "reconstructed with all heads", "reconstructed after the ablation")


def effect_html(
    effect: AblationEffect, sounds: Mapping[str, NDArray[np.float32]], clip: Clip, taken: str, phones: str
) -> str:
    """Return everything that is shown of an effect.

    Args:
        effect: the effect of the ablation.
        sounds: (samples,) by their names; empty if the model reconstructs nothing.
        clip: the recording.
        taken: description of the ablation, the heading.
        phones: effect on the phones, as HTML.
    """
    errors = effect.errors()
    if errors is None:
        reconstruction = note_html("This model has no reconstruction head of its own, so there is nothing to hear.")
    else:
        reconstruction = note_html(
            f"Mean error of the reconstruction: {errors[0]:.3f} with all heads, {errors[1]:.3f} after the ablation."
        )
        reconstruction += f'<div class="sat-sounds">{"".join(_player(*sound) for sound in sounds.items())}</div>'
        alt = f"Spectrograms of {clip.name}: {', '.join(_PANELS)}"
        reconstruction += figure_html(_spectrograms(effect, clip), alt, spectrogram=True)
    layers = ", ".join(f"{value:.0%}" for value in effect.relative_change)
    alt = f"Relative change of the hidden states, from the embedding to the last layer: {layers}"
    return f"<h3>{html.escape(taken)}</h3>{reconstruction}{phones}{figure_html(_layers(effect), alt)}"


def _spectrograms(effect: AblationEffect, clip: Clip) -> Axes:
    figure = figure_of(axes_or_new(None, 8.0, 4.6))
    figure.clear()
    axes = figure.subplots(3, 1, sharex=True, sharey=True)
    images = (effect.target, effect.intact, effect.changed)
    assert effect.target is not None
    low, high = np.quantile(effect.target, [0.02, 0.995])
    for ax, image, title in zip(axes, images, _PANELS, strict=True):
        assert image is not None
        ax.imshow(
            image.T, cmap=SPECTROGRAM_COLOURMAP, origin="lower", aspect="auto", vmin=low, vmax=high,
            extent=(0, clip.seconds, 0, image.shape[1]), interpolation="nearest",
        )  # fmt: skip
        ax.set_title(title, fontsize=9, loc="left")
        ax.set_ylabel("band", fontsize=8)
    axes[-1].set_xlabel("time (s)")
    return figure.axes[0]


def _layers(effect: AblationEffect) -> Axes:
    ax = tidy(axes_or_new(None, 8.0, 2.4))
    states = np.arange(len(effect.relative_change))
    ax.bar(states - 0.2, effect.relative_change, 0.4, color=SERIES_COLOURS[0], label="relative change ‖Δh‖ / ‖h‖")
    ax.bar(states + 0.2, 1 - effect.cosine, 0.4, color=REFERENCE_COLOUR, label="1 − cosine", hatch="//")
    ax.set_xlabel("hidden state (0: before the first layer)")
    ax.set_ylabel("change")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(fontsize=8, frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    return ax


def _player(name: str, sound: NDArray[np.float32]) -> str:
    """Return an audio player with the sound inside the page, so that no file is kept for it."""
    file = io.BytesIO()
    soundfile.write(file, sound, SAMPLING_RATE, format="WAV", subtype="PCM_16")
    data = base64.b64encode(file.getvalue()).decode()
    label = html.escape(name, quote=True)
    source = f"data:audio/wav;base64,{data}"
    return f'<label>{label}<audio controls preload="metadata" aria-label="{label}" src="{source}"></audio></label>'
