"""Feature cache: the features of a corpus, computed once and kept in a memory-mapped Arrow file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import Dataset, Features, List, Value
from datasets.arrow_writer import ArrowWriter
from numpy.typing import NDArray

from sat_probe.errors import AudioError, CorpusError
from sat_probe.files import write_atomically
from sat_probe.models.mockingjay import MockingjayFeatureExtractor
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.studies.corpus_pass.decoder_process import read_utterance

STORE_VERSION = 1  # raised when the columns change, so that older files are not read
_ROWS_IN_MEMORY = 64


@dataclass(frozen=True)
class FeatureStore:
    """Features of utterances, read as views of a memory-mapped file.

    Attributes:
        ids: utterance ids, in the order of the corpus.
        lengths: (utterances,) int64, frames per utterance.
        size: values per input frame.
        target_size: values per frame of the reconstruction targets.
        seconds: total duration of the audio.
        skipped: one message for each file that could not be used.
    """

    ids: tuple[str, ...]
    lengths: NDArray[np.int64]
    size: int
    target_size: int
    seconds: float
    skipped: list[str]
    _inputs: pa.ChunkedArray
    _targets: pa.ChunkedArray

    def __len__(self) -> int:
        return len(self.ids)

    def inputs(self, index: int) -> NDArray[np.float32]:
        """Return the features of one utterance, (frames, size) float32; read-only."""
        return self._inputs[index].values.to_numpy().reshape(-1, self.size)

    def targets(self, index: int) -> NDArray[np.float32]:
        """Return the reconstruction targets of one utterance, (frames, target_size) float32; read-only."""
        targets = self._targets[index].values.to_numpy()
        return targets.reshape(-1, self.target_size) if len(targets) else self.inputs(index)


def cache_root() -> Path:
    """Return the default cache folder: $SAT_PROBE_CACHE, else ~/.cache/sat_probe."""
    chosen = os.environ.get("SAT_PROBE_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "sat_probe"


def feature_store(
    corpus: Corpus,
    extractor: MockingjayFeatureExtractor,
    cache: Path | None = None,
    strict: bool = False,
    on_progress: Callable[[int], object] = lambda count: None,
) -> FeatureStore:
    """Open the features of a corpus, computing them the first time.

    The file is named after a hash of the audio files (path, size, modification time), the extractor's settings and the
    versions of sat-probe and NumPy; it appears only once it is complete.

    Args:
        corpus: utterances to compute features of.
        extractor: computes them.
        cache: folder of the cache, `cache_root()` by default.
        strict: raise at the first bad file instead of skipping it.
        on_progress: called with 1 after each utterance.

    Raises:
        AudioError: a file cannot be used and `strict` is set.
        CorpusError: no file can be used, or the corpus is streamed.
    """
    if corpus.is_streaming:
        raise CorpusError(f"{corpus.name}: pre-training needs the whole corpus; load it without streaming")
    folder = (cache or cache_root()) / "features"
    path = folder / f"{_key(corpus, extractor)}.arrow"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, corpus, extractor, strict, on_progress)
    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    table = Dataset.from_file(str(path)).data
    return FeatureStore(
        tuple(table.column("id").to_pylist()), table.column("frames").to_numpy(), **facts,
        _inputs=table.column("inputs"), _targets=table.column("targets"),
    )  # fmt: skip


def _key(corpus: Corpus, extractor: MockingjayFeatureExtractor) -> str:
    digest = hashlib.sha256()
    settings = {
        "extractor": extractor.to_dict(),
        "store": STORE_VERSION,
        "sat_probe": version("sat-probe"),
        "numpy": np.__version__,
    }
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    for utterance in corpus:
        if isinstance(utterance.audio, bytes):
            digest.update(hashlib.sha256(utterance.audio).digest())
        else:
            status = utterance.audio.stat()
            digest.update(f"{utterance.id}|{utterance.audio}|{status.st_size}|{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]


def _write(
    path: Path,
    corpus: Corpus,
    extractor: MockingjayFeatureExtractor,
    strict: bool,
    on_progress: Callable[[int], object],
) -> None:
    values = List(Value("float32"))
    columns = Features({"id": Value("string"), "frames": Value("int64"), "inputs": values, "targets": values})
    seconds, skipped, target_size = 0.0, [], extractor.feature_size
    # the process id keeps two runs that start together from writing into one file
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with ArrowWriter(path=str(partial), features=columns, writer_batch_size=_ROWS_IN_MEMORY) as writer:
            for utterance in corpus:
                try:
                    samples = read_utterance(utterance, extractor.sampling_rate)
                    row = _row(utterance.id, samples, extractor)
                except ValueError as error:  # AudioError is one
                    if strict:
                        raise AudioError(f"{utterance.id}: {error}") from error
                    skipped.append(f"{utterance.id}: {error}")
                else:
                    seconds += len(samples) / extractor.sampling_rate
                    target_size = len(row["targets"]) // row["frames"] or target_size
                    writer.write(row)
                on_progress(1)
            if len(skipped) == len(corpus):
                raise CorpusError(f"none of the {len(skipped)} audio files can be used; the first: {skipped[0]}")
            writer.finalize()
        size = extractor.feature_size
        facts = {"size": size, "target_size": target_size, "seconds": seconds, "skipped": skipped}
        write_atomically(path.with_suffix(".json"), json.dumps(facts).encode())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _row(utterance_id: str, samples: NDArray[np.float32], extractor: MockingjayFeatureExtractor) -> dict[str, Any]:
    inputs = extractor.extract(samples)
    targets = extractor.extract(samples, target=True) if extractor.target_kind else np.zeros(0, np.float32)
    return {"id": utterance_id, "frames": len(inputs), "inputs": inputs.ravel(), "targets": targets.ravel()}
