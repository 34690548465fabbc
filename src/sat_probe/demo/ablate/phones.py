"""Phones that a probe reads from a recording, with all heads and after an ablation, as HTML."""

from __future__ import annotations

import html
from typing import get_args

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sat_probe.demo.clips import Clip
from sat_probe.demo.inline_figure import figure_html
from sat_probe.demo.theme import note_html
from sat_probe.measures.posterior_change import changed, divergence, runs
from sat_probe.phones.phone_set import SILENCE, NaturalClass, phone_set
from sat_probe.reports.palette import REFERENCE_COLOUR, SPECTROGRAM_COLOURMAP
from sat_probe.reports.plots.axes import axes_or_new, figure_of
from sat_probe.studies.probing.phone_probe import PhoneProbe

FAINT = 0.25  # phones that never reach this probability get no row
BRIEF = 0.05  # seconds; shorter phones are left out of the sequences
ABSENT = (
    "The effect on phones is shown for the bundled model only, because the phone probe in the package was trained on "
    "its weights."
)
_PANELS = ("with all heads", "after the ablation")


def phones_html(read: NDArray[np.float64], probe: PhoneProbe, clip: Clip, times: NDArray[np.float64]) -> str:
    """Return both posteriorgrams, the frames that change, both sequences of phones, and how much changes.

    Args:
        read: (2, frames, phones) log posteriors with all heads and after the ablation.
        probe: the probe that read them.
        clip: the recording.
        times: (frames,) centres of the frames, seconds.
    """
    frames = changed(*read)
    share, nats = float(frames.mean()), float(divergence(*read).mean())
    lines = [f"In {share:.0%} of the frames the probe reads another phone; the mean divergence is {nats:.2f} nats."]
    spoken = np.full(len(times), "", dtype=object)  # phone of each speech frame, if the phones are known
    for start, end, label in clip.phones:
        phone = _folded(label)
        spoken[(times >= start) & (times < end)] = phone if phone not in {None, SILENCE} else ""
    if any(spoken):
        right = np.array(probe.phones, dtype=object)[read.argmax(axis=2)] == spoken
        intact, ablated = right[:, spoken != ""].mean(axis=1)
        lines.append(
            f"Of the speech frames it reads {intact:.0%} correctly with all heads, {ablated:.0%} after the ablation."
        )
    if told := probe.made.get("strangers_speech"):
        lines.append(
            f"The probe is small: of new speakers it reads {told['accuracy']:.0%} of the speech frames correctly; "
            f"always answering the most frequent phone gives {told['constant']:.0%}."
        )
    alt = f"Phones read from {clip.name} over time, with all heads and after the ablation: {share:.0%} of frames change"
    figure = figure_html(_posteriorgrams(read, frames, probe, times), alt, spectrogram=True)
    truth = [html.escape(_folded(label) or label) for _, _, label in clip.phones]
    return (
        "<h3>Phones that a probe reads from the last layer</h3>"
        + note_html(" ".join(lines))
        + figure
        + (_line("spoken", truth) if truth else "")
        + _line(_PANELS[0], _sequence(read[0], np.zeros_like(frames), probe, times))
        + _line(_PANELS[1], _sequence(read[1], frames, probe, times))
    )


def _folded(label: str) -> str | None:
    """Return the phone that a label of an aligner or of TIMIT stands for; None if it stands for none."""
    sets = phone_set("arpabet-39"), phone_set("timit-39")
    return next((known.fold(label) for known in sets if label in known), None)


def _posteriorgrams(
    read: NDArray[np.float64], frames: NDArray[np.bool_], probe: PhoneProbe, times: NDArray[np.float64]
) -> Axes:
    figure = figure_of(axes_or_new(None, 8.0, 5.4))
    figure.clear()
    above, between, below = figure.subplots(3, 1, sharex=True, height_ratios=(10, 0.7, 10))
    shown = _rows(read, probe)
    half = (times[1] - times[0]) / 2 if len(times) > 1 else 0.01
    extent = (times[0] - half, times[-1] + half, len(shown) - 0.5, -0.5)
    for ax, side, title in zip((above, below), read, _PANELS, strict=True):
        shades = np.sqrt(np.exp(side[:, shown])).T  # the square root shows small probabilities too
        ax.imshow(shades, SPECTROGRAM_COLOURMAP, vmin=0, vmax=1, aspect="auto", extent=extent, interpolation="nearest")
        ax.set_yticks(range(len(shown)), [probe.phones[index] for index in shown], fontsize=7)
        ax.tick_params(axis="y", length=0)
        ax.set_title(f"{title}: stronger is more probable", fontsize=9, loc="left")
    for start, end, flag in runs(frames.astype(np.int64)):
        if flag:
            between.axvspan(times[start] - half, times[end - 1] + half, color=REFERENCE_COLOUR, linewidth=0)
    between.set_yticks([0.5], ["changed"], fontsize=7)
    between.tick_params(axis="y", length=0)
    between.set(ylim=(0, 1), xlim=extent[:2])
    below.set_xlabel("time (s)")
    return above


def _rows(read: NDArray[np.float64], probe: PhoneProbe) -> list[int]:
    """Return the phones to show, grouped by manner of articulation."""
    manners = get_args(NaturalClass)
    seen = np.flatnonzero(np.exp(read).max(axis=(0, 1)) >= FAINT)
    phones = phone_set("arpabet-39")
    return sorted(map(int, seen), key=lambda index: manners.index(phones.natural_class(probe.phones[index])))


def _sequence(
    side: NDArray[np.float64], marked: NDArray[np.bool_], probe: PhoneProbe, times: NDArray[np.float64]
) -> list[str]:
    """Return the sequence of the most probable phones as HTML; phones that are mostly `marked` are highlighted."""
    shortest = max(1, round(BRIEF / (times[1] - times[0]))) if len(times) > 1 else 1
    words = []
    for start, end, code in runs(side.argmax(axis=1)):
        if end - start >= shortest:
            phone = html.escape(probe.phones[code])
            words.append(f"<mark>{phone}</mark>" if marked[start:end].mean() > 0.5 else phone)
    return words


def _line(name: str, words: list[str]) -> str:
    return f'<p class="sat-phones"><span>{name}:</span> {" ".join(words)}</p>'
