"""Make the bundled speech: 40 short utterances by four voices of `flite`, with the phone times that flite prints.

    python scripts/make_speech.py                        (Debian: apt-get install flite)

Writes src/sat_probe/data/speech: NAME.flac, NAME.phn (start end label, in samples at 16 kHz, as in TIMIT;
CMUdict labels in lower case, `h#` for the silence at both ends, `pau` inside) and NAME.txt; metadata.csv for all.
"""

from __future__ import annotations

import csv
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

FOLDER = Path(__file__).resolve().parents[1] / "src" / "sat_probe" / "data" / "speech"
SAMPLING_RATE = 16_000
# The diphone voice kal16 stops before the end of its last pause; the others match their printed times to a frame.
LAST_PAUSE_SLACK = 0.2  # seconds

GENDERS = {"slt": "female", "rms": "male", "awb": "male", "kal16": "male"}
TEXTS = {
    "slt": (
        "The boy enjoyed a mouthful of warm cherry juice.",
        "Five thick fogs drifted over the harbour at dawn.",
        "Could you push the wooden cart through the garage?",
        "Her usual measure was a pinch of ground ginger.",
        "Zebras gather where the yellow grass grows high.",
        "A noisy crowd cheered for both young boxers.",
        "She thought the silver watch chain was a treasure.",
        "Please bring back the green umbrella, not the blue one.",
        "The judge chose a quiet village beside the ocean.",
        "Nothing moves as smoothly as an owl at night.",
    ),
    "rms": (
        "Joyful children chased the goose around the pool.",
        "The usher put a huge cushion under the chair.",
        "Rough winds shook the leaves of the old beech tree.",
        "They bathe their feet in the shallow brook each evening.",
        "My brother owns a vague map of southern Asia.",
        "A thin beige curtain hung over the window.",
        "Choose the right voice, and everyone will hear you.",
        "Warm bread, fresh butter, and plum jam were on the table.",
        "The pilot's vision was good enough for night flying.",
        "Yesterday's thunder woke the baby much too early.",
    ),
    "awb": (
        "Good cooks wash the vegetables before they boil them.",
        "Eight foxes hid behind a cluster of orange bushes.",
        "This decision was neither cheap nor easy to explain.",
        "The loud engine of the bus annoyed the nurse.",
        "Few people know how the leather shoe was joined.",
        "Both authors gave a long talk about jazz and rhythm.",
        "A sharp pencil lay on the edge of the oak desk.",
        "The valley was full of mist, sheep, and church bells.",
        "You should view the moon while the sky is clear.",
        "That azure vase would look nice on the shelf.",
    ),
    "kal16": (
        "Bright yellow birds fly south in the autumn.",
        "Her cousin found an unusual coin in the couch.",
        "The cook took the sugar out of the huge jar.",
        "Six thirsty horses drank from the river.",
        "They voyage together every other month.",
        "We heard a faint echo down in the mine shaft.",
        "The beaver chewed a path through the thicket.",
        "Joan wore a rouge dress and pearl earrings.",
        "Wash your hands with soap before you eat lunch.",
        "The engine hums, but the gauge shows zero.",
    ),
}


def synthesise(text: str, voice: str) -> tuple[NDArray[np.int16], list[tuple[float, str]]]:
    """Return samples at 16 kHz, and the end (seconds) and label of every phone."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as wave:
        spoken = subprocess.run(
            ["flite", "-voice", voice, "-psdur", "-t", text, "-o", wave.name],
            check=True,
            capture_output=True,
            text=True,
        )
        samples, rate = soundfile.read(wave.name, dtype="int16")
    if rate != SAMPLING_RATE:
        raise SystemExit(f"flite's voice {voice} speaks at {rate} Hz; its times would need resampling")
    pairs = [item.rsplit(":", 1) for item in spoken.stdout.split()]
    return samples, [(float(end), label) for label, end in pairs]


def segments(ends: list[tuple[float, str]], length: int) -> list[tuple[int, int, str]]:
    """Return intervals (start, end, label) in samples that cover the whole audio."""
    if not -0.01 <= ends[-1][0] - length / SAMPLING_RATE <= LAST_PAUSE_SLACK or ends[-1][1] != "pau":
        raise SystemExit(f"phones end at {ends[-1][0]} s, the audio at {length / SAMPLING_RATE} s")
    rows, start = [], 0
    for position, (seconds, phone) in enumerate(ends):
        last = position == len(ends) - 1
        end = length if last else round(seconds * SAMPLING_RATE)
        label = "ah" if phone == "ax" else phone
        rows.append((start, end, "h#" if phone == "pau" and (position == 0 or last) else label))
        start = end
    if any(start >= end for start, end, _ in rows):
        raise SystemExit("a phone without duration")
    return rows


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    metadata = []
    for voice, texts in TEXTS.items():
        for number, text in enumerate(texts, start=1):
            name = f"{voice}-{number:02d}"
            samples, ends = synthesise(text, voice)
            rows = segments(ends, len(samples))
            soundfile.write(FOLDER / f"{name}.flac", samples, SAMPLING_RATE, subtype="PCM_16")
            (FOLDER / f"{name}.phn").write_text("".join(f"{a} {b} {label}\n" for a, b, label in rows))
            (FOLDER / f"{name}.txt").write_text(text + "\n")
            metadata.append((f"{name}.flac", voice, GENDERS[voice], text))
    with (FOLDER / "metadata.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("file_name", "speaker", "gender", "text"))
        writer.writerows(metadata)


if __name__ == "__main__":
    main()
