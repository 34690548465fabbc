"""A bar that counts utterances also moves within a long one, and the numbers stay what they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import soundfile

from sat_probe import analyze_model
from sat_probe.studies.corpus_pass import head_pass as corpus_pass
from sat_probe.studies.corpus_pass import utterance_progress as headway
from tests.models.tiny_models import tiny_model


class Bar:
    """A bar that remembers what was written on it."""

    disable = False

    def __init__(self, written, **options):
        self.written, self.n = written, 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def update(self, count):
        self.n += count

    def set_postfix_str(self, text, refresh=True):
        if text:
            self.written.append(text)


def test_progress_moves_within_a_long_utterance(tmp_path, monkeypatch):
    noise = 0.1 * np.random.default_rng(0).standard_normal(16_000 * 4)
    soundfile.write(tmp_path / "long.wav", noise, 16_000)
    soundfile.write(tmp_path / "short.wav", noise[:8000], 16_000)
    monkeypatch.setattr("sat_probe.studies.corpus_pass.batches.BATCH_SECONDS", 4.0)
    model, written = tiny_model("mockingjay"), []
    silent = analyze_model(model, tmp_path, progress=False, replicates=2)
    monkeypatch.setattr(corpus_pass, "SHOWN_FROM", 2.0)
    monkeypatch.setattr(headway, "_INTERVAL", 0.0)
    monkeypatch.setattr(corpus_pass, "tqdm", lambda **options: Bar(written, **options))
    shown = analyze_model(model, tmp_path, replicates=2)
    pd.testing.assert_frame_equal(shown.heads, silent.heads)
    shares = [int(text.split(": ")[1].split("%")[0]) for text in written]
    assert all(text.startswith("long: ") and text.endswith(" left") for text in written)
    assert shares == sorted(shares)
    assert len(shares) >= 3
    assert shares[-1] == 100
