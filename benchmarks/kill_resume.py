"""Analysis under repeated kills: every resumed report equals an uninterrupted one.

    python benchmarks/kill_resume.py

`sat-probe analyze --resume` on the bundled model and speech is killed (`kill -9`) at twenty random moments: while it
decodes, computes, writes a checkpoint, draws figures or renames its folder. Whenever a run finishes, its report is
compared with that of an uninterrupted run: every number of every table within 1e-9, the same counts, no files left.
Checkpoints are written after every second utterance instead of every 256th, so that there is something to lose.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pandas as pd

from sat_probe import HeadReport

BEGUN = "begun"  # printed by a run once everything is imported
SAME = ("utterances", "skipped", "seconds", "model", "corpus")


def analyze(output: Path, limit: int) -> None:
    """Run `sat-probe analyze` with frequent checkpoints."""
    from sat_probe.cli import run
    from sat_probe.studies.corpus_pass import accumulation
    from sat_probe.studies.corpus_pass import batches as audio_stream

    audio_stream.WINDOW_UTTERANCES = accumulation.CHECKPOINT_UTTERANCES = 2
    print(BEGUN, flush=True)
    raise SystemExit(run(["analyze", "--limit", str(limit), "--resume", "-o", str(output)]))


def start(output: Path, limit: int) -> subprocess.Popen[str]:
    """Start a run, and return it when its work begins."""
    command = [sys.executable, __file__, "--analyze", str(output), "--limit", str(limit)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    while (line := process.stdout.readline()) and line.strip() != BEGUN:
        pass
    return process


def finish(process: subprocess.Popen[str], seconds: float | None = None) -> bool:
    """Wait at most so long, then kill; return whether the run finished."""
    try:
        process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return False
    if process.returncode:
        raise SystemExit(f"a resumed run ended with status {process.returncode}")
    return True


def compare(folder: Path, whole: HeadReport) -> None:
    """Raise an AssertionError if a report differs from the uninterrupted one."""
    report = HeadReport.load(folder)
    pd.testing.assert_frame_equal(report.heads, whole.heads, rtol=1e-9, atol=1e-12)
    assert set(report.tables) == set(whole.tables)
    for name, table in whole.tables.items():
        pd.testing.assert_frame_equal(report.tables[name], table, rtol=1e-9, atol=1e-12)
    assert {name: report.provenance[name] for name in SAME} == {name: whole.provenance[name] for name in SAME}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--limit", type=int, default=16, help="utterances")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--analyze", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.analyze:
        analyze(arguments.analyze, arguments.limit)
    with tempfile.TemporaryDirectory(prefix="sat-probe-") as temporary:
        folder = Path(temporary)
        process, begun = start(folder / "whole", arguments.limit), time.monotonic()
        finish(process)
        duration = time.monotonic() - begun
        whole = HeadReport.load(folder / "whole")
        chance = random.Random(arguments.seed)
        kills = finished = kept = 0
        while kills < arguments.kills or finished == 0:
            at = chance.uniform(0, duration) if kills < arguments.kills else None
            process = start(folder / "parts", arguments.limit)
            if not finish(process, at):
                kills += 1
                kept += any(folder.glob(".parts*.checkpoint.npz"))
                continue
            compare(folder / "parts", whole)
            assert not any(folder.glob(".parts*")), "files were left over"
            finished += 1
            shutil.rmtree(folder / "parts")
        print(f"{kills} kills, {kept} of them with a checkpoint to resume from, {finished} finished reports")
        print("every report equals the uninterrupted one within 1e-9")


if __name__ == "__main__":
    main()
