"""The configurations that come with the package."""

from __future__ import annotations

import pytest

from sat_probe.configs import available_configs, config_folder
from sat_probe.errors import ConfigurationError
from sat_probe.phones.corpora.config import find_config


@pytest.mark.parametrize("name", available_configs("datasets"))
def test_every_configuration_fits_the_schema(name):
    config = find_config(name)
    assert config is not None
    assert config.homepage.startswith("http")
    assert config.hub is not None or config.packaged is not None or "redistribution not permitted" in config.license


def test_other_names_have_no_configuration():
    assert find_config("my/folder") is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("layout: timit", "layout: timid", "layout must be one of timit, librispeech, audiofolder, folder"),
        ("phone_set: timit-39", "phone_set: timit-40", "no phone set is called 'timit-40'"),
        ("license:", "licence:", "unknown key licence; did you mean license"),
        ("splits:", "gaps: ignore\nsplits:", "gaps must be one of refuse, unlabelled, silence"),
    ],
)
def test_malformed_configurations_are_refused(tmp_path, old, new, message):
    text = (config_folder("datasets") / "timit.yaml").read_text()
    assert old in text
    (tmp_path / "mine.yaml").write_text(text.replace(old, new))
    with pytest.raises(ConfigurationError, match=rf"mine\.yaml.*{message}"):
        find_config(str(tmp_path / "mine.yaml"))
