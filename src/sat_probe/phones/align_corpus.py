"""Forced alignment of a corpus in parallel and resumable, with one TextGrid per utterance."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sat_probe.audio import SAMPLING_RATE, read_audio
from sat_probe.errors import AlignmentError, CorpusError, SatProbeError
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.phones.corpora.rows import Utterance
from sat_probe.phones.forced_alignment import ForcedAligner, unknown_words_message
from sat_probe.phones.readers.textgrid import write_textgrid

Reader = Callable[[Utterance, int], NDArray[np.float32]]
_Result = tuple[float, float, str | None]  # seconds of the processor, seconds of audio, what prevented it


@dataclass(slots=True)
class AlignmentRun:
    """Result of aligning a corpus.

    Args:
        output: the folder of TextGrids.
        aligned: TextGrids written.
        present: utterances that already had a TextGrid.
        failed: utterance id -> why it has no TextGrid.
        audio_seconds: seconds of audio aligned.
        cpu_seconds: processor time for it, summed over processes.
        elapsed_seconds: time from start to end.
        num_proc: number of processes.
    """

    output: Path
    num_proc: int
    aligned: int = 0
    present: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    audio_seconds: float = 0.0
    cpu_seconds: float = 0.0
    elapsed_seconds: float = 0.0

    @property
    def real_time_factor(self) -> float | None:
        """Seconds of one core per second of audio; None if nothing was aligned."""
        return self.cpu_seconds / self.audio_seconds if self.audio_seconds else None


def align_corpus(
    corpus: Corpus,
    output: str | Path,
    *,
    lexicon: str | Path | None = None,
    num_proc: int = 1,
    overwrite: bool = False,
    strict: bool = False,
    progress: Callable[[int], object] | None = None,
    read: Reader | None = None,
) -> AlignmentRun:
    """Align every utterance of a corpus that has no TextGrid yet.

    A TextGrid is written completely or not at all, so an interrupted run can be continued. An utterance whose text does
    not fit its audio is reported in ``failed`` and does not stop the others.

    Args:
        corpus: utterances with text, map-style.
        output: folder for the TextGrids, laid out like the audio: `load_corpus(..., alignments=output)` finds them.
        lexicon: pronunciations of words that the dictionary lacks (see :class:`ForcedAligner`).
        num_proc: processes.
        overwrite: replace TextGrids that exist.
        strict: stop at the first utterance that cannot be aligned, instead of reporting it in ``failed``.
        progress: called with 1 for every finished utterance.
        read: gives the audio of an utterance at a rate (Hz), in the process that aligns it; `read_audio` by default.

    Raises:
        CorpusError: if the corpus streams or has no text.
        AlignmentError: before any work, if words are unknown or PocketSphinx is not installed; if strict, at the first
            utterance that cannot be aligned.
    """
    if corpus.is_streaming:
        raise CorpusError(f"{corpus.name}: load it without streaming to align it, so that its words are checked first")
    run = AlignmentRun(Path(output), num_proc)
    started = time.perf_counter()
    tick = progress or (lambda count: None)
    _aligner.cache_clear()  # the lexicon may have changed since an earlier run
    _check_texts(corpus, _aligner(lexicon))
    todo: list[tuple[Utterance, Path]] = []
    for utterance in corpus:
        target = run.output / (output_name(corpus, utterance) + ".TextGrid")
        if target.is_file() and not overwrite:
            run.present += 1
            tick(1)
        elif not (utterance.text or "").strip():
            _fail(run, utterance.id, "has no text to align", strict)
            tick(1)
        else:
            todo.append((utterance, target))
    results = _results(todo, partial(_align, lexicon=lexicon, read=read or _read), num_proc)
    for (utterance, _), (cpu_seconds, audio_seconds, problem) in zip(todo, results, strict=True):
        if problem is None:
            run.aligned += 1
            run.audio_seconds += audio_seconds
        else:
            _fail(run, utterance.id, problem, strict)
        run.cpu_seconds += cpu_seconds
        tick(1)
    run.elapsed_seconds = time.perf_counter() - started
    return run


def _fail(run: AlignmentRun, utterance_id: str, problem: str, strict: bool) -> None:
    if strict:
        raise AlignmentError(f"{utterance_id}: {problem}")
    run.failed[utterance_id] = problem


def output_name(corpus: Corpus, utterance: Utterance) -> str:
    """Path of an utterance's alignment below the output folder, without suffix: its audio's path, or its id."""
    if corpus.folder is not None and isinstance(utterance.audio, Path):
        return utterance.audio.relative_to(corpus.folder).with_suffix("").as_posix()
    return utterance.id


def _check_texts(corpus: Corpus, aligner: ForcedAligner) -> None:
    texts = [text or "" for text in corpus.dataset["text"]]
    unknown = [word for text in texts for word in aligner.unknown_words(text)]
    if not any(text.strip() for text in texts):
        raise CorpusError(f"{corpus.name}: no utterance has text; alignment needs the transcripts")
    if unknown:
        raise AlignmentError(f"{corpus.name}: {unknown_words_message(unknown)}")


@lru_cache(maxsize=1)
def _aligner(lexicon: str | Path | None) -> ForcedAligner:
    """The aligner of this process."""
    return ForcedAligner(lexicon)


def _results(
    todo: list[tuple[Utterance, Path]], align: Callable[[tuple[Utterance, Path]], _Result], num_proc: int
) -> Iterator[_Result]:
    workers = min(num_proc, len(todo))
    if workers <= 1:
        yield from map(align, todo)
        return
    # spawned, because the fork of a process whose libraries use threads may hang
    executor = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
    try:
        yield from executor.map(align, todo, chunksize=max(1, min(16, len(todo) // (4 * workers))))
    except BrokenProcessPool as error:
        raise AlignmentError(
            "a worker process died, perhaps for lack of memory; run the command again to continue"
        ) from error
    finally:
        executor.shutdown(cancel_futures=True)


def _read(utterance: Utterance, sampling_rate: int) -> NDArray[np.float32]:
    return read_audio(utterance.audio, sampling_rate, utterance.id)


def _align(task: tuple[Utterance, Path], lexicon: str | Path | None, read: Reader) -> _Result:
    """Write the TextGrid of one utterance: seconds of the processor, seconds of audio, and what prevented it."""
    utterance, output = task
    aligner = _aligner(lexicon)
    started = time.process_time()
    try:
        waveform = read(utterance, SAMPLING_RATE)
        found = aligner.align(utterance.id, waveform, utterance.text or "")
    except SatProbeError as error:
        return time.process_time() - started, 0.0, str(error).removeprefix(f"{utterance.id}: ")
    output.parent.mkdir(parents=True, exist_ok=True)
    unfinished = output.with_name(f".{output.name}.{os.getpid()}")
    write_textgrid(unfinished, found.phones, found.words)
    unfinished.replace(output)
    return time.process_time() - started, len(waveform) / SAMPLING_RATE, None


def failures(run: AlignmentRun, most: int = 10) -> Iterable[str]:
    """One line per utterance that failed, up to ``most`` of them."""
    shown = list(run.failed.items())[:most]
    yield from (f"{utterance}: {problem}" for utterance, problem in shown)
    if len(run.failed) > most:
        yield f"... and {len(run.failed) - most} more"
