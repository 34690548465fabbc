"""Memory of streaming through a long corpus: audio is decoded, phones are read and frames labelled.

    python benchmarks/corpus_memory.py --utterances 10000 --into docs/frames.md

The corpus is the bundled speech under many names (hard links), with a .phn file next to each.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

from measured_tables import insert, markdown

from sat_probe.audio import read_audio
from sat_probe.frames import FrameGrid
from sat_probe.phones.corpora.opening import load_corpus

GRID = FrameGrid(hop=320, first_centre=200.0)
PER_FOLDER = 100


def resident_mebibytes() -> float:
    """Return the resident memory of this process (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def link_corpus(folder: Path, utterances: int) -> None:
    """Link the bundled speech again and again under new names."""
    bundled = [utterance.audio for utterance in load_corpus("bundled")]
    for number, audio in enumerate(islice(cycle(bundled), utterances)):
        target = folder / f"{number // PER_FOLDER:05d}" / f"{number:07d}{audio.suffix}"
        target.parent.mkdir(exist_ok=True)
        for source, copy in ((audio, target), (audio.with_suffix(".phn"), target.with_suffix(".phn"))):
            try:
                os.link(source, copy)
            except OSError:  # another file system
                copy.write_bytes(source.read_bytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--utterances", type=int, default=10_000)
    parser.add_argument("--into", type=Path, help="page whose table to replace")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        link_corpus(Path(folder), options.utterances)
        corpus = load_corpus(folder, streaming=True, phone_set="timit-39")
        memory, seen, frames, started = {}, 0, 0, time.process_time()
        marks = {options.utterances * tenth // 10 for tenth in range(1, 11)}
        for utterance in corpus:
            waveform = read_audio(utterance.audio)
            labels = utterance.alignment.frame_labels(corpus.phone_set, GRID, (len(waveform) - 400) // 320 + 1)
            seen, frames = seen + 1, frames + len(labels)
            if seen in marks:
                gc.collect()
                memory[seen] = resident_mebibytes()
        elapsed = time.process_time() - started
    first, last = memory[min(memory)], memory[max(memory)]
    rows = [
        ("utterances streamed", f"{seen} ({frames} frames labelled)"),
        (f"resident memory after {min(memory)} utterances", f"{first:.1f} MiB"),
        (f"resident memory after {max(memory)} utterances", f"{last:.1f} MiB"),
        ("growth between the two", f"{last - first:+.1f} MiB"),
        ("highest of ten readings", f"{max(memory.values()):.1f} MiB"),
        ("processor time per utterance", f"{1000 * elapsed / seen:.1f} ms"),
    ]
    table = markdown(rows)
    print(table)
    if options.into is not None:
        insert(options.into, "benchmarks/corpus_memory.py", table)


if __name__ == "__main__":
    main()
