"""Reports that visitors may open; nothing else can be opened."""

from __future__ import annotations

import pytest

from sat_probe.demo.browse import published as module
from sat_probe.demo.browse.published import UNTRAINED_LABEL, PublishedReports, bundled_report
from sat_probe.demo.settings import BUNDLED_LABEL, DemoSettings
from sat_probe.errors import HubError, ReportError
from sat_probe.reports.head_report import push_report
from tests.hub.conftest import hub, only_loopback, sleeps  # noqa: F401
from tests.hub.made_reports import REVISION, made_report


def test_the_bundled_reports_are_always_offered():
    published = PublishedReports(DemoSettings())
    assert published.names == (BUNDLED_LABEL, UNTRAINED_LABEL)
    assert published.open(BUNDLED_LABEL) is bundled_report()
    assert published.models(BUNDLED_LABEL) == ()
    untrained = published.open(UNTRAINED_LABEL)
    assert len(untrained.compare(bundled_report())) == len(bundled_report().heads), "both have the same heads"
    assert untrained.heads["globalness"].min() > bundled_report().heads["globalness"].min()


def test_a_folder_goes_by_its_name_and_is_read_once(tmp_path):
    made_report().save(tmp_path / "mine", pictures=False)
    published = PublishedReports(DemoSettings(reports=(str(tmp_path / "mine"),)))
    assert published.names == (BUNDLED_LABEL, UNTRAINED_LABEL, "mine")
    first = published.open("mine")
    assert first.equals(made_report())
    assert published.open("mine") is first


@pytest.mark.parametrize("name", ["../mine", "/etc/passwd", "other/heads", "", "mine/../mine"])
def test_other_reports_cannot_be_opened(tmp_path, name):
    made_report().save(tmp_path / "mine", pictures=False)
    published = PublishedReports(DemoSettings(reports=(str(tmp_path / "mine"),)))
    for ask in (published.open, published.models):
        with pytest.raises(ReportError, match="not offered here"):
            ask(name)


def test_a_dataset_with_several_models(hub):  # noqa: F811
    for seed, model in enumerate(("org/one", "org/two")):
        push_report(made_report(model, seed=seed), "me/heads", pictures=False)
    published = PublishedReports(DemoSettings(reports=("me/heads", "me/heads:org/two")))
    assert published.models("me/heads") == (f"org/one@{REVISION}", f"org/two@{REVISION}")
    assert published.open("me/heads").equals(made_report("org/one", seed=0))
    assert published.open("me/heads", f"org/two@{REVISION}").equals(made_report("org/two", seed=1))
    assert published.models("me/heads:org/two") == ()
    assert published.open("me/heads:org/two").equals(made_report("org/two", seed=1))
    with pytest.raises(ReportError, match="no report of this model"):
        published.open("me/heads", "org/three@main")


def test_a_missing_repository_is_an_error_of_one_line(hub):  # noqa: F811
    published = PublishedReports(DemoSettings(reports=("me/nowhere",)))
    with pytest.raises(HubError, match="me/nowhere") as raised:
        published.open("me/nowhere")
    assert "\n" not in str(raised.value)


def test_cached_values_expire(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    published = PublishedReports(DemoSettings())
    read = iter(range(1000))
    assert [published.cached(("a",), lambda: next(read)) for _ in range(3)] == [0, 0, 0]
    now[0] = module.FRESH
    assert published.cached(("a",), lambda: next(read)) == 1
    for number in range(module.KEPT):
        published.cached((str(number),), lambda: None)
    assert published.cached(("a",), lambda: next(read)) == 2, "the oldest was dropped"
