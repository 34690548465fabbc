"""Configurations: values are read exactly, and anything the schema does not have is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from sat_probe.configs import load_config, parse_config
from sat_probe.errors import ConfigurationError


@dataclass(frozen=True)
class Inner:
    tolerance: float = 0.02
    counting: Literal["rasanen", "strict"] = "rasanen"


@dataclass(frozen=True)
class Outer:
    model: str
    limit: int | None = None
    steps: tuple[int, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    fast: bool = False
    folder: Path | None = None
    inner: Inner = field(default_factory=Inner)


def read(tmp_path: Path, text: str) -> Outer:
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return load_config("analysis", path, Outer)


def test_every_kind_of_value_is_read(tmp_path: Path) -> None:
    text = """
model: org/name
limit: 3
steps: [1, 2]
names: {a: b}
fast: true
folder: x/y
inner: {tolerance: 1e-2, counting: strict}
"""
    assert read(tmp_path, text) == Outer("org/name", 3, (1, 2), {"a": "b"}, True, Path("x/y"), Inner(0.01, "strict"))


def test_defaults_and_null(tmp_path: Path) -> None:
    assert read(tmp_path, "model: m\nlimit: null\n") == Outer("m")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: m\nlimt: 3", r"unknown key limt; did you mean limit\? known keys: fast, folder"),
        ("model: m\ninner: {tolerence: 1}", r"unknown key inner\.tolerence; did you mean inner\.tolerance\?"),
        ("limit: 3", r"missing key model$"),
        ("model: 3", r"model must be text, found 3"),
        ("model: m\nlimit: three", r"limit must be a whole number, found 'three'"),
        ("model: m\nlimit: true", r"limit must be a whole number, found True"),
        ("model: m\nfast: 1", r"fast must be true or false, found 1"),
        ("model: m\nsteps: [1, x]", r"steps\[1\] must be a whole number, found 'x'"),
        ("model: m\nsteps: 4", r"steps must be a list, found 4"),
        ("model: m\ninner: {tolerance: .nan}", r"inner\.tolerance must be a number, found nan"),
        ("model: m\ninner: {counting: fair}", r"inner\.counting must be one of rasanen, strict, found 'fair'"),
        ("model: m\ninner: 7", r"inner must be a mapping of keys to values, found 7"),
        ("model: m\nmodel: n", r"the key 'model' is given twice \(line 2\)"),
        ("- model", r"must be a mapping"),
        ("model: [", r"cannot read the analysis configuration .*mine\.yaml"),
    ],
)
def test_errors_name_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read .*absent\.yaml: No such file"):
        load_config("analysis", tmp_path / "absent.yaml", Outer)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigurationError, match=r"no analysis configuration is called 'hubert-bse'; did you mean 'hubert-base'\?"
    ):
        load_config("analysis", "hubert-bse", Outer)


def test_unknown_kind() -> None:
    with pytest.raises(ConfigurationError, match="no 'nonsense' configurations are installed"):
        load_config("nonsense", "x", Outer)


def test_errors_of_a_schema_name_the_file() -> None:
    @dataclass(frozen=True)
    class Picky:
        size: int

        def __post_init__(self) -> None:
            if self.size < 0:
                raise ConfigurationError(f"size must not be negative, found {self.size}")

    with pytest.raises(ConfigurationError, match=r"^here: size must not be negative, found -1$"):
        parse_config({"size": -1}, Picky, source="here")
