"""Settings of a demo: the models on offer, and limits."""

from __future__ import annotations

import pytest

from sat_probe.demo.settings import BUNDLED_LABEL, DemoSettings, named_models
from sat_probe.errors import ConfigurationError
from sat_probe.studies.choices import ModelChoice


def test_only_listed_models_can_be_run():
    settings = DemoSettings()
    labels = list(settings.models)
    assert labels[0] == BUNDLED_LABEL
    assert settings.model(BUNDLED_LABEL) == ModelChoice()
    assert all(len(settings.model(label).revision or "") == 40 for label in labels[1:]), "presets are pinned"
    for asked in ("someone/evil", "../../etc", ""):
        with pytest.raises(ConfigurationError, match="not offered here"):
            settings.model(asked)


def test_models_are_labelled_without_the_path_of_their_folder(tmp_path):
    (tmp_path / "mine").mkdir()
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = str(tmp_path / "mine")
    assert named_models(["org/one", f"org/two@{commit}", folder, folder]) == {
        "org/one": ModelChoice("org/one"),
        f"org/two@{commit}": ModelChoice("org/two", commit),
        "mine": ModelChoice(folder),
    }
    (tmp_path / "other" / "mine").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="two models are named 'mine'"):
        named_models([folder, str(tmp_path / "other" / "mine")])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": {}}, "at least one model"),
        ({"max_seconds": 0}, "max_seconds must be positive"),
        ({"concurrency": -1}, "concurrency must be positive"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ConfigurationError, match=message):
        DemoSettings(**options)
