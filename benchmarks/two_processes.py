"""Throughput of an analysis with two processes beside one.

    python benchmarks/two_processes.py

A model with random weights of the size of wav2vec2-base analyzes the bundled speech with the same code as
`torchrun --nproc-per-node 2 -m sat_probe analyze`: first one process, then two that share the corpus, one thread each.
Times are wall-clock times from the loaded model to the finished report, the best of several rounds; starting Python and
loading the model are reported separately. Two cores must be free, and the reports must be equal.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np


def work(model: Path, dataset: str, limit: int | None) -> None:
    """Run the analysis of one process; the first process prints its times and a number of each head."""
    begun = time.time()
    import torch

    from sat_probe import analyze_model
    from sat_probe.models.auto import AutoProbedModel
    from sat_probe.phones.corpora.opening import load_corpus
    from sat_probe.studies.corpus_pass.processes import gather, this_process

    torch.set_num_threads(1)
    process = this_process()
    loaded = AutoProbedModel.from_pretrained(model)
    corpus = load_corpus(dataset, limit=limit)
    analyze_model(loaded, corpus.limit(2 * process.count), progress=False, replicates=2)  # everything warm
    gather(process, None)  # wait for all processes
    start = time.time()
    report = analyze_model(loaded, corpus, progress=False, replicates=100)
    took = time.time() - start
    if process.is_main:
        audio = report.provenance["seconds"]
        result = {"start": start - begun, "took": took, "audio": audio}
        print(json.dumps(result | {"globalness": report.heads["globalness"].tolist()}))


def measured(count: int, arguments: list[str]) -> dict[str, float]:
    """Return the result of one run with so many processes."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [sys.executable, *(launch if count > 1 else []), __file__, "--work", *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def build(folder: Path, layers: int) -> None:
    """Save wav2vec2-base with random weights."""
    import torch
    from transformers import Wav2Vec2Config

    from sat_probe.models.probed_classes import ProbedWav2Vec2Model

    torch.manual_seed(0)
    ProbedWav2Vec2Model(Wav2Vec2Config(num_hidden_layers=layers)).save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="bundled")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(arguments.work, arguments.dataset, arguments.limit)
        return
    if hasattr(os, "sched_getaffinity") and len(os.sched_getaffinity(0)) < 2:
        raise SystemExit("two processes need two cores")
    options = ["--dataset", arguments.dataset]
    options += [] if arguments.limit is None else ["--limit", str(arguments.limit)]
    runs: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="sat-probe-") as folder:
        build(Path(folder), arguments.layers)
        for _ in range(arguments.rounds):
            for count, done in runs.items():
                done.append(measured(count, [folder, *options]))
    one, two = (min(done, key=lambda run: run["took"]) for done in runs.values())
    difference = np.abs(np.subtract(one["globalness"], two["globalness"])).max()
    print("| processes | seconds of audio per second | start, seconds |")
    print("|---|---|---|")
    for count, run in ((1, one), (2, two)):
        print(f"| {count} | {run['audio'] / run['took']:.2f} | {run['start']:.1f} |")
    print(f"| 2 / 1 | {one['took'] / two['took']:.2f} | {two['start'] / one['start']:.1f} |")
    print(f"\nlargest difference of a head's globalness: {difference:.1e}")


if __name__ == "__main__":
    main()
