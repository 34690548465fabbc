"""Presets: all that come with the package are valid and pinned, and a wrong one is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from sat_probe.configs import available_configs
from sat_probe.errors import ConfigurationError
from sat_probe.measures.boundaries import hits
from sat_probe.phones.corpora.config import find_config
from sat_probe.studies.choices import CorpusChoice, Counting, ModelChoice, Scoring
from sat_probe.studies.presets import load_preset

GOOD = """
description: d
model: org/name
revision: 0123456789012345678901234567890123456789
dataset: timit
phone_set: timit-39
tolerance: 0.02
counting: strict
"""


def test_the_families_are_there() -> None:
    assert set(available_configs("analysis")) == {
        "data2vec-audio",
        "hubert-base",
        "mockingjay",
        "wav2vec2-base",
        "wavlm-base-plus",
        "whisper-base",
    }


@pytest.mark.parametrize("name", available_configs("analysis"))
def test_presets_are_valid_and_name_a_known_corpus(name: str) -> None:
    preset = load_preset(name)
    assert (preset.revision is None) == (preset.model == "bundled")
    assert find_config(preset.dataset) is not None


def test_own_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD + "limit: 5\n")
    preset = load_preset(path)
    assert (preset.model, preset.limit, preset.split) == ("org/name", 5, None)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("model:", "modle:", r"unknown key modle; did you mean model\?"),
        ("revision: 0123456789012345678901234567890123456789", "", "revision is needed for a model on the Hub"),
        ("revision: 0123456789012345678901234567890123456789", "revision: main", "full commit"),
        ("tolerance: 0.02", "tolerance: 20", "in seconds, between 0 and 1, found 20"),
        ("counting: strict", "counting: kind", "counting must be one of rasanen, strict, lenient, found 'kind'"),
        ("phone_set: timit-39", "phone_set: timit-40", "phone_set"),
        ("dataset: timit", "dataset: timit\nlimit: 0", "limit must be at least 1"),
        ("tolerance: 0.02", "", "missing key tolerance"),
    ],
)
def test_a_wrong_preset_is_refused_by_name(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_preset(path)
    assert "mine.yaml" in str(caught.value)


def test_what_is_given_wins_over_the_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD + "limit: 5\nsplit: test\nallow_pickle: true\n")
    preset = load_preset(path)
    assert preset.fill(ModelChoice(device="cpu")) == ModelChoice(
        "org/name", revision="0123456789" * 4, allow_pickle=True, device="cpu"
    )
    assert preset.fill(ModelChoice("org/other")) == ModelChoice("org/other")
    assert preset.fill(ModelChoice(revision="main")).revision == "main"
    assert preset.fill(CorpusChoice()) == CorpusChoice("timit", split="test", limit=5, phone_set="timit-39")
    assert preset.fill(CorpusChoice(limit=2, split="dev")) == CorpusChoice(
        "timit", split="dev", limit=2, phone_set="timit-39"
    )
    assert preset.fill(CorpusChoice("recordings")) == CorpusChoice("recordings", limit=5)
    assert preset.fill(Scoring()) == Scoring("strict", 0.02)
    assert preset.fill(Scoring("lenient", 0.0)) == Scoring("lenient", 0.0)


def test_the_bundled_preset_names_what_comes_with_the_package() -> None:
    preset = load_preset("mockingjay")
    assert preset.fill(ModelChoice()).is_bundled
    assert preset.fill(CorpusChoice()).dataset == "bundled"


def test_counting_rules_are_those_of_the_score() -> None:
    assert get_args(Counting) == get_args(hits.Counting)
