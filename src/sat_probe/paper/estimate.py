"""How long a reproduction takes on this machine and what it leaves on disk, said before it starts.

Unit costs are measured on noise with a model of the plan's size (a step of training, a pass of the encoder, the
boundaries of an utterance, a step of a probe), then multiplied by steps, hours of the corpora and points of the curves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sat_probe.audio import audio_duration
from sat_probe.errors import SatProbeError
from sat_probe.paper.chain import Stage
from sat_probe.paper.plan import BoundarySetting, ProbedSpeech, ReproductionPlan, Speech
from sat_probe.phones.corpora.corpus import Corpus

TRAINED_FRAMES = 300  # of the measured training step
NOISE_SECONDS = 2.0
SAMPLED_FILES = 100  # whose durations stand for a corpus
PROBE_STEPS = 1200  # a probe usually stops before the most it may take
TYPICAL_HOURS = {
    "train-clean-360": 363.6,
    "train-clean-100": 100.6,
    "test": 1.4,
}  # where a corpus is not there


@dataclass(frozen=True)
class UnitCosts:
    """Seconds on this machine.

    Attributes:
        train_frame: forward and backward, per frame of a batch.
        encode_second: one pass with observers, per second of audio.
        boundary_second: by setting, boundaries of all sources per second of audio.
        probe_step: one step of one probe.
        ctc_step: one step of the control's other family.
        parameters: of one model.
        heads: of one model.
    """

    train_frame: float
    encode_second: float
    boundary_second: dict[str, float]
    probe_step: float
    ctc_step: float
    parameters: int
    heads: int


def measure_unit_costs(plan: ReproductionPlan) -> UnitCosts:
    """Time a model of the plan's size on noise: seconds for a small one, a minute for the paper's on one core."""
    import tempfile
    from pathlib import Path

    import torch

    from sat_probe.measures.bootstrap import PoissonBootstrap
    from sat_probe.measures.head_accumulator import HeadMetricsAccumulator
    from sat_probe.paper.ctc import new_ctc
    from sat_probe.studies.inputs import load_model
    from sat_probe.studies.pretraining.recipe import feature_extractor, model_config, new_model
    from sat_probe.studies.segmentation.sources import Settings, model_boundaries

    recipe = plan.pretraining.recipe()
    config = model_config(recipe.model)
    network = new_model(config, 0).train()
    features = torch.randn(1, TRAINED_FRAMES, config.feature_size)
    rows = TRAINED_FRAMES // config.downsample_rate
    batch = {
        "input_features": features,
        "attention_mask": torch.ones(1, TRAINED_FRAMES, dtype=torch.long),
        "mask_positions": torch.arange(rows)[None] % 7 == 0,
        "labels": torch.randn(1, TRAINED_FRAMES, config.target_size),
    }
    train = _timed(lambda: network(**batch).loss.backward())
    with tempfile.TemporaryDirectory(prefix="sat-probe-") as scratch:
        network.save_pretrained(scratch)
        feature_extractor(config).save_pretrained(scratch)
        model = load_model(Path(scratch))
    layers, heads = model.num_probed_layers, model.num_probed_heads
    noise = (
        np.random.default_rng(0).standard_normal(int(NOISE_SECONDS * model.sampling_rate)).astype(np.float32)
    )

    def observe() -> None:
        seen = HeadMetricsAccumulator(layers, heads, PoissonBootstrap(1000, 0))
        seen.begin(["noise"])
        model.encode([noise], observers=[seen])
        seen.end()

    def boundaries(setting: BoundarySetting) -> float:
        settings = Settings(features=setting.features, shifts=setting.shifts)
        return _timed(lambda: list(model_boundaries(model, noise, settings)), rounds=1) / NOISE_SECONDS

    probe = torch.nn.Sequential(
        torch.nn.Linear(config.hidden_size, 256), torch.nn.ReLU(), torch.nn.Linear(256, 40)
    )
    hidden = torch.randn(256, config.hidden_size)
    ctc = new_ctc(plan.control.ctc, 0).train()
    heard = {
        "input_features": torch.randn(plan.control.ctc.batch, 200, 160),
        "attention_mask": torch.ones(plan.control.ctc.batch, 200, dtype=torch.long),
        "labels": torch.randint(1, 28, (plan.control.ctc.batch, 20)),
    }
    return UnitCosts(
        train_frame=train / TRAINED_FRAMES,
        encode_second=_timed(observe) / NOISE_SECONDS,
        boundary_second={setting.name: boundaries(setting) for setting in plan.settings()},
        probe_step=_timed(lambda: probe(hidden).sum().backward()),
        ctc_step=_timed(lambda: ctc(**heard).loss.backward()),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        heads=layers * heads,
    )


def estimate_stages(plan: ReproductionPlan, stages: Sequence[Stage], costs: UnitCosts) -> list[Stage]:
    """The stages with their seconds and megabytes."""
    recipe = plan.pretraining.recipe()
    seconds = {
        name: corpus_seconds(speech) for name, speech in (("speech", plan.speech), ("phones", plan.phones))
    }
    frames = recipe.steps * recipe.batch_frames * recipe.accumulation
    hop = (recipe.model.hop_length or 200) / 16_000
    stored = seconds["speech"] / hop * recipe.model.feature_size * 4 / 1e6 / len(plan.models())
    weights = costs.parameters * 4 / 1e6
    ablated = {speech.name: _ablated_seconds(plan, speech, costs) for speech in plan.probing}
    control = 2 * (plan.control.seeds + 1) * costs.encode_second * 3 * plan.control.utterances

    def estimate(stage: Stage) -> Stage:
        kind = stage.name.partition("-")[0]
        if stage.name == "pretrain-ctc":
            cost = plan.control.ctc.steps * costs.ctc_step, 10.0
        elif kind == "pretrain":  # three checkpoints of weights and two moments, and the features
            cost = frames * costs.train_frame, 10 * weights + stored
        elif kind == "analysis":  # relation maps and their intervals double the pass
            cost = 2 * costs.encode_second * seconds["phones"] + 20, 0.2 * costs.heads
        elif kind == "segmentation":
            setting = next(one for one in costs.boundary_second if stage.name.endswith(one))
            cost = costs.boundary_second[setting] * seconds["phones"] + 10, 0.5
        elif kind == "importance":
            cost = (
                next(ablated[name] for name in ablated if stage.name.endswith(f"-{name}")),
                0.2 * costs.heads,
            )
        elif kind == "speed":
            cost = 5 * plan.speed.repeats * (8 + 5 * plan.speed.seconds * costs.encode_second), 0.1
        else:
            cost = control + 10, 1.0
        return replace(stage, seconds=cost[0], megabytes=cost[1])

    return [estimate(stage) for stage in stages]


def _ablated_seconds(plan: ReproductionPlan, speech: ProbedSpeech, costs: UnitCosts) -> float:
    """Curves of one model on one corpus."""
    ablations, tasks = plan.importance, speech.tasks or plan.importance.tasks
    points = 1 + ablations.steps * len(ablations.rankings) + len(ablations.spans)
    trained = points if "retrain" in ablations.modes else 1
    probes = trained * sum(task != "reconstruction" for task in tasks) * PROBE_STEPS * costs.probe_step
    return points * costs.encode_second * corpus_seconds(speech) + probes


def corpus_seconds(speech: Speech) -> float:
    """Audio of a corpus in seconds, from the durations of some of its files; typical ones if it is not there."""
    try:
        corpus = speech.load()
        count = len(corpus)
    except SatProbeError:
        if speech.split not in TYPICAL_HOURS:
            raise
        return 3600 * TYPICAL_HOURS[speech.split]
    return count * float(np.mean([_duration(corpus, index) for index in _spread(count)]))


def _spread(count: int) -> list[int]:
    return np.unique(np.linspace(0, count - 1, min(count, SAMPLED_FILES)).astype(int)).tolist()


def _duration(corpus: Corpus, index: int) -> float:
    audio: Any = corpus[index].audio
    return audio_duration(audio)


def _timed(work: Callable[[], Any], rounds: int = 5) -> float:
    """Seconds of the quickest round, which other work on the machine disturbed least."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)
