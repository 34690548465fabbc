"""Make the phone probe of the demo's Ablate tab: a classifier of phones from hidden states of the bundled model.

    python scripts/make_phone_probe.py PATH/TO/speechocean762 --alignments FOLDER

The corpus (https://www.openslr.org/101, free with attribution) is aligned by sat-probe's forced aligner; FOLDER keeps
the TextGrids, which makes later runs minutes faster. Run it again when the bundled model changes: a probe stores the
digest of the weights it was trained on, and the demo does not use one that does not fit. TIMIT must not be used; its
licence forbids it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sat_probe.models.probed import ProbedModel
from sat_probe.phones.align_corpus import align_corpus
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.phones.phone_set import SILENCE
from sat_probe.studies.choices import ModelChoice
from sat_probe.studies.inputs import open_model, weights_digest
from sat_probe.studies.probing.features import Ablation, write_features
from sat_probe.studies.probing.phone_probe import PhoneProbe, phone_probe_folder
from sat_probe.studies.probing.prepared import PARTS, ProbingCorpus, collect
from sat_probe.studies.probing.probe import Score, mean_score, train_probe
from sat_probe.studies.probing.tasks import CLASSIFICATIONS

NAME = "speechocean762"
PHONE_SET = "arpabet-39"
TASK = CLASSIFICATIONS["phones_hidden"]
LAYER = -1  # the last, from which the speech is reconstructed too
DEV = 10  # every tenth training speaker is held out for early stopping
SILENCE_KEPT = 4  # every fourth frame of silence is used for training
CREDIT = (
    'Zhang et al., "speechocean762: An Open-Source Non-native English Speech Corpus For Pronunciation Assessment", '
    "Interspeech 2021; https://www.openslr.org/101; free for commercial and non-commercial use, with attribution"
)
PLACES = {"strangers": "speechocean762, test speakers", "bundled": "bundled speech"}

README = """# Phone probe of the bundled model

A classifier with one hidden layer that predicts {phones} phones (the set `{phone_set}`) from the last hidden state of
the bundled Mockingjay, frame by frame. The demo's Ablate tab uses it to show the effect of ablations on phones.
`probe.json` contains a digest of the weights it was trained on; it is meaningless for other weights.

Training data: read English by speakers whose first language is Mandarin, many of them children: {credit}.
The phone labels were made by `sat-probe align` (PocketSphinx) from text and audio; they are not hand labels.

| part | speakers | utterances | frames |
|---|---|---|---|
{parts}

| speech | frames | number | accuracy | 95 % interval over utterances | most frequent phone |
|---|---|---|---|---|---|
{scores}

Neither the probe nor the model was trained on the test speakers. The bundled voices are synthetic and native, and
labelled by the synthesizer.

Written by `python scripts/make_phone_probe.py`.
"""


def chosen(corpus: Corpus, per_speaker: int) -> Corpus:
    """Return at most `per_speaker` utterances of each speaker, chosen by a hash; only aligned ones if there are any."""
    table = corpus.dataset.select_columns(["id", "speaker", "aligned"])[:]
    some_aligned = any(table["aligned"])
    groups: dict[str, list[tuple[bytes, int]]] = defaultdict(list)
    for index, (name, speaker, aligned) in enumerate(zip(*table.values(), strict=True)):
        if aligned or not some_aligned:
            groups[speaker].append((blake2b(name.encode(), digest_size=8).digest(), index))
    kept = sorted(index for group in groups.values() for _, index in sorted(group)[:per_speaker])
    return Corpus(corpus.name, corpus.split, corpus.dataset.select(kept), corpus.phone_set, corpus.folder)


def parts_by_speaker(corpus: ProbingCorpus, tested: Iterable[str]) -> NDArray[np.int64]:
    """Return the part of each utterance, (utterances,) indices into PARTS; no speaker is in two parts."""
    of_speaker = [
        PARTS.index("test" if name in set(tested) else "dev" if index % DEV == DEV - 1 else "train")
        for index, name in enumerate(corpus.speaker_names)
    ]
    return np.array(of_speaker)[corpus.speakers]


def thinned(corpus: ProbingCorpus) -> ProbingCorpus:
    """Return the corpus without most of its training silence, which is two fifths of all frames."""
    silent = corpus.phones == corpus.phone_names.index(SILENCE)
    learned_from = ~corpus.in_part("test")[corpus.frame_utterances]
    rows = np.flatnonzero(silent & learned_from)
    phones = corpus.phones.copy()
    phones[rows[np.arange(len(rows)) % SILENCE_KEPT != 0]] = -1
    return replace(corpus, phones=phones)


def learned(model: ProbedModel, corpus: ProbingCorpus, features: NDArray[np.float32]) -> PhoneProbe:
    """Return a probe trained on the training part."""
    probe = train_probe(TASK, corpus, features)
    known = np.unique(corpus.phones[corpus.in_part("train")[corpus.frame_utterances] & (corpus.phones >= 0)])
    return PhoneProbe(probe, tuple(corpus.phone_names[code] for code in known), LAYER, weights_digest(model), {})


def scores_of(
    probe: PhoneProbe, corpus: ProbingCorpus, features: NDArray[np.float32], used: NDArray[np.bool_]
) -> dict[str, tuple[Score, float]]:
    """Return the accuracy on all frames and on speech frames, each with that of the most frequent phone."""
    owners, names = corpus.frame_utterances, np.array(corpus.phone_names)
    with torch.no_grad():
        read = np.array(probe.phones)[probe.probe(torch.from_numpy(np.array(features))).argmax(-1).numpy()]
    spoken = names[corpus.phones]
    labelled = used[owners] & (corpus.phones >= 0)
    found = {}
    for name, rows in (("all", labelled), ("speech", labelled & (spoken != SILENCE))):
        right = (read == spoken)[rows].astype(float)
        constant = np.unique(spoken[rows], return_counts=True)[1].max() / rows.sum()
        found[name] = mean_score(name, "accuracy", corpus.ids, owners[rows], right), float(constant)
    return found


def main() -> None:
    """Align the corpus, run the model, train and score the probe, and save it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path, help="folder of speechocean762, with train/, test/ and lexicon.txt")
    parser.add_argument("--alignments", type=Path, help="folder for the TextGrids")
    parser.add_argument("--per-speaker", type=int, default=8, help="most utterances of each speaker")
    parser.add_argument("--output", type=Path, default=phone_probe_folder())
    options = parser.parse_args()
    model = open_model(ModelChoice(device="cpu"))
    whole = load_corpus(NAME, data_dir=options.corpus)
    tested = set(load_corpus(NAME, data_dir=options.corpus, split="test").dataset["speaker"])
    keep = nullcontext(options.alignments) if options.alignments else tempfile.TemporaryDirectory()
    with keep as grids, tempfile.TemporaryDirectory() as scratch:
        run = align_corpus(
            chosen(whole, options.per_speaker),
            grids,
            lexicon=options.corpus / "lexicon.txt",
            num_proc=os.cpu_count() or 1,
        )
        print(f"{run.aligned} aligned, {run.present} there before, {len(run.failed)} failed")
        aligned = chosen(load_corpus(NAME, data_dir=options.corpus, alignments=grids), options.per_speaker)
        corpus = collect(model, aligned, Path(scratch) / "inputs", missing_phones="ignore")
        corpus = replace(corpus, parts=parts_by_speaker(corpus, tested))
        features = write_features(model, corpus, Path(scratch) / "states.npy", Ablation(), LAYER)
        probe = learned(model, thinned(corpus), features)
        strangers = scores_of(probe, corpus, features, corpus.in_part("test"))
        bundled = collect(model, load_corpus("bundled"), Path(scratch) / "bundled")
        features = write_features(model, bundled, Path(scratch) / "bundled.npy", Ablation(), LAYER)
        synthetic = scores_of(probe, bundled, features, np.ones(len(bundled.ids), bool))
    write(probe, corpus, {"strangers": strangers, "bundled": synthetic}, options.output)


def write(
    probe: PhoneProbe, corpus: ProbingCorpus, scores: dict[str, dict[str, tuple[Score, float]]], folder: Path
) -> None:
    """Write the folder of the probe: weights, description and README."""
    made: dict[str, object] = {"corpus": NAME, "credit": CREDIT}
    lines = []
    for place, frames in scores.items():
        for name, (score, constant) in frames.items():
            values = {"accuracy": score.value, "low": score.low, "high": score.high, "constant": constant}
            made[f"{place}_{name}"] = {key: round(value, 4) for key, value in values.items()} | {"frames": score.items}
            lines.append(
                f"| {PLACES[place]} | {name} | {score.items:,} | {score.value:.1%} | "
                f"{score.low:.1%} to {score.high:.1%} | {constant:.1%} |"
            )
    parts = []
    for part in PARTS:
        inside = corpus.in_part(part)
        speakers = len(set(corpus.speakers[inside].tolist()))
        parts.append(f"| {part} | {speakers} | {inside.sum():,} | {corpus.lengths[inside].sum():,} |")
    replace(probe, made=made).save(folder)
    page = README.format(
        phones=len(probe.phones), phone_set=PHONE_SET, credit=CREDIT, parts="\n".join(parts), scores="\n".join(lines)
    )
    (folder / "README.md").write_text(page, encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
