"""TIMIT on disk, in the LDC's layout (TRAIN/DR1/FCJF0/SA1.WAV) and in that of NLTK's sample (dr1-fvmh0/sa1.wav)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sat_probe.errors import CorpusError
from sat_probe.phones.corpora.audio_files import walk_audio
from sat_probe.phones.record import Record

_REGIONS = tuple(f"dr{number}" for number in range(1, 9))


def is_timit(folder: Path) -> bool:
    """Whether a folder contains TIMIT in one of its two layouts."""
    sampled = any(re.fullmatch(r"dr[1-8]-\w+", path.name, re.IGNORECASE) for path in folder.iterdir())
    return sampled or bool(_split_folders(folder))


def scan_timit(folder: Path, split: str | None, drop_sa: bool) -> Iterator[Record]:
    """Records of TIMIT, sorted by split (train first) and path; ids are ``speaker-sentence``, in lower case.

    Args:
        folder: the corpus, or a folder at most two levels above its TRAIN and TEST.
        split: "train" or "test", the LDC's division; both by default.
        drop_sa: leave out the two SA sentences, which every speaker reads.

    Raises:
        CorpusError: if the split or one of its eight dialect regions is missing.
    """
    roots = _split_folders(folder)
    if not roots:
        if split is not None:
            raise CorpusError(
                f"{folder}: has no folder for the split {split!r}; the LDC's TRAIN and TEST are not in it"
            )
        roots = {"": folder}
    elif split is not None and split.lower() not in roots:
        raise CorpusError(f"{folder}: has no folder for the split {split!r}; found {', '.join(sorted(roots))}")
    else:
        _require_regions(folder, roots)
    for name in [split.lower()] if split is not None else sorted(roots, reverse=True):
        for path in walk_audio(roots[name]):
            record = _record(path)
            if record is not None and not (drop_sa and record.id.rsplit("-", 1)[1].startswith("sa")):
                yield record


def _split_folders(folder: Path) -> dict[str, Path]:
    """Split name -> folder, for an LDC tree at ``folder`` or up to two levels below it."""
    for pattern in ("", "*", "*/*", "*/*/*"):
        found = {
            path.name.lower(): path
            for path in (sorted(folder.glob(pattern)) if pattern else [folder])
            if path.name.lower() in ("train", "test") and path.is_dir() and _regions(path)
        }
        if found:
            return found
    return {}


def _regions(split: Path) -> set[str]:
    return {path.name.lower() for path in split.iterdir() if path.is_dir()} & set(_REGIONS)


def _require_regions(folder: Path, roots: dict[str, Path]) -> None:
    """Require all eight regions in both splits, or, in a small copy, in train and test together."""
    regions = {name: _regions(path) for name, path in roots.items()}
    if len(regions) == 2 and not regions["train"] & regions["test"]:
        regions = {"TRAIN and TEST": regions["train"] | regions["test"]}
    for name, present in regions.items():
        missing = [region.upper() for region in _REGIONS if region not in present]
        if missing:
            raise CorpusError(
                f"{folder}: {name.upper() if name in roots else name} lacks {', '.join(missing)}; "
                "copy TIMIT again as the LDC ships it"
            )


def _record(path: Path) -> Record | None:
    if path.name.count(".") > 1 and path.with_suffix("").is_file():
        return None  # SA1.WAV.wav, a converted copy beside SA1.WAV
    speaker = path.parent.name.lower().rsplit("-", 1)[-1]
    sentence = path.name.split(".")[0]
    beside = {
        candidate.suffix.lower(): candidate
        for ending in ("phn", "wrd", "txt", "PHN", "WRD", "TXT")
        if (candidate := path.with_name(f"{sentence}.{ending}")).is_file()
    }
    return Record(
        id=f"{speaker}-{sentence.lower()}",
        audio=str(path),
        speaker=speaker,
        gender=speaker[0] if speaker[0] in "fm" else None,
        text=_text(beside),
        alignment=str(beside[".phn"]) if ".phn" in beside else None,
    )


def _text(beside: dict[str, Path]) -> str | None:
    for suffix in (".txt", ".wrd"):  # .txt: "0 46797 She had ..."; .wrd: one "start end word" a line
        if suffix in beside:
            lines = beside[suffix].read_text(encoding="latin-1").splitlines()
            return " ".join(word for line in lines for word in line.split()[2:])
    return None
