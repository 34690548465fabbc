"""Small corpora on disk for the tests of this folder."""

from __future__ import annotations

import numpy as np
import soundfile


def write_audio(path, seconds=0.5, rate=16_000, **options):
    """A file of noise, in the format of its suffix unless said otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.random.default_rng(0).normal(scale=0.1, size=round(seconds * rate))
    soundfile.write(path, samples, rate, **options)
    return path


def write_ldc_timit(root, regions=range(1, 9), splits=("TRAIN", "TEST"), upper=True):
    """TIMIT as the LDC ships it: SPHERE audio that is called .WAV, with labels, words and text."""
    for split in splits:
        for region in regions:
            speaker = f"{'F' if split == 'TRAIN' else 'M'}AB{region}0"
            for sentence in ("SA1", f"SX{region}"):
                base = root / split / f"DR{region}" / speaker / sentence
                base = base if upper else root.joinpath(*(part.lower() for part in base.relative_to(root).parts))
                suffix = (lambda ending: f".{ending}") if upper else (lambda ending: f".{ending.lower()}")
                write_audio(base.with_suffix(suffix("WAV")), format="NIST", subtype="PCM_16")
                base.with_suffix(suffix("PHN")).write_text("0 2000 h#\n2000 4000 bcl\n4000 5000 b\n5000 8000 iy\n")
                base.with_suffix(suffix("WRD")).write_text("2000 8000 be\n")
                base.with_suffix(suffix("TXT")).write_text("0 8000 Be.\n")
    return root
