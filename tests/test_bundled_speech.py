"""The bundled speech: complete, with phone times that match the sound, and reproducible by its script."""

from __future__ import annotations

import csv
import importlib.util
import itertools
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
from scipy.signal import butter, sosfiltfilt

import sat_probe

SPEECH = Path(sat_probe.__file__).parent / "data" / "speech"
RATE = 16_000
STRIDENT = {"s", "sh", "z", "zh", "ch", "jh"}
VOWELS = frozenset("aa ae ah ao aw ay eh er ey ih iy ow oy uh uw".split())
CONSONANTS = frozenset("b ch d dh f g hh jh k l m n ng p r s sh t th v w y z zh".split())


def read_phn(path: Path) -> list[tuple[int, int, str]]:
    rows = (line.split() for line in path.read_text().splitlines())
    return [(int(start), int(end), label) for start, end, label in rows]


@pytest.fixture(scope="module")
def metadata() -> list[dict[str, str]]:
    with (SPEECH / "metadata.csv").open() as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    script = Path(__file__).resolve().parents[1] / "scripts" / "make_speech.py"
    spec = importlib.util.spec_from_file_location("make_speech", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_voices_utterances_and_phones(metadata):
    names = [row["file_name"] for row in metadata]
    assert sorted(names) == sorted(path.name for path in SPEECH.glob("*.flac"))
    assert len(names) == 40
    assert {row["speaker"] for row in metadata} == {"slt", "rms", "awb", "kal16"}
    labels = {label for path in SPEECH.glob("*.phn") for _, _, label in read_phn(path)}
    assert labels == VOWELS | CONSONANTS | {"h#", "pau"}
    assert sum(path.stat().st_size for path in SPEECH.iterdir()) < 4_000_000


def test_phones_cover_the_audio(metadata):
    for row in metadata:
        audio = SPEECH / row["file_name"]
        info, phones = soundfile.info(audio), read_phn(audio.with_suffix(".phn"))
        assert info.samplerate == RATE
        assert [phones[0][0], phones[-1][1]] == [0, info.frames]
        assert all(start < end for start, end, _ in phones)
        assert all(a[1] == b[0] for a, b in itertools.pairwise(phones))
        assert audio.with_suffix(".txt").read_text().strip() == row["text"]


@pytest.mark.parametrize("voice", ["slt", "rms", "awb", "kal16"])
def test_printed_times_match_the_sound(voice):
    """Energy above 3.8 kHz changes between a strident and a vowel: the median change is at the printed time."""
    band = butter(6, 3800, "high", fs=RATE, output="sos")
    offsets = []
    for audio in sorted(SPEECH.glob(f"{voice}-*.flac")):
        power = sosfiltfilt(band, soundfile.read(audio)[0]) ** 2
        energy = np.log(np.convolve(power, np.full(160, 1 / 160), "same")[::80] + 1e-8)
        phones = read_phn(audio.with_suffix(".phn"))
        for (_, end, left), (_, _, right) in itertools.pairwise(phones):
            if (left in STRIDENT and right in VOWELS) or (left in VOWELS and right in STRIDENT):
                first = end // 80 - 12
                offsets.append((first + best_step(energy[first : first + 25])) * 5 - end / 16)
    assert len(offsets) >= 15
    assert abs(np.median(offsets)) <= 12
    assert np.mean(np.abs(offsets) <= 25) >= 0.8


def best_step(curve: np.ndarray) -> int:
    """The cut of a curve into two parts that explains most of its variance."""
    cuts = range(2, len(curve) - 2)
    return min(cuts, key=lambda cut: curve[:cut].var() * cut + curve[cut:].var() * (len(curve) - cut))


@pytest.mark.skipif(shutil.which("flite") is None, reason="needs flite (Debian: apt-get install flite)")
def test_the_script_reproduces_the_speech(maker, tmp_path, monkeypatch):
    monkeypatch.setattr(maker, "FOLDER", tmp_path)
    monkeypatch.setattr(maker, "TEXTS", {voice: texts[:2] for voice, texts in maker.TEXTS.items()})
    maker.main()
    made = sorted(tmp_path.glob("*.flac"))
    assert len(made) == 8
    for audio in made:
        kept = SPEECH / audio.name
        assert np.array_equal(soundfile.read(audio, dtype="int16")[0], soundfile.read(kept, dtype="int16")[0])
        assert audio.with_suffix(".phn").read_text() == kept.with_suffix(".phn").read_text()


def test_the_script_refuses_times_that_do_not_fit(maker):
    with pytest.raises(SystemExit, match="phones end at 2.0 s, the audio at 1.0 s"):
        maker.segments([(0.5, "pau"), (2.0, "pau")], RATE)
