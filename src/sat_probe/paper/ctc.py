"""Small speech recogniser of another family, trained in minutes, for the control.

A Wav2Vec2-BERT (Barrault et al. 2023) learns to spell transcripts with CTC (Graves et al. 2006). It shows what training
does to attention and is not meant for recognising speech.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm.auto import tqdm
from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2BertConfig, Wav2Vec2BertForCTC, set_seed

from sat_probe.errors import AudioError, ConfigurationError, CorpusError
from sat_probe.files import write_atomically
from sat_probe.paper.plan import SmallCTC
from sat_probe.phones.corpora.corpus import Corpus
from sat_probe.studies.corpus_pass.decoder_process import read_utterance

ALPHABET = " 'ABCDEFGHIJKLMNOPQRSTUVWXYZ"  # class 0 is the blank, character i is class i + 1
HELD_OUT_SHARE = 0.05
CHECKPOINT_STEPS = 100
WARMUP_SHARE = 0.1
_CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Spelled:
    """Features (frames, size) float16 and the classes of the transcript, for each utterance."""

    features: list[NDArray[np.float16]]
    spelling: list[list[int]]

    def __len__(self) -> int:
        return len(self.features)


def new_ctc(shape: SmallCTC, seed: int) -> Any:
    """Return an untrained network whose weights depend on the seed alone.

    It has no dropout, so that a resumed training gives the same weights.
    """
    set_seed(seed)
    parts = ("hidden", "attention", "activation", "feat_proj", "conformer_conv", "final")
    config = Wav2Vec2BertConfig(
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=2 * shape.hidden_size,
        output_hidden_size=shape.hidden_size,
        vocab_size=len(ALPHABET) + 1,
        pad_token_id=0,
        ctc_loss_reduction="mean",
        ctc_zero_infinity=True,
        apply_spec_augment=False,
        layerdrop=0.0,
        **{f"{part}_dropout": 0.0 for part in parts},
    )
    return Wav2Vec2BertForCTC(config)


def ctc_extractor() -> Any:
    """Return the feature extractor: 80 mel bands, two frames stacked."""
    return SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80)


def train_ctc(corpus: Corpus, folder: Path, shape: SmallCTC, seed: int, progress: bool) -> None:
    """Train a recogniser on the transcripts of a corpus, and save it with a `run.json`.

    A killed training continues from the last checkpoint in the folder: the batch of a step depends on the seed and the
    step alone.

    Args:
        corpus: utterances with transcripts; a twentieth is held out.
        folder: folder of the model.
        shape: network and number of steps.
        seed: random seed for weights, batches and held-out utterances.
        progress: show a progress bar on standard error.

    Raises:
        CorpusError: if fewer than two utterances have a transcript and usable audio.
        ConfigurationError: if the checkpoint in the folder belongs to another training.
    """
    spelled = _spelled(corpus, shape.utterances, progress)
    order = np.random.default_rng(seed).permutation(len(spelled))
    held = max(1, round(HELD_OUT_SHARE * len(spelled)))
    testing, training = order[:held], order[held:]
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    model = new_ctc(shape, seed).train().to(device)
    optimiser = torch.optim.AdamW(model.parameters(), shape.learning_rate, weight_decay=0.01)
    warm = max(1, round(WARMUP_SHARE * shape.steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, (shape.steps - step) / max(1, shape.steps - warm))
    )
    parts: dict[str, Any] = {"model": model, "optimiser": optimiser, "schedule": schedule}
    folder.mkdir(parents=True, exist_ok=True)
    identity = {**asdict(shape), "seed": seed, "utterances": len(spelled), "corpus": corpus.digest}
    state: dict[str, Any] = {"step": 0, "losses": [], "seconds": 0.0, "identity": identity}
    if (folder / _CHECKPOINT).is_file():
        state = torch.load(folder / _CHECKPOINT, map_location=device, weights_only=True)
        if state.get("identity") != identity:
            raise ConfigurationError(
                f"{folder / _CHECKPOINT}: belongs to a training with other settings; delete it to start anew"
            )
        for name, part in parts.items():
            part.load_state_dict(state.pop(name))
    batches = _batches(spelled, training, shape.batch, seed)
    began = time.process_time()
    with tqdm(total=shape.steps, unit="step", desc="CTC", disable=not progress) as bar:
        for step, batch in zip(range(shape.steps), batches, strict=False):
            if step < state["step"]:
                bar.update()
                continue
            loss = model(**_tensors(spelled, batch, device)).loss
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            state["losses"].append(loss.item())
            state["step"] = step + 1
            bar.update()
            if (step + 1) % CHECKPOINT_STEPS == 0 and step + 1 < shape.steps:
                spent = {"seconds": state["seconds"] + time.process_time() - began}
                content = io.BytesIO()
                torch.save(state | spent | {name: part.state_dict() for name, part in parts.items()}, content)
                write_atomically(folder / _CHECKPOINT, content.getvalue())
    last = state["losses"][-max(1, len(state["losses"]) // 20) :]
    run = {
        **asdict(shape),
        "corpus": Path(corpus.name).name,
        "utterances": len(training),
        "held_out_utterances": len(testing),
        "seed": seed,
        "first_loss": state["losses"][0],
        "loss": float(np.mean(last)),
        "character_error_rate": character_error_rate(model.eval(), spelled, testing),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds": round(state["seconds"] + time.process_time() - began, 1),
    }
    model.save_pretrained(folder)
    ctc_extractor().save_pretrained(folder)
    (folder / "run.json").write_text(json.dumps(run, indent=2) + "\n", encoding="utf-8")
    (folder / _CHECKPOINT).unlink(missing_ok=True)


@torch.inference_mode()
def character_error_rate(model: Any, spelled: Spelled, utterances: Sequence[int] | NDArray[np.int64]) -> float:
    """Return the edits per character of the transcripts, with greedy decoding: the likeliest class of each frame,
    without repeats and blanks.
    """
    edits = characters = 0
    for index in utterances:
        inputs = _tensors(spelled, [int(index)], model.device)
        del inputs["labels"]
        scores = model(**inputs).logits
        likeliest = torch.unique_consecutive(scores[0].argmax(-1)).tolist()
        edits += edit_distance([one for one in likeliest if one], spelled.spelling[index])
        characters += len(spelled.spelling[index])
    return edits / characters


def edit_distance(first: Sequence[int], second: Sequence[int]) -> int:
    """Return the fewest insertions, deletions and replacements between two sequences (Levenshtein 1966)."""
    row = list(range(len(second) + 1))
    for i, one in enumerate(first, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(second, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (one != other))
    return row[-1]


def _spelled(corpus: Corpus, limit: int | None, progress: bool) -> Spelled:
    extractor = ctc_extractor()
    features, spelling = [], []
    for utterance in tqdm(corpus, unit="utt", desc="Features", disable=not progress):
        classes = [ALPHABET.index(letter) + 1 for letter in (utterance.text or "").upper() if letter in ALPHABET]
        if not classes:
            continue
        try:
            waveform = read_utterance(utterance, 16_000)
        except AudioError:
            continue
        values = extractor(waveform, sampling_rate=16_000, return_tensors="np")["input_features"][0]
        if len(values) < 2 * len(classes):  # CTC needs a frame per character, and a blank between equal ones
            continue
        features.append(values.astype(np.float16))
        spelling.append(classes)
        if limit is not None and len(features) == limit:
            break
    if len(features) < 2:
        raise CorpusError(
            f"{corpus.name}: {len(features)} utterances have a transcript and usable audio; at least two are "
            "needed, one to train on and one to hold out"
        )
    return Spelled(features, spelling)


def _batches(spelled: Spelled, training: NDArray[np.int64], size: int, seed: int) -> Iterator[list[int]]:
    """Yield batches of utterances of similar length without end, in a new order each epoch."""
    epoch = 0
    while True:
        rng = np.random.default_rng([seed, epoch])
        lengths = np.array([len(spelled.features[index]) for index in training])
        by_length = training[np.argsort(lengths * rng.uniform(0.9, 1.1, len(training)), kind="stable")]
        parts = [by_length[first : first + size].tolist() for first in range(0, len(by_length), size)]
        yield from (parts[index] for index in rng.permutation(len(parts)))
        epoch += 1


def _tensors(spelled: Spelled, batch: Sequence[int], device: torch.device) -> dict[str, Tensor]:
    """Return the model inputs of a batch: padded features, their mask, and classes padded with -100."""
    features = [torch.from_numpy(spelled.features[index].astype(np.float32)) for index in batch]
    classes = [torch.tensor(spelled.spelling[index]) for index in batch]
    mask = [torch.ones(len(one), dtype=torch.long) for one in features]
    pad = torch.nn.utils.rnn.pad_sequence
    tensors = {
        "input_features": pad(features, batch_first=True),
        "attention_mask": pad(mask, batch_first=True),
        "labels": pad(classes, batch_first=True, padding_value=-100),
    }
    return {name: tensor.to(device) for name, tensor in tensors.items()}
