"""Alignment files with one line per segment: TIMIT's .phn, and NIST CTM."""

from __future__ import annotations

import codecs
from pathlib import Path

import numpy as np

from sat_probe.errors import AlignmentError
from sat_probe.phones.alignment import SAME_MOMENT, Alignment, Gaps, require_order


def read_text(path: Path) -> str:
    """Return the text of a file in UTF-8, or in UTF-16 with a byte order mark, which Praat writes.

    Raises:
        AlignmentError: if the file is missing or in another encoding.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AlignmentError(f"{path}: cannot be read ({error.strerror or error})") from error
    return decode_text(content, str(path))


def decode_text(content: bytes, name: str) -> str:
    """Decode UTF-8, or UTF-16 with a byte order mark (see :func:`read_text`)."""
    if content[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        try:
            return content.decode("utf-16")
        except UnicodeDecodeError as error:
            raise AlignmentError(f"{name}: is damaged or cut off UTF-16 text") from error
    if b"\0" in content[:80]:
        raise AlignmentError(f"{name}: is not text, or UTF-16 without a byte order mark; save it as UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise AlignmentError(f"{name}, line {line}: is not UTF-8 text; save it as UTF-8") from error


def read_phn(
    path: str | Path,
    utterance_id: str | None = None,
    *,
    gaps: Gaps = "refuse",
    duration: int | None = None,
    text: str | None = None,
) -> Alignment:
    """Read TIMIT's ``start end label`` lines; times are samples.

    Args:
        path: the .phn file.
        utterance_id: name of the utterance in error messages; the file by default.
        gaps: what time between two segments means; see :meth:`Alignment.from_seconds`.
        duration: samples of audio, if known.
        text: its text, for a file that is not on disk, but in an archive or uploaded.

    Raises:
        AlignmentError: with file and line, for a malformed line, an overlap or a gap; otherwise as :class:`Alignment`.
    """
    rows: list[tuple[int, int, str, int]] = []
    text = read_text(Path(path)) if text is None else text
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        fields = line.split()
        if len(fields) != 3 or not (fields[0].isdigit() and fields[1].isdigit()):
            raise AlignmentError(
                f"{path}, line {number}: expected 'start end label' with times in samples, found {line.strip()!r}"
            )
        rows.append((int(fields[0]), int(fields[1]), fields[2], number))
    starts, ends, labels, lines = zip(*rows, strict=True) if rows else ((), (), (), ())
    places = [f"{path}, line {line}: " for line in lines]
    require_order(starts, ends, labels, places.__getitem__, lambda sample: f"sample {sample}", gaps=gaps)
    alignment = Alignment(utterance_id or str(path), np.array(starts), np.array(ends), labels, duration=duration)
    return alignment.with_silence_in_gaps() if gaps == "silence" else alignment


def read_ctm(path: str | Path, *, gaps: Gaps = "refuse") -> dict[str, Alignment]:
    """Read a CTM file: ``utterance channel start duration label [confidence]`` lines, times in seconds.

    The segments of an utterance must be in order, but not adjacent in the file; ``;;`` starts a comment.

    Returns:
        utterance id -> alignment, in the file's order.

    Raises:
        AlignmentError: with file and line, for a malformed line or an overlap; for a gap with ``gaps="refuse"``.
    """
    path = Path(path)
    found: dict[str, list[tuple[float, float, str, int]]] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith(";;"):
            continue
        where = f"{path}, line {number}"
        fields = line.split()
        try:
            utterance, _, start_field, duration_field, label = fields[:5]
            start, duration = float(start_field), float(duration_field)
        except ValueError as error:
            raise AlignmentError(
                f"{where}: expected 'utterance channel start duration label' with times in seconds, "
                f"found {line.strip()!r}"
            ) from error
        if not (start >= 0 and 0 < duration < float("inf")):
            raise AlignmentError(f"{where}: {label!r} starts at {start_field} s and lasts {duration_field} s")
        found.setdefault(utterance, []).append((start, start + duration, label, number))
    alignments = {}
    for utterance, rows in found.items():
        starts, ends, labels, lines = zip(*rows, strict=True)
        places = [f"{path}, line {line}: " for line in lines]
        require_order(
            starts, ends, labels, places.__getitem__, lambda time: f"{time:.4f} s", tolerance=SAME_MOMENT, gaps=gaps
        )
        try:
            alignments[utterance] = Alignment.from_seconds(utterance, starts, ends, labels, gaps=gaps)
        except AlignmentError as error:
            raise AlignmentError(f"{path}: {error}") from error
    return alignments
