"""Draw docs/figures/frames.svg: the phone of each frame of two models, in a piece of the bundled speech.

python scripts/draw_frames.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sat_probe.audio import read_audio
from sat_probe.frames import FrameGrid
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.phones.corpora.rows import Utterance
from sat_probe.phones.phone_set import PhoneSet, phone_set

PAGE = Path(__file__).resolve().parents[1] / "docs" / "figures" / "frames.svg"
START, END = 2_600, 6_600  # samples of the piece shown
GRIDS = {
    "wav2vec 2.0\n20 ms, first 12.5 ms": FrameGrid(hop=320, first_centre=200.0),
    "Mockingjay, R = 3\n30 ms, first 10 ms": FrameGrid(hop=160, first_centre=0.0).stacked(3),
}
COLOURS = matplotlib.colormaps["Set2"]


def colour(phone: int, shown: dict[int, int]) -> tuple[float, ...]:
    """Return the colour of a phone; phones get colours in the order they appear."""
    return COLOURS(shown.setdefault(phone, len(shown)))


def draw_segments(axes: Axes, utterance: Utterance, phones: PhoneSet, shown: dict[int, int]) -> None:
    alignment = utterance.alignment.folded(phones)
    for start, end, label in zip(alignment.starts, alignment.ends, alignment.labels, strict=True):
        if end <= START or start >= END:
            continue
        left, right = max(start, START), min(end, END)
        axes.broken_barh([(left / 16, (right - left) / 16)], (0, 1), color=colour(phones.index(label), shown))
        axes.text((left + right) / 32, 0.5, label, ha="center", va="center", fontsize=11)
        axes.axvline(start / 16, color="black", linewidth=0.8)


def draw_frames(axes: Axes, utterance: Utterance, phones: PhoneSet, grid: FrameGrid, shown: dict[int, int]) -> None:
    count = int((END - grid.first_centre) // grid.hop) + 1
    labels = utterance.alignment.frame_labels(phones, grid, count)
    for centre, label in zip(grid.centres(count), labels, strict=True):
        if not START + grid.hop / 2 <= centre < END - grid.hop / 2:
            continue
        face = colour(int(label), shown) if label >= 0 else "none"
        width = 0.84 * grid.hop / 16
        axes.broken_barh([(centre / 16 - width / 2, width)], (0.12, 0.6), facecolor=face, edgecolor="black")
        axes.plot([centre / 16] * 2, [0.72, 1.0], color="black", linewidth=0.8)
        axes.text(centre / 16, 0.42, phones.phones[label] if label >= 0 else "", ha="center", va="center", fontsize=8)


def main() -> None:
    phones = phone_set("timit-39")
    utterance = next(one for one in load_corpus("bundled") if one.id.endswith("slt-01"))
    waveform = read_audio(utterance.audio)
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    rows = figure.subplots(2 + len(GRIDS), 1, sharex=True, height_ratios=[1.6, 0.8, *[1.0] * len(GRIDS)])
    rows[0].plot(np.arange(START, END) / 16, waveform[START:END], linewidth=0.5, color="#333333")
    shown: dict[int, int] = {}
    draw_segments(rows[1], utterance, phones, shown)
    for axes, (name, grid) in zip(rows[2:], GRIDS.items(), strict=True):
        draw_frames(axes, utterance, phones, grid, shown)
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    for axes, name in zip(rows, ("waveform", "phones"), strict=False):
        axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    for axes in rows:
        axes.set_yticks([])
        axes.set_xlim(START / 16, END / 16)
        axes.spines[["top", "right", "left"]].set_visible(False)
    for axes in rows[1:]:
        axes.set_ylim(0, 1)
    rows[-1].set_xlabel("time in ms; a tick is a frame's centre, its box the phone it belongs to")
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    matplotlib.rcParams["svg.hashsalt"] = "frames"
    figure.savefig(PAGE, metadata={"Date": None})
    print(PAGE)


if __name__ == "__main__":
    main()
