"""Praat TextGrids: read in the long and the short text format, written in the long one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sat_probe.errors import AlignmentError
from sat_probe.phones.alignment import DURATION_TOLERANCE, SAME_MOMENT, Alignment, Gaps, require_order
from sat_probe.phones.readers.phn_ctm import read_text
from sat_probe.phones.readers.praat_text import PraatData


@dataclass(frozen=True, slots=True)
class IntervalTier:
    """One interval tier of a file.

    Args:
        name: "words", "phones", "speaker - phones", ...
        starts: (intervals,) seconds.
        ends: (intervals,) seconds.
        labels: (intervals,) text, "" for an empty interval.
        lines: (intervals,) line of each interval in the file, from 1.
    """

    name: str
    starts: tuple[float, ...]
    ends: tuple[float, ...]
    labels: tuple[str, ...]
    lines: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TextGrid:
    """A parsed TextGrid: its interval tiers, the names of its point tiers, and the time it spans (seconds)."""

    name: str
    start: float
    end: float
    interval_tiers: tuple[IntervalTier, ...]
    point_tiers: tuple[str, ...]

    def tier(self, name: str) -> IntervalTier:
        """The interval tier called ``name``, or ``<speaker> - <name>`` if there is exactly one.

        Raises:
            AlignmentError: if there is none, or several, or it is a point tier.
        """
        found = [tier for tier in self.interval_tiers if tier.name == name]
        found = found or [tier for tier in self.interval_tiers if tier.name.endswith(f" - {name}")]
        if len(found) == 1:
            return found[0]
        if found:
            raise AlignmentError(f"{self.name}: has {len(found)} tiers called {name!r}; one speaker per file is needed")
        if any(point == name or point.endswith(f" - {name}") for point in self.point_tiers):
            raise AlignmentError(f"{self.name}: its tier {name!r} holds points, not intervals")
        names = [tier.name for tier in self.interval_tiers] + [f"{point} (points)" for point in self.point_tiers]
        raise AlignmentError(
            f"{self.name}: has no tier {name!r}; its tiers: {', '.join(names) or 'none'}; tier (--tier) names one"
        )


def read_textgrid(
    path: str | Path,
    utterance_id: str | None = None,
    *,
    tier: str = "phones",
    gaps: Gaps = "refuse",
    sampling_rate: int = 16_000,
    duration: int | None = None,
    text: str | None = None,
) -> Alignment:
    """Read one tier of a TextGrid file (UTF-8).

    An empty interval is a segment with the label "", which ARPAbet phone sets fold into silence, or with
    ``gaps="unlabelled"`` no segment at all.

    Args:
        path: the TextGrid.
        utterance_id: name of the utterance in error messages; the file by default.
        tier: the tier to read.
        gaps: what time between two intervals means, where a file breaks Praat's rules and leaves some out; see
            :meth:`Alignment.from_seconds`.
        sampling_rate: samples per second of the alignment.
        duration: samples of the audio; the TextGrid's own end by default.
        text: its text, for a file that is not on disk, but in an archive or uploaded.

    Raises:
        AlignmentError: with file and line, if it is not a TextGrid, lacks the tier, or its intervals overlap or leave
            gaps; if its duration differs from the audio's by more than 0.1 s.
    """
    grid = parse_textgrid(read_text(Path(path)) if text is None else text, str(path))
    utterance_id = utterance_id or str(path)
    if duration is not None and abs(grid.end - duration / sampling_rate) > DURATION_TOLERANCE:
        raise AlignmentError(
            f"{grid.name}: ends at {grid.end:.3f} s, but the audio of {utterance_id} is "
            f"{duration / sampling_rate:.3f} s long; the TextGrid probably belongs to another file"
        )
    chosen = grid.tier(tier)
    _check_intervals(grid, chosen, gaps)
    kept = [i for i, label in enumerate(chosen.labels) if label.strip() or gaps != "unlabelled"]
    if not kept:
        raise AlignmentError(f"{grid.name}: its tier {tier!r} has no labelled interval")
    return Alignment.from_seconds(
        utterance_id,
        [chosen.starts[i] for i in kept],
        [chosen.ends[i] for i in kept],
        [chosen.labels[i] for i in kept],
        gaps=gaps,
        sampling_rate=sampling_rate,
        duration=round(grid.end * sampling_rate) if duration is None else duration,
    )


def _check_intervals(grid: TextGrid, tier: IntervalTier, gaps: Gaps) -> None:
    places = [f"{grid.name}, line {line} (tier {tier.name!r}): " for line in tier.lines]
    require_order(
        tier.starts, tier.ends, tier.labels, places.__getitem__, lambda time: f"{time:g} s",
        tolerance=SAME_MOMENT, gaps=gaps,
    )  # fmt: skip
    for start, end, label, place in zip(tier.starts, tier.ends, tier.labels, places, strict=True):
        if start < grid.start - SAME_MOMENT or end > grid.end + SAME_MOMENT:
            raise AlignmentError(
                f"{place}{label!r} spans {start:g} to {end:g} s, but the file {grid.start:g} to {grid.end:g} s"
            )


def parse_textgrid(text: str, name: str) -> TextGrid:
    """Parse the text of a TextGrid, long or short; ``name`` is its name in error messages.

    Raises:
        AlignmentError: with the line, if the text is not a TextGrid.
    """
    data = PraatData(text, name)
    if not data.text("the file type").startswith("ooTextFile") or data.text("the object class") != "TextGrid":
        raise AlignmentError(f"{name}: is not a TextGrid (expected 'ooTextFile' and 'TextGrid' in its first lines)")
    start, end = data.number("the start"), data.number("the end")
    if data.flag() == "<absent>":
        return TextGrid(name, start, end, (), ())
    tiers: list[IntervalTier] = []
    points: list[str] = []
    for _ in range(data.count("the number of tiers")):
        kind = data.text("a tier's class")
        if kind not in ("IntervalTier", "TextTier"):
            raise data.error(f"tier class {kind!r} is neither IntervalTier nor TextTier")
        tier_name = data.text("a tier's name")
        data.number("a tier's start"), data.number("a tier's end")
        rows = range(data.count(f"the number of entries of tier {tier_name!r}"))
        if kind == "IntervalTier":
            read = [data.interval() for _ in rows]
            starts, ends, labels, lines = zip(*read, strict=True) if read else ((), (), (), ())
            tiers.append(IntervalTier(tier_name, starts, ends, labels, lines))
        else:
            for _ in rows:
                data.number("a point's time"), data.text("a point's mark")
            points.append(tier_name)
    return TextGrid(name, start, end, tuple(tiers), tuple(points))


def write_textgrid(path: str | Path, phones: Alignment, words: Alignment | None = None) -> None:
    """Write a TextGrid with the tiers ``words`` (if given) and ``phones``, UTF-8, in Praat's long format.

    Times have as many digits as are needed to read back the same sample. Unlabelled time becomes an empty interval,
    because a tier has no gaps.

    Args:
        path: the file to write; its folder must exist.
        phones: the phones; its duration, or its end, is the TextGrid's.
        words: the words, on the same time axis.

    Raises:
        AlignmentError: if words have another sampling rate, or end after the phones' audio.
    """
    end = max(phones.duration or 0, int(phones.ends[-1]))
    if words is not None and (words.sampling_rate != phones.sampling_rate or words.ends[-1] > end):
        raise AlignmentError(f"{phones.utterance_id}: words and phones do not span the same time")
    rate = phones.sampling_rate
    span = ["xmin = 0", f"xmax = {end / rate!r}"]
    named = [(name, tier) for name, tier in (("words", words), ("phones", phones)) if tier is not None]
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", *span]
    lines += ["tiers? <exists>", f"size = {len(named)}", "item []:"]
    for number, (name, tier) in enumerate(named, start=1):
        filled = replace(tier, duration=end).with_silence_in_gaps("")
        about = ['class = "IntervalTier"', f'name = "{name}"', *span, f"intervals: size = {len(filled)}"]
        lines += [f"    item [{number}]:", *(f"        {line}" for line in about)]
        rows = zip(filled.starts.tolist(), filled.ends.tolist(), filled.labels, strict=True)
        for row, (start, stop, label) in enumerate(rows, start=1):
            text = label.replace('"', '""')
            lines += [
                f"        intervals [{row}]:",
                f"            xmin = {start / rate!r}",
                f"            xmax = {stop / rate!r}",
                f'            text = "{text}"',
            ]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
