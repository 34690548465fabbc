"""Where the alignment of an utterance is found: beside its audio, or in a tree, an archive or a table of alignments."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from sat_probe.audio import SAMPLING_RATE
from sat_probe.errors import AlignmentError

from .alignment import Alignment, Gaps
from .alignment_files import read_ctm, read_phn
from .corpus_layouts import Record


class AlignmentSource(Protocol):
    """Finds the alignment of a record, None if there is none."""

    def find(self, record: Record, samples: int, gaps: Gaps) -> Alignment | None: ...


def read_beside(record: Record, samples: int, gaps: Gaps) -> Alignment | None:
    """Read the alignment file that lies beside a record's audio.

    Args:
        record: the utterance.
        samples: duration of its audio, in samples.
        gaps: what unlabelled time means in a CTM file.
    """
    if record.alignment is None:
        return None
    path = Path(record.alignment)
    match path.suffix.lower():
        case ".phn":
            return read_phn(path, record.id, sampling_rate=SAMPLING_RATE, duration=samples)
        case ".ctm":
            alignments = read_ctm(path, gaps=gaps, sampling_rate=SAMPLING_RATE)
            name = next((name for name in (record.id, Path(record.audio).stem) if name in alignments), None)
            if name is None:
                raise AlignmentError(
                    f"{path}: has no segment of {record.id}; it names {', '.join(list(alignments)[:3])}"
                )
            return fitted(alignments[name], record.id, samples)
        case other:
            raise AlignmentError(f"{path}: no reader for alignments that end in {other}")


def fitted(alignment: Alignment, utterance_id: str, samples: int) -> Alignment:
    """The same segments under an utterance's id and with its duration, checked against it."""
    return Alignment(
        utterance_id, alignment.starts, alignment.ends, alignment.labels, alignment.sampling_rate, samples
    )
