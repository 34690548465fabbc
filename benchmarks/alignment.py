"""Accuracy and speed of forced alignment, against TIMIT's hand labels and on a whole corpus.

    sat-probe align speechocean762 --data-dir DIR --lexicon DIR/lexicon.txt -j 2 -o alignments --json > run.json
    python benchmarks/alignment.py TIMIT --run run.json --into docs/alignment.md

Closures are joined to their bursts and both labellings are folded to 39 phones; a boundary counts if the phones on both
sides of it correspond (`benchmarks.agreement`).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from agreement import boundary_errors, count_boundaries, with_whole_stops
from measured_tables import insert, markdown

from sat_probe.audio import SAMPLING_RATE, read_audio
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.phones.forced_alignment import ForcedAligner
from sat_probe.phones.phone_set import phone_set

ARPABET = phone_set("arpabet-39")


def against_hand_labels(corpus: Corpus) -> list[tuple[str, str]]:
    """Return the rows of agreement with the hand labels of TIMIT."""
    aligner = ForcedAligner()
    errors, boundaries, audio, seconds = [], 0, 0.0, 0.0
    for utterance in corpus:
        waveform = read_audio(utterance.audio)
        started = time.process_time()
        found = aligner.align(utterance.id, waveform, utterance.text or "")
        seconds += time.process_time() - started
        audio += len(waveform) / SAMPLING_RATE
        by_hand = with_whole_stops(utterance.alignment)
        errors.append(boundary_errors(by_hand, corpus.phone_set, found.phones, ARPABET))
        boundaries += count_boundaries(by_hand, corpus.phone_set)
    late = np.concatenate(errors)
    away = np.abs(late)
    shares = ", ".join(
        f"{100 * np.mean(away <= limit):.1f} % within {1000 * limit:.0f} ms" for limit in (0.01, 0.02, 0.05)
    )
    return [
        ("hand-labelled utterances", f"{len(corpus)} ({audio:.0f} s, {len({u.speaker for u in corpus})} speakers)"),
        ("boundaries compared", f"{len(late)} of {boundaries} (the others are at phones that one side lacks)"),
        ("agreement", shares),
        (
            "absolute error",
            f"median {1000 * np.median(away):.1f} ms, 90 % below {1000 * np.quantile(away, 0.9):.1f} ms",
        ),
        ("signed error (late > 0)", f"median {1000 * np.median(late):.1f} ms, mean {1000 * late.mean():.1f} ms"),
        ("speed there", f"{seconds / audio:.3f} x real time of one core"),
    ]


def of_a_run(run: dict) -> list[tuple[str, str]]:
    """Return the rows of what `sat-probe align --json` printed."""
    return [
        (
            "one run of `sat-probe align` on speechocean762",
            f"{run['aligned']} utterances aligned, {len(run['failed'])} failed",
        ),
        ("its audio", f"{run['audio_seconds'] / 3600:.2f} h"),
        ("speed", f"{run['cpu_seconds'] / run['audio_seconds']:.3f} x real time of one core"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("timit", help="folder of TIMIT, or of its sample in NLTK")
    parser.add_argument("--run", type=Path, help="output of `sat-probe align --json`")
    parser.add_argument("--into", type=Path, help="page whose table to replace")
    options = parser.parse_args()
    rows = against_hand_labels(load_corpus(options.timit))
    if options.run is not None:
        rows += of_a_run(json.loads(options.run.read_text(encoding="utf-8")))
    table = markdown(rows)
    print(table)
    if options.into is not None:
        insert(options.into, "benchmarks/alignment.py", table)


if __name__ == "__main__":
    main()
