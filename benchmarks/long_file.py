"""Cost of one long recording: time and memory of `sat-probe analyze` by duration.

    python benchmarks/long_file.py                       2, 5 and 10 minutes
    python benchmarks/long_file.py --minutes 5 20 60

The bundled speech, repeated into one FLAC file, is analyzed with the bundled model in a fresh process, including the
attention between every pair of frames; the columns are processor time and peak memory. Time grows with the square of
the duration, so the cost of an hour is extrapolated from three shorter files. `--span N` limits attention to N frames,
which needs the same memory except for the blocks of weights: it measures an hour's memory in minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import soundfile

from sat_probe import analyze_model, load_corpus, read_audio, refine
from sat_probe.studies.footprint import peak_memory


def write_recording(path: Path, minutes: float) -> None:
    """Write the bundled speech, repeated until the file is long enough."""
    voices = [read_audio(utterance.audio) for utterance in load_corpus("bundled")]
    left, turn = int(minutes * 60 * 16_000), 0
    with soundfile.SoundFile(path, "w", 16_000, 1) as file:
        while left > 0:
            part = voices[turn % len(voices)][:left]
            file.write(part)
            left, turn = left - len(part), turn + 1


def encode_alone(path: Path, span: int) -> None:
    """Encode the audio with a limited span, without statistics."""
    refine(None, span=span).encode([read_audio(path)])


def measured(path: Path, span: int | None) -> tuple[float, float]:
    """Return the processor seconds and the peak memory (bytes) of a fresh process that analyzes one file."""
    command = [sys.executable, __file__, "--file", str(path), *([] if span is None else ["--span", str(span)])]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    seconds, memory = done.stdout.split()[-2:]
    return float(seconds), float(memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[2.0, 5.0, 10.0])
    parser.add_argument("--span", type=int)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.file:
        if arguments.span is None:
            analyze_model(None, arguments.file.parent, progress=True)
        else:
            encode_alone(arguments.file, arguments.span)
        times = os.times()
        print(times.user + times.system, peak_memory())
        return
    print("| minutes | processor time / duration | peak memory, GB |")
    print("|---|---|---|")
    points = []
    with tempfile.TemporaryDirectory(prefix="sat-probe-") as folder:
        for minutes in arguments.minutes:
            path = Path(folder) / "recording.flac"
            write_recording(path, minutes)
            seconds, memory = measured(path, arguments.span)
            points.append((60 * minutes, seconds, memory))
            print(f"| {minutes:g} | {seconds / (60 * minutes):.2f} | {memory / 1e9:.2f} |", flush=True)
    if len(points) > 2 and arguments.span is None and max(arguments.minutes) < 60:
        # a constant, and terms linear and quadratic in the duration
        lengths, times, memories = np.array(points[-3:]).T
        hour = np.polyval(np.polyfit(lengths, times, 2), 3600.0) / 3600
        memory = np.polyval(np.polyfit(lengths, memories, 1), 3600.0) / 1e9
        print(f"| 60, extrapolated | {hour:.2f} | {memory:.2f} |")


if __name__ == "__main__":
    main()
