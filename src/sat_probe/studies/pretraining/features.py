"""Features of a corpus, computed once and kept in a memory-mapped Arrow file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sat_probe.audio import read_audio
from sat_probe.errors import AudioError, CorpusError

if TYPE_CHECKING:
    import pyarrow as pa

    from sat_probe.models.mockingjay import MockingjayFeatureExtractor
    from sat_probe.phones.corpora.corpus import Utterance

STORE_VERSION = 1  # counts up when the columns change, so that an older file is not read
_ROWS_IN_MEMORY = 64


class Utterances(Protocol):
    """What is read of a corpus: any sized iterable of utterances."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Utterance]: ...


@dataclass(frozen=True)
class FeatureStore:
    """Features of utterances, read as views of a memory-mapped file.

    Attributes:
        ids: utterance ids, in the order of the corpus.
        lengths: (utterances,) int64, frames of each.
        size: values per frame of the inputs.
        target_size: values per frame of the reconstruction targets.
        seconds: duration of all audio.
        skipped: one message for each file that could not be used.
    """

    ids: tuple[str, ...]
    lengths: NDArray[np.int64]
    size: int
    target_size: int
    seconds: float
    skipped: tuple[str, ...]
    _inputs: pa.ChunkedArray
    _targets: pa.ChunkedArray

    def __len__(self) -> int:
        return len(self.ids)

    def inputs(self, index: int) -> NDArray[np.float32]:
        """Features of one utterance, (frames, size) float32; read-only."""
        return _view(self._inputs, index).reshape(-1, self.size)

    def targets(self, index: int) -> NDArray[np.float32]:
        """What is to be reconstructed, (frames, target_size) float32; read-only."""
        targets = _view(self._targets, index)
        return targets.reshape(-1, self.target_size) if len(targets) else self.inputs(index)


def cache_root() -> Path:
    """Where features are kept unless a folder is named: $SAT_PROBE_CACHE, else the user's cache folder."""
    chosen = os.environ.get("SAT_PROBE_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "sat_probe"


def feature_store(
    utterances: Utterances,
    extractor: MockingjayFeatureExtractor,
    cache: Path | None = None,
    strict: bool = False,
    on_progress: Callable[[int], object] = lambda count: None,
) -> FeatureStore:
    """Open the features of these utterances, computing them if this is the first time.

    The file's name is a hash of the audio files (path, size, time of change), of the extractor's settings and of the
    versions that computed it; it appears only when it is complete.

    Args:
        utterances: what to featurise.
        extractor: how.
        cache: folder of the files, `cache_root()` by default.
        strict: raise at the first bad file instead of skipping it.
        on_progress: called with 1 after each utterance.

    Raises:
        AudioError: a file cannot be used and `strict` is set.
        CorpusError: none can.
    """
    from datasets import Dataset

    folder = (cache or cache_root()) / "features"
    path = folder / f"{_key(utterances, extractor)}.arrow"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _write(path, utterances, extractor, strict, on_progress)
    facts = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    table = Dataset.from_file(str(path)).data
    return FeatureStore(
        ids=tuple(table.column("id").to_pylist()),
        lengths=table.column("frames").to_numpy(),
        size=facts["size"],
        target_size=facts["target_size"],
        seconds=facts["seconds"],
        skipped=tuple(facts["skipped"]),
        _inputs=table.column("inputs"),
        _targets=table.column("targets"),
    )


def _key(utterances: Utterances, extractor: MockingjayFeatureExtractor) -> str:
    from sat_probe import __version__

    digest = hashlib.sha256()
    settings = {
        "extractor": extractor.to_dict(),
        "store": STORE_VERSION,
        "sat_probe": __version__,
        "numpy": np.__version__,
    }
    digest.update(json.dumps(settings, sort_keys=True, default=str).encode())
    for utterance in utterances:
        if isinstance(utterance.audio, bytes):
            digest.update(hashlib.sha256(utterance.audio).digest())
        else:
            status = utterance.audio.stat()
            digest.update(
                f"{utterance.id}|{utterance.audio}|{status.st_size}|{status.st_mtime_ns}\n".encode()
            )
    return digest.hexdigest()[:24]


def _write(
    path: Path,
    utterances: Utterances,
    extractor: MockingjayFeatureExtractor,
    strict: bool,
    on_progress: Callable[[int], object],
) -> None:
    from datasets import Features, List, Value
    from datasets.arrow_writer import ArrowWriter

    values = List(Value("float32"))
    columns = Features({"id": Value("string"), "frames": Value("int64"), "inputs": values, "targets": values})
    seconds, skipped, target_size = 0.0, [], extractor.feature_size
    # named by the process, so that two runs that start together do not write into one file
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with ArrowWriter(path=str(partial), features=columns, writer_batch_size=_ROWS_IN_MEMORY) as writer:
            for utterance in utterances:
                try:
                    samples = read_audio(utterance.audio, extractor.sampling_rate, utterance.id)
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
            if len(skipped) == len(utterances):
                raise CorpusError(
                    f"none of the {len(skipped)} audio files can be used; the first: {skipped[0]}"
                )
            writer.finalize()
        facts = {
            "size": extractor.feature_size,
            "target_size": target_size,
            "seconds": seconds,
            "skipped": skipped,
        }
        path.with_suffix(".json").write_text(json.dumps(facts), encoding="utf-8")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _row(
    utterance_id: str, samples: NDArray[np.float32], extractor: MockingjayFeatureExtractor
) -> dict[str, Any]:
    inputs = extractor.extract(samples)
    targets = (
        extractor.extract(samples, target=True).ravel() if extractor.target_kind else np.zeros(0, np.float32)
    )
    return {"id": utterance_id, "frames": len(inputs), "inputs": inputs.ravel(), "targets": targets}


def _view(column: pa.ChunkedArray, index: int) -> NDArray[np.float32]:
    values: NDArray[np.float32] = column[index].values.to_numpy()
    return values
