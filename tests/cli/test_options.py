"""The options of all commands: each group is spelled once, and each name has one meaning."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from types import UnionType
from typing import get_args, get_origin

import pytest
from typer.models import OptionInfo

from sat_probe.cli import COMMANDS
from sat_probe.cli.options import AUDIO_ONLY, CORPUS_OPTIONS, MODEL_OPTIONS, SCORING_OPTIONS, keywords, with_groups
from sat_probe.studies.choices import CorpusChoice, ModelChoice, Scoring

STUDIES = ("analyze", "segment", "importance", "refine")


def options_of(name):
    """By parameter: its type, and how it is spelled."""
    found = {}
    for parameter in inspect.signature(COMMANDS[name], eval_str=True).parameters.values():
        kind, info = parameter.annotation.__origin__, parameter.annotation.__metadata__[0]
        names = (info.default, *(info.param_decls or ())) if isinstance(info, OptionInfo) else ("an argument",)
        found[parameter.name] = (kind, names)
    return found


def basic(kind):
    """Text of a type, whether or not it is required or repeatable; paths are text."""
    if get_origin(kind) in (UnionType, list):
        return basic(next(one for one in get_args(kind) if one is not type(None)))
    return "text" if kind in (str, Path) else str(kind)


def test_every_field_of_a_choice_is_an_option():
    assert {*MODEL_OPTIONS} == {one.name for one in fields(ModelChoice)} | {"preset"}
    assert {*CORPUS_OPTIONS} == {one.name for one in fields(CorpusChoice)} - {"sampling_rate"}
    assert {*SCORING_OPTIONS} == {one.name for one in fields(Scoring)}


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_takes_both_groups(name):
    ours, expected = options_of(name), options_of("analyze")
    for field in {**MODEL_OPTIONS, **CORPUS_OPTIONS}:
        assert ours[field] == expected[field]


@pytest.mark.parametrize("name", STUDIES)
def test_every_study_can_be_strict_and_overwrite(name):
    assert {"strict", "overwrite", "seed", "as_json", "output"} <= {*options_of(name)}
    assert ("resume" in options_of(name)) is (name != "refine")  # which leaves nothing to continue from


@pytest.mark.parametrize("name", ["align", "pretrain"])
def test_commands_on_audio_alone_take_that_part_of_the_corpus_group(name):
    ours, expected = options_of(name), options_of("analyze")
    for field in AUDIO_ONLY[1:]:
        assert ours[field] == expected[field]
    assert "dataset" in ours


def test_the_demo_takes_the_model_group():
    ours, expected = options_of("demo"), options_of("analyze")
    for field in MODEL_OPTIONS:
        assert ours[field] == expected[field]


def test_an_option_is_spelled_and_typed_alike_wherever_it_occurs():
    seen = {}
    for command in COMMANDS:
        for parameter, (kind, names) in options_of(command).items():
            for name in names:
                if name.startswith("-"):
                    seen.setdefault(name, {}).setdefault((parameter, basic(kind)), []).append(command)
    assert {name: users for name, users in seen.items() if len(users) > 1} == {}


def test_groups_become_options_and_options_become_choices():
    given = {}

    @with_groups()
    def command(model: ModelChoice, corpus: CorpusChoice, scoring: Scoring, seed: int = 3) -> None:
        """Explain."""
        given.update(model=model, corpus=corpus, scoring=scoring, seed=seed)

    taken = inspect.signature(command).parameters
    assert [*taken] == [*MODEL_OPTIONS, *CORPUS_OPTIONS, *SCORING_OPTIONS, "seed"]
    assert command.__doc__ == "Explain."
    command(**{name: one.default for name, one in taken.items()} | {"preset": "hubert-base", "limit": 2})
    assert given["model"].model == "facebook/hubert-base-ls960"
    assert given["corpus"] == CorpusChoice(
        "librispeech-alignments", split="test_clean", limit=2, phone_set="arpabet-39"
    )
    assert given["scoring"] == Scoring("rasanen", 0.02)
    assert given["seed"] == 3


def test_a_study_hears_only_what_was_chosen():
    assert keywords(ModelChoice("m", device="cpu"), CorpusChoice(limit=2)) == {
        "model": "m",
        "device": "cpu",
        "limit": 2,
    }
