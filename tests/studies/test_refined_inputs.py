"""Every study on models that lost heads, have a layer without heads, or a limited span."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch

from sat_probe import analyze_model, head_importance, refine, segment_model
from sat_probe.audio import read_audio
from sat_probe.errors import ModelError
from sat_probe.phones.corpora.opening import load_corpus
from sat_probe.reports.head_report import HeadReport
from sat_probe.studies.ablation_effect import ablation_effect
from sat_probe.studies.importance.options import Options
from sat_probe.studies.probing.features import Ablation
from sat_probe.studies.segmentation.sources import Settings
from tests.models.tiny_models import tiny_model
from tests.reference import head_metrics_slowly

FEW = Settings(alphas=(0.3,), betas=(1.0, 1.75))
REMOVED = {"heads": [(0, 1), (2, 0), (2, 3)], "layer": [(1, 0), (1, 1), (1, 2), (1, 3), (2, 2)], "span": []}


@pytest.fixture(scope="module")
def corpus():
    """One utterance of each of the four bundled speakers."""
    return load_corpus("bundled").shard(0, 10)


@pytest.fixture(scope="module", params=REMOVED)
def refined(request):
    span = 4 if request.param == "span" else None
    return refine(tiny_model("mockingjay"), REMOVED[request.param], span)


def heads_of(model):
    return [(layer, head) for layer, present in enumerate(model.present_heads) for head in present]


def listed(table):
    return list(zip(table["layer"], table["head"], strict=True))


class Maps:
    """An observer that keeps everything."""

    def __init__(self):
        self.rows = {}

    def observe(self, block):
        for index, head in enumerate(range(*block.heads.indices(block.heads.stop))):
            rows = block.weights[index].numpy().copy()
            self.rows.setdefault((block.layer, head), []).append(rows)

    def by_head(self):
        return np.stack([np.concatenate(self.rows[head]) for head in sorted(self.rows)])


def test_analysis_equals_loops_over_the_maps_of_present_heads(refined, tmp_path, corpus):
    for utterance in corpus:
        soundfile.write(tmp_path / f"{utterance.id}.wav", read_audio(utterance.audio)[:8000], 16_000, "FLOAT")
    heads = analyze_model(refined, tmp_path, progress=False, replicates=5).heads
    assert listed(heads) == heads_of(refined)
    slow = []
    for utterance in corpus:
        waveform = read_audio(utterance.audio)[:8000]
        if refined.limited_span is None:
            maps = refined.encode([waveform], output_attentions=True).attentions
            maps = torch.cat([one[0] for one in maps]).numpy()
        else:  # observers see attention before the limit
            seen = Maps()
            refined.encode([waveform], observers=[seen])
            maps = seen.by_head()
        slow.append(head_metrics_slowly(maps))
    for metric in ("globalness", "verticality", "diagonality", "max_weight"):
        expected = np.mean([one[metric] for one in slow], axis=0)
        np.testing.assert_allclose(heads[metric], expected, atol=1e-5)
    for metric in ("globalness", "verticality", "diagonality"):
        assert sorted(heads[f"{metric}_rank"]) == list(range(1, len(heads) + 1))


def test_relation_maps_have_rows_for_present_heads_only(refined, corpus):
    report = analyze_model(refined, corpus, progress=False, replicates=5)
    for name in ("relation_maps", "concentration", "relation_maps_by_class"):
        assert listed(report.tables[name].drop_duplicates(["layer", "head"])) == heads_of(refined)
    assert not report.tables["concentration"]["concentration"].isna().all()


def test_removal_in_the_last_layer_changes_no_other_head(corpus):
    model = tiny_model("mockingjay")
    smaller = refine(model, REMOVED["heads"][1:])
    intact, pruned = (analyze_model(one, corpus, progress=False, replicates=5) for one in (model, smaller))
    keys, metrics = ["layer", "head"], ["globalness", "verticality", "diagonality", "spread_ms_low"]
    kept = intact.heads.set_index(keys).loc[heads_of(smaller), metrics]
    pd.testing.assert_frame_equal(pruned.heads.set_index(keys)[metrics], kept, rtol=1e-5)
    options = {"counting": "strict", "settings": FEW, "progress": False}
    before, after = (segment_model(one, corpus, **options).table for one in (model, smaller))
    before, after = (one[one["source"] == "attention"].set_index(keys) for one in (before, after))
    assert sorted(after.index) == heads_of(smaller)
    columns = ["predictions", "hits"]
    pd.testing.assert_frame_equal(after[columns].sort_index(), before.loc[after.index, columns].sort_index())


def test_segmentation_scores_present_heads_and_all_hidden_states(refined, corpus, tmp_path):
    found = segment_model(refined, corpus, counting="rasanen", settings=FEW, output=tmp_path / "out", progress=False)
    table = found.table
    assert sorted(listed(table[table["source"] == "attention"])) == heads_of(refined)
    assert sorted(table[table["source"] == "hidden"]["layer"]) == [0, 1, 2, 3]
    report = HeadReport.load(tmp_path / "out")
    assert listed(report.heads) == heads_of(refined)
    assert len(report.tables["segmentation"]) == len(table)


def test_importance_removes_present_heads_only(refined):
    options = Options(
        tasks=["speakers_utterance"],
        rankings=["globalness", "weight", "gradient", "leave_one_out", "random"],
        spans=[2],
        steps=2,
        random_seeds=1,
        modes=["frozen"],
    )
    table = head_importance(refined, "bundled", options, limit=16, progress=False).tables["importance"]
    present = {f"{layer}.{head}" for layer, head in heads_of(refined)}
    everything = table[table["removed"] == len(present)]
    assert set(everything["ranking"]) == set(options.rankings)
    for heads in everything["heads"]:
        assert set(heads.split(",")) == present
    assert table["removed"].max() == len(present)
    assert table["value"].notna().all()


def test_the_effect_of_an_ablation(refined, corpus):
    waveform = read_audio(corpus[0].audio)
    layer, head = heads_of(refined)[0]
    effect = ablation_effect(refined, waveform, Ablation(frozenset({(layer, head)})))
    masked = refine(refined, [(layer, head)]).encode([waveform], output_hidden_states=True)
    intact = refined.encode([waveform], output_hidden_states=True)
    pairs = zip(masked.hidden_states, intact.hidden_states, strict=True)
    expected = [((one - other).norm() / other.norm()).item() for one, other in pairs]
    np.testing.assert_allclose(effect.relative_change, expected, atol=1e-5)
    for absent in set(REMOVED["heads"] + REMOVED["layer"]) - set(heads_of(refined)):
        with pytest.raises(ModelError, match=f"no head {absent[1]} in layer {absent[0]}"):
            ablation_effect(refined, waveform, Ablation(frozenset({absent})))


def test_a_report_of_segmentation_shows_no_path(tmp_path, corpus):
    tiny_model("mockingjay").save_pretrained(tmp_path / "tiny")
    options = {"counting": "strict", "settings": FEW, "progress": False}
    found = segment_model(str(tmp_path / "tiny"), corpus, output=tmp_path / "out", **options)
    for text in ((tmp_path / "out" / "report.json").read_text(), json.dumps(found.as_dict())):
        assert str(tmp_path) not in text
        assert '"tiny"' in text
    assert found.provenance["phone_set"] == corpus.phone_set.name
    assert (found.provenance["device"], found.provenance["dtype"]) == ("cpu", "float32")
    assert (found.provenance["skipped"], found.provenance["seconds"] > 0) == (0, True)
