"""Speed of the head explorer as a Space: first view, analysis of 10 s of speech, and eight visitors at once.

    python benchmarks/demo.py [--users 8] [--seconds 60]

The app runs in its own process, from its own folder. Every visitor has a session and recordings of their own and
analyzes them again and again; each answer is compared with the answer for the same recording without other visitors.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import soundfile
from gradio_client import Client, handle_file

SPACES = Path(__file__).resolve().parents[1] / "spaces_demo"
MODEL = "Mockingjay, small (bundled)"
RATE = 16_000
PAUSE = 8.0  # seconds without visitors before memory is looked at: the app tidies up when it has time


@dataclass(frozen=True)
class Space:
    """A running Space: its address, its process, and the seconds from its start to the first view."""

    url: str
    process: psutil.Process
    seconds_to_first_view: float

    def client(self) -> Client:
        """Return a visitor with an own session."""
        return Client(self.url, verbose=False, download_files=False)

    @property
    def megabytes(self) -> float:
        """Resident memory of the process."""
        return self.process.memory_info().rss / 2**20


@contextmanager
def running(name: str, python: str = sys.executable, **environment: str) -> Iterator[Space]:
    """Start a Space as the Hub does, `python app.py` in its own folder, and end it afterwards.

    Args:
        name: folder in `spaces_demo`.
        python: interpreter of the environment that it runs in.
        environment: variables to set.

    Raises:
        RuntimeError: it ended, or showed nothing within three minutes; with what it printed.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    variables = {**os.environ, "GRADIO_SERVER_PORT": str(port), "GRADIO_ANALYTICS_ENABLED": "False", **environment}
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log"
        variables["GRADIO_TEMP_DIR"] = str(Path(scratch) / "uploads")
        start = time.perf_counter()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [python, "app.py"], cwd=SPACES / name, env=variables, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            while not _shows(url):
                if process.poll() is not None or time.perf_counter() - start > 180:
                    raise RuntimeError(f"{name} does not start:\n{log.read_text(errors='replace')}")
                time.sleep(0.05)
            yield Space(url, psutil.Process(process.pid), time.perf_counter() - start)
        finally:
            process.terminate()
            process.wait(20)


def _shows(url: str) -> bool:
    """Whether the page and what it is made of are served."""
    try:
        for path in ("", "config"):
            with urllib.request.urlopen(url + path, timeout=60) as answer:
                answer.read()
    except OSError:
        return False
    return True


def recording(folder: Path, seconds: float, seed: int) -> Path:
    """Speech-like noise of its own for each seed: no two recordings have the same heads."""
    rng = np.random.default_rng(seed)
    moments = np.arange(int(seconds * RATE)) / RATE
    tone = np.sin(2 * np.pi * (90 + 15 * seed) * moments) * (1 + np.sin(2 * np.pi * (2 + seed % 3) * moments))
    path = folder / f"visitor-{seed}.wav"
    soundfile.write(path, 0.1 * tone + 0.02 * rng.standard_normal(len(moments)), RATE)
    return path


def analyzed(client: Client, file: Path) -> tuple[str, list[dict[str, Any]]]:
    """Upload a recording and analyze it on the bundled model: the line of status, and the numbers of every head."""
    status, page, _ = client.predict(label=MODEL, recording=handle_file(str(file)), alignment=None, api_name="/analyze")
    data = re.search(r'id="data">(.*?)</script>', html.unescape(page), re.DOTALL)
    if data is None:
        raise RuntimeError("the answer holds no page of a report")
    return status, json.loads(data[1])["heads"]


@dataclass(frozen=True)
class Visitor:
    """A session, a recording, and the numbers of its heads when nobody else was there."""

    client: Client
    file: Path
    alone: list[dict[str, Any]]


@dataclass
class Visits:
    """What visitors met with: seconds per answer, failures, and answers that were another one's."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    mixed_up: int = 0


def arrivals(space: Space, users: int, clip_seconds: float, folder: Path) -> list[Visitor]:
    """So many visitors, one after the other; each has analyzed a recording of their own, kept in `folder`."""
    visitors = []
    for seed in range(users):
        client, file = space.client(), recording(folder, clip_seconds, seed)
        visitors.append(Visitor(client, file, analyzed(client, file)[1]))
    if len({json.dumps(visitor.alone) for visitor in visitors}) < users:
        raise RuntimeError("two recordings have the same heads: a mix-up would go unseen")
    return visitors


def visit(visitors: list[Visitor], seconds: float) -> Visits:
    """Let all of them analyze their recordings at once, again and again, for so many seconds; each at least once."""
    visits = Visits()
    end = time.perf_counter() + seconds

    def stay(visitor: Visitor) -> None:
        while True:
            start = time.perf_counter()
            try:
                status, heads = analyzed(visitor.client, visitor.file)
                visits.seconds.append(time.perf_counter() - start)
                visits.mixed_up += heads != visitor.alone or visitor.file.name not in status
            except Exception as error:
                visits.failures.append(f"{type(error).__name__}: {error}")
            if time.perf_counter() >= end:
                return

    threads = [threading.Thread(target=stay, args=(visitor,)) for visitor in visitors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return visits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    if hasattr(os, "getloadavg"):
        print(f"other work on the machine: {os.getloadavg()[0]:.1f} processes ready to run when this began")
    for name in ("phoneme_boundary", "head_explorer"):
        with running(name) as space:
            print(f"{name}: {space.seconds_to_first_view:.1f} s from the start of the process to the first view")
            if name != "head_explorer":
                continue
            with tempfile.TemporaryDirectory() as scratch:
                client, file = space.client(), recording(Path(scratch), 10.0, 0)
                for attempt in ("first", "second", "third"):
                    start = time.perf_counter()
                    status, _ = analyzed(client, file)
                    took = time.perf_counter() - start
                    inside = re.search(r"analyzed in ([\d.]+) s", status)
                    print(
                        f"10 s of speech, {attempt} time: {took:.1f} s with upload and page"
                        + (f", {inside[1]} s of them to analyze" if inside else "")
                    )
                visitors = arrivals(space, options.users, 3.0, Path(scratch))
                time.sleep(PAUSE)
                before = space.megabytes
                visits = visit(visitors, options.seconds)
                time.sleep(PAUSE)
                after = space.megabytes
                for visitor in visitors:
                    visitor.client.close()
                client.close()
                time.sleep(PAUSE)
                alone = space.megabytes
            median, high = np.percentile(visits.seconds, (50, 95))
            print(
                f"{options.users} visitors at once for {options.seconds:g} s, 3 s of speech each: "
                f"{len(visits.seconds)} answers, {len(visits.failures)} failures, {visits.mixed_up} mixed up; "
                f"median {median:.2f} s, 95 % within {high:.2f} s"
            )
            print(
                f"memory: {before:.0f} MB before, {after:.0f} MB {PAUSE:g} s after ({after - before:+.0f} MB), "
                f"{alone:.0f} MB when the visitors have left"
            )
            for failure in visits.failures[:5]:
                print(failure, file=sys.stderr)


if __name__ == "__main__":
    main()
