"""Every study on every kind of model: right numbers, and the heads that are there under their own numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from sat_probe import HeadReport, analyze_model, head_importance, load_corpus, read_audio, refine, segment_model
from sat_probe.models.auto import AutoProbedModel
from sat_probe.models.probed import ProbedModel
from sat_probe.studies.importance.options import Options
from sat_probe.studies.segmentation.sources import Settings
from sat_probe.studies.utterance_analysis import analyze_utterance
from tests.local_hub import LocalHub
from tests.models.tiny_models import tiny_model
from tests.reference import head_metrics_slowly

LAYERS, HEADS = 3, 4
SOME = [(0, 1), (1, 3), (2, 0)]
A_LAYER = [(0, 2), *((1, head) for head in range(HEADS))]


@dataclass(frozen=True)
class Kind:
    """A kind of model as a user has it, and what is true of it.

    Attributes:
        model: what the studies are given.
        options: beside it, such as the revision.
        truth: the same model in float32, opened apart.
        name: what reports call it.
        removed: heads it lacks.
        facts: further entries of the provenance.
    """

    model: Any
    truth: ProbedModel
    name: str
    options: dict[str, Any] = field(default_factory=dict)
    removed: tuple[tuple[int, int], ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def present(self) -> list[tuple[int, int]]:
        """(layer, head) of the heads that are there."""
        every = [(layer, head) for layer in range(LAYERS) for head in range(HEADS)]
        return [one for one in every if one not in self.removed]


def _folder(tmp_path: Path, **changes: Any) -> Kind:
    model = tiny_model("mockingjay")
    changed = refine(model, **changes) if changes else model
    changed.save_pretrained(tmp_path / "my-model")
    removed = tuple(changes.get("remove", ()))
    return Kind(str(tmp_path / "my-model"), deepcopy(changed), "my-model", removed=removed)


def _ctc(dtype: torch.dtype = torch.float32) -> Wav2Vec2ForCTC:
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
    front = {"conv_dim": (16,) * 7, "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 4}
    return Wav2Vec2ForCTC(Wav2Vec2Config(**shape, **front, intermediate_size=48, vocab_size=5)).to(dtype)


def _in_memory(dtype: torch.dtype) -> Kind:
    model = _ctc(dtype).train()
    truth = AutoProbedModel.from_model(deepcopy(model).float().eval())
    facts = {} if dtype == torch.float32 else {"dtype": "float32", "stored_dtype": "bfloat16"}
    return Kind(model, truth, "Wav2Vec2ForCTC", facts=facts)


def _from_hub(hub: LocalHub) -> Kind:
    model = tiny_model("mockingjay")
    commit = model.push_to_hub("me/tiny", license="apache-2.0").commit
    return Kind("me/tiny", model, "me/tiny", {"revision": commit}, facts={"revision": commit})


KINDS: dict[str, Callable[[Path, LocalHub], Kind]] = {
    "intact": lambda tmp_path, hub: _folder(tmp_path),
    "heads removed": lambda tmp_path, hub: _folder(tmp_path, remove=SOME),
    "a layer without heads": lambda tmp_path, hub: _folder(tmp_path, remove=A_LAYER),
    "limited span": lambda tmp_path, hub: _folder(tmp_path, span=3, span_mode="zero"),
    "in memory": lambda tmp_path, hub: _in_memory(torch.float32),
    "bfloat16": lambda tmp_path, hub: _in_memory(torch.bfloat16),
    "revision on the Hub": lambda tmp_path, hub: _from_hub(hub),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path, hub: LocalHub) -> Iterator[Kind]:
    """One kind of model; a model in memory must come out as it went in."""
    made = KINDS[request.param](tmp_path, hub)
    before = _state(made.model)
    yield made
    assert _state(made.model) == before


@pytest.fixture(scope="module")
def speech() -> Any:
    """Twelve bundled utterances of two speakers."""
    return load_corpus("bundled", limit=12)


def _state(model: Any) -> Any:
    """What a study may not change in a model that it was given."""
    if not isinstance(model, torch.nn.Module):
        return None
    return (
        [(name, module.training, len(module._forward_hooks)) for name, module in model.named_modules()],
        [
            (name, one.data_ptr(), one.requires_grad, one.dtype, one.double().sum().item())
            for name, one in model.named_parameters()
        ],
        model.config._attn_implementation,
    )


def attention_slowly(model: ProbedModel, waveform: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Softmax of q k / sqrt(d) of each head that is there, from the hidden states that enter its layer."""
    with torch.inference_mode():
        states = model.encode([waveform], output_hidden_states=True).hidden_states
        maps = {}
        for layer, heads in enumerate(model.present_heads):
            if not heads:
                continue
            module = model.attention_modules[layer]
            query, key = (
                projection(states[layer][0]).unflatten(-1, (len(heads), -1)).transpose(0, 1)
                for projection in (module.q_proj, module.k_proj)
            )
            weights = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(query.shape[-1]), dim=-1)
            maps |= {(layer, head): weights[at].numpy() for at, head in enumerate(heads)}
    return maps


def places(table: Any) -> list[tuple[int, int]]:
    return [(int(layer), int(head)) for layer, head in zip(table["layer"], table["head"], strict=True)]


def checked_provenance(report: HeadReport, kind: Kind, tmp_path: Path) -> None:
    assert report.provenance["model"] == kind.name
    assert report.provenance["corpus"] == "bundled"
    for name, value in kind.facts.items():
        assert report.provenance[name] == value, name
    report.save(tmp_path / "report", pictures=False)
    written = (tmp_path / "report" / "report.json").read_text()
    assert str(tmp_path) not in written, "a path of this machine"
    assert HeadReport.load(tmp_path / "report").equals(report)


def test_analyze_has_the_metrics_of_the_heads_that_are_there(kind, speech, tmp_path):
    report = analyze_model(kind.model, speech.limit(3), progress=False, replicates=20, **kind.options)
    assert places(report.heads) == kind.present
    slow = []
    for utterance in speech.limit(3):
        maps = attention_slowly(kind.truth, read_audio(utterance.audio, 16_000))
        slow.append(head_metrics_slowly([maps[place] for place in kind.present]))
    for metric in ("globalness", "verticality", "diagonality", "max_weight"):
        expected = np.mean([one[metric] for one in slow], axis=0)
        np.testing.assert_allclose(report.heads[metric], expected, atol=2e-4, err_msg=metric)
    for metric in ("globalness", "verticality", "diagonality"):
        assert sorted(report.heads[f"{metric}_rank"]) == list(range(1, len(kind.present) + 1))
    assert report.heads["category_stability"].between(0, 1).all()
    for name in ("relation_maps", "concentration"):
        assert set(places(report.tables[name])) == set(kind.present), name
    checked_provenance(report, kind, tmp_path)


def test_segment_scores_the_heads_that_are_there(kind, speech, tmp_path):
    few = Settings(alphas=(0.3,), betas=(1.0, 1.75))
    found = segment_model(kind.model, speech, counting="rasanen", settings=few, progress=False, **kind.options)
    scored = found.table[found.table["source"] == "attention"]
    assert sorted(places(scored)) == kind.present
    assert scored["r_value"].between(-1, 1).all()
    assert len(found.table[found.table["source"] == "hidden"]) == LAYERS + 1
    report = analyze_model(kind.model, speech.limit(3), progress=False, replicates=5, **kind.options)
    checked_provenance(found.added_to(report), kind, tmp_path)


def test_importance_removes_the_heads_that_are_there(kind, speech, tmp_path):
    options = Options(
        tasks=["phones_linear"],
        rankings=["globalness", "random", "gradient"],
        spans=[],
        steps=1,
        modes=["frozen"],
        random_seeds=1,
        missing_phones="ignore",
    )
    report = head_importance(kind.model, speech, options, progress=False, **kind.options)
    assert places(report.heads) == kind.present
    table = report.tables["importance"]
    last = table[table["removed"] == len(kind.present)]
    assert set(last["ranking"]) == set(options.rankings)
    for heads in last["heads"]:
        assert sorted(heads.split(",")) == sorted(f"{layer}.{head}" for layer, head in kind.present)
    assert last["value"].nunique() == 1, "without any head the order no longer counts"
    checked_provenance(report, kind, tmp_path)


def test_refine_removes_one_more_head(kind, speech):
    gone = kind.present[-1]
    small = refine(kind.model, remove=[gone], **kind.options)
    kept = [(layer, head) for layer, heads in enumerate(small.present_heads) for head in heads]
    assert kept == [place for place in kind.present if place != gone]
    waveform = read_audio(next(iter(speech)).audio, 16_000)
    mask = torch.ones(LAYERS, HEADS)
    mask[gone] = 0
    expected = kind.truth.encode([waveform], head_mask=mask).last_hidden_state
    torch.testing.assert_close(small.encode([waveform]).last_hidden_state, expected, atol=2e-5, rtol=0)


def test_compare_pairs_the_heads_of_both(kind, speech):
    report = analyze_model(kind.model, speech.limit(2), progress=False, replicates=5, **kind.options)
    intact = analyze_model(tiny_model("mockingjay"), speech.limit(2), progress=False, replicates=5)
    table = intact.compare(report)
    assert places(table) == kind.present
    np.testing.assert_allclose(
        table["globalness_difference"],
        report.heads["globalness"].to_numpy()
        - intact.heads.set_index(["layer", "head"]).loc[kind.present, "globalness"].to_numpy(),
        atol=1e-12,
    )


def test_the_analysis_of_the_demo_has_the_heads_that_are_there(kind, speech):
    waveform = read_audio(next(iter(speech)).audio, 16_000)
    found = analyze_utterance(kind.truth, waveform)
    assert places(found.report.heads) == kind.present
    slow = attention_slowly(kind.truth, waveform)
    expected = head_metrics_slowly([slow[place] for place in kind.present])
    np.testing.assert_allclose(found.report.heads["diagonality"], expected["diagonality"], atol=2e-4)
    assert found.head in kind.present
    np.testing.assert_allclose(found.weights, slow[found.head], atol=1e-4)


def test_a_report_comes_back_from_the_hub(kind, speech):
    report = analyze_model(kind.model, speech.limit(2), progress=False, replicates=5, **kind.options)
    report.push_to_hub("me/heads")
    back = HeadReport.from_hub("me/heads", kind.name)
    assert places(back.heads) == kind.present
    assert back.heads.equals(report.heads)
    for name, value in kind.facts.items():
        assert back.provenance[name] == value, name
