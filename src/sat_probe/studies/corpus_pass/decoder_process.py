"""Audio decoding in a separate process, so that a file that crashes the decoder does not end the run.

`python -m sat_probe.studies.corpus_pass.decoder_process` is that process; it reads requests from standard input, one
pickle each, and answers on standard output.
"""

from __future__ import annotations

import atexit
import os
import pickle
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sat_probe.audio import read_audio
from sat_probe.errors import AudioError

if TYPE_CHECKING:
    from sat_probe.phones.corpora.rows import Utterance

READY = "ready"


class AudioDecoder:
    """`read_audio` in another process, which is started when first needed and restarted after it died."""

    command: tuple[str, ...] = (sys.executable or "python", "-m", "sat_probe.studies.corpus_pass.decoder_process")

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._alone = False  # no process can be started here: decode in this one

    def read(self, source: str | Path | bytes, sampling_rate: int, name: str) -> NDArray[np.float32]:
        """Return what `read_audio` returns.

        Raises:
            AudioError: as `read_audio`, or if the process died while it read this source.
        """
        with self._lock:
            process = self._running()
            if process is None:
                return read_audio(source, sampling_rate, name)
            try:
                kind, value = _ask(process, (source, sampling_rate, name))
            except (OSError, EOFError, pickle.UnpicklingError):
                fate = _fate(process)
                self._forget(process)
                raise AudioError(
                    f"{name}: the process that decodes audio died while it read this file ({fate})"
                ) from None
            except BaseException:  # an answer half read would be taken for the next one
                process.kill()
                self._forget(process)
                raise
        if kind == "error":
            raise AudioError(value)
        return value

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        self._process = None
        _stop(process)

    def _running(self) -> subprocess.Popen[bytes] | None:
        process = self._process
        if process is not None and process.poll() is None:
            return process
        if self._alone:
            return None
        try:
            started = _start(self.command)
        except (OSError, EOFError, pickle.UnpicklingError):
            self._alone = True
            return None
        self._process = started
        atexit.register(_stop, started)
        return started


_DECODER = AudioDecoder()  # every study decodes in the same other process


def read_utterance(utterance: Utterance, sampling_rate: int) -> NDArray[np.float32]:
    """Return the audio of an utterance, (samples,) mono at `sampling_rate` (Hz), decoded in another process.

    Raises:
        AudioError: if it cannot be decoded, or the decoder dies of it.
    """
    return _DECODER.read(utterance.audio, sampling_rate, utterance.id)


def _start(command: tuple[str, ...]) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(part or os.curdir for part in sys.path)
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    assert process.stdout is not None
    if pickle.load(process.stdout) != READY:
        raise EOFError
    return process


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes of a process and wait for its end."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(OSError):
        process.stdin.close()
    process.stdout.close()
    process.wait()


def _ask(process: subprocess.Popen[bytes], request: tuple[Any, ...]) -> tuple[str, Any]:
    assert process.stdin is not None
    assert process.stdout is not None
    pickle.dump(request, process.stdin, protocol=5)
    process.stdin.flush()
    return pickle.load(process.stdout)


def _fate(process: subprocess.Popen[bytes]) -> str:
    """Return in words how the process ended."""
    try:
        status = process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        return "it no longer answered"
    if status >= 0:
        return f"exit status {status}"
    known = {one.value: one.name for one in signal.Signals}
    hint = "; out of memory?" if -status == signal.SIGKILL else ""
    return f"{known.get(-status, f'signal {-status}')}{hint}"


def serve() -> None:
    """Answer requests until standard input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    _answer(answers, READY)
    while True:
        try:
            source, sampling_rate, name = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer: tuple[str, Any] = "audio", read_audio(source, sampling_rate, name)
        except AudioError as error:
            answer = "error", str(error)
        _answer(answers, answer)


def _answer(stream: Any, value: Any) -> None:
    pickle.dump(value, stream, protocol=5)
    stream.flush()


if __name__ == "__main__":
    serve()
