"""Identity of a run."""

from __future__ import annotations

import inspect

import pytest

from sat_probe import analyze_model, refine, segment_model
from sat_probe.errors import ReportError
from sat_probe.studies.choices import StudyKeywords
from sat_probe.studies.corpus_pass.accumulation import Checkpoint
from sat_probe.studies.importance.options import Options
from sat_probe.studies.importance.study import head_importance
from sat_probe.studies.inputs import span_limit
from tests.models.tiny_models import tiny_model

QUICK = Options(tasks=["reconstruction"], rankings=["weight"], spans=[], steps=1)


def test_span_limit_is_part_of_the_identity():
    model = tiny_model("mockingjay")
    assert span_limit(model) == {}
    assert span_limit(refine(model, span=3)) == {"limited_span": [3, "mask"]}
    assert span_limit(refine(model, span=3, span_mode="zero")) == {"limited_span": [3, "zero"]}


def test_importance_refuses_points_of_another_span(tmp_path, monkeypatch):
    model = tiny_model("mockingjay")

    def cut_off(*args, **kwargs):
        raise InterruptedError

    monkeypatch.setattr("sat_probe.studies.importance.study.curve_table", cut_off)
    with pytest.raises(InterruptedError):
        head_importance(model, options=QUICK, output=tmp_path / "out", progress=False, limit=9)
    assert (tmp_path / ".out.importance.checkpoint.npz").is_file()
    limited = refine(model, span=1)  # of the same weights
    with pytest.raises(ReportError, match="another run, which differs in limited_span"):
        head_importance(limited, options=QUICK, output=tmp_path / "out", resume=True, progress=False, limit=9)


def test_analysis_identity_includes_the_span(tmp_path, monkeypatch):
    identities = []
    made = Checkpoint.__init__

    def noted(self, path, identity):
        identities.append(identity)
        made(self, path, identity)

    monkeypatch.setattr(Checkpoint, "__init__", noted)
    model = tiny_model("mockingjay")
    for number, one in enumerate((model, refine(model, span=1))):
        analyze_model(one, limit=2, replicates=2, output=tmp_path / str(number), progress=False)
    assert identities[0] != identities[1]


@pytest.mark.parametrize("study", [analyze_model, segment_model, head_importance])
def test_help_lists_the_keywords_that_all_studies_share(study):
    taken = inspect.signature(study).parameters
    assert all(taken[name].default is None for name in ("dataset", "limit", "device", "output"))
    assert taken["progress"].default is True
    assert "keywords" not in taken
    shown = study.__doc__
    assert all(f"\n    {name}: " in shown for name in StudyKeywords.__annotations__)


def test_an_unknown_keyword_is_named_before_anything_is_opened():
    with pytest.raises(TypeError, match=r"^unexpected keyword argument 'limt'; there are configuration, data_dir, "):
        analyze_model("nowhere/at-all", limt=2)
