"""Configurations: the YAML files of `hub_configs/`, checked against dataclasses."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from sat_probe.errors import ConfigurationError

Schema = TypeVar("Schema")

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}


def config_folder(kind: str) -> Path:
    """The folder of one kind of configuration ("analysis", "datasets", "pretraining", "templates").

    In an installed wheel it is inside the package, in a checkout at the root.
    """
    package = Path(__file__).resolve().parent
    for root in (package / "hub_configs", package.parents[1] / "hub_configs"):
        if (root / kind).is_dir():
            return root / kind
    raise ConfigurationError(
        f"no {kind!r} configurations are installed with sat_probe (looked next to {package}); reinstall the package"
    )


def available_configs(kind: str) -> tuple[str, ...]:
    """Sorted names (file stems) of the configurations of one kind that come with the package."""
    return tuple(sorted(path.stem for path in config_folder(kind).glob("*.yaml")))


def load_config(kind: str, name_or_path: str | Path, schema: type[Schema]) -> Schema:
    """Read one configuration, by its name in the package or by the path of a YAML file.

    Args:
        kind: folder under `hub_configs/`.
        name_or_path: "hubert-base", or a path that ends in .yaml or .yml.
        schema: a dataclass; fields without a default are required, nested dataclasses are nested mappings.

    Raises:
        ConfigurationError: if the name is unknown, the file cannot be read, a key is unknown, missing or given twice,
            or a value has the wrong type.
    """
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        known = available_configs(kind)
        if str(name_or_path) not in known:
            close = difflib.get_close_matches(str(name_or_path), known, n=1)
            hint = f"did you mean {close[0]!r}? " if close else ""
            raise ConfigurationError(
                f"no {kind} configuration is called {str(name_or_path)!r}; {hint}"
                f"there are: {', '.join(known)} (or give the path of a .yaml file)"
            )
        path = config_folder(kind) / f"{name_or_path}.yaml"
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_StrictLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(getattr(error, "problem", None) or getattr(error, "strerror", None) or error).split())
        raise ConfigurationError(f"cannot read the {kind} configuration {path}: {reason}") from error
    return parse_config(content, schema, source=str(path))


def parse_config(content: object, schema: type[Schema], source: str) -> Schema:
    """Build a dataclass from a parsed mapping; `source` names the file in error messages."""
    parsed: Schema = _dataclass(content, schema, source, prefix="")
    return parsed


class _StrictLoader(yaml.SafeLoader):
    """A loader that refuses keys given twice, of which PyYAML silently keeps the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag != "tag:yaml.org,2002:merge" and key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key_node.value!r} is given twice (line {key_node.start_mark.line + 1})"
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def _dataclass(content: object, schema: Any, source: str, prefix: str) -> Any:
    where = f"{source}: {prefix.rstrip('.')}" if prefix else source
    if not isinstance(content, Mapping):
        raise ConfigurationError(f"{where} must be a mapping of keys to values, found {_shown(content)}")
    hints = get_type_hints(schema)
    fields = {field.name: field for field in dataclasses.fields(schema) if field.init}
    for key in content:
        if key not in fields:
            close = difflib.get_close_matches(str(key), fields, n=1)
            hint = f"did you mean {prefix}{close[0]!s}? " if close else ""
            raise ConfigurationError(
                f"{source}: unknown key {prefix}{key!s}; {hint}known keys: {', '.join(sorted(fields))}"
            )
    missing = [
        prefix + name
        for name, field in fields.items()
        if name not in content and field.default is field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigurationError(f"{source}: missing key{'s' * (len(missing) > 1)} {', '.join(missing)}")
    values = {name: _value(value, hints[name], source, prefix + name) for name, value in content.items()}
    try:
        return schema(**values)
    except ConfigurationError as error:  # the checks of a schema do not know the file
        raise ConfigurationError(f"{source}: {error}") from error


def _value(value: object, kind: Any, source: str, key: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        choices = [argument for argument in arguments if argument is not type(None)]
        for choice in choices[:-1]:
            try:
                return _value(value, choice, source, key)
            except ConfigurationError:
                continue
        return _value(value, choices[-1], source, key)
    if origin is Literal:
        if value not in arguments or isinstance(value, bool) is not isinstance(arguments[0], bool):
            choices = [str(argument) for argument in arguments]
            raise ConfigurationError(f"{source}: {key} must be one of {', '.join(choices)}, found {_shown(value)}")
        return value
    if dataclasses.is_dataclass(kind):
        return _dataclass(value, kind, source, prefix=f"{key}.")
    if origin in (list, tuple):
        return _sequence(value, origin, arguments, source, key)
    if origin in (dict, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigurationError(f"{source}: {key} must be a mapping, found {_shown(value)}")
        return {
            _value(name, arguments[0], source, f"{key} (key)"): _value(entry, arguments[1], source, f"{key}.{name}")
            for name, entry in value.items()
        }
    return _scalar(value, kind, source, key)


def _sequence(value: object, origin: Any, arguments: tuple[Any, ...], source: str, key: str) -> Any:
    if not isinstance(value, list):
        raise ConfigurationError(f"{source}: {key} must be a list, found {_shown(value)}")
    of_one_kind = origin is list or arguments[-1] is Ellipsis
    kinds = [arguments[0]] * len(value) if of_one_kind else list(arguments)
    if len(kinds) != len(value):
        raise ConfigurationError(f"{source}: {key} must have {len(kinds)} entries, found {len(value)}")
    return origin(
        _value(entry, kind, source, f"{key}[{i}]") for i, (entry, kind) in enumerate(zip(value, kinds, strict=True))
    )


def _scalar(value: object, kind: Any, source: str, key: str) -> Any:
    if kind is float and not isinstance(value, bool):
        # YAML 1.1 reads 1e-4 (no dot) as text
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            number = math.nan
        if math.isfinite(number):
            return number
    elif kind is Path and isinstance(value, str):
        return Path(value)
    elif isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise ConfigurationError(f"{source}: {key} must be {_WORDS.get(kind, kind)}, found {_shown(value)}")


def _shown(value: object) -> str:
    return "nothing" if value is None else f"{value!r}"
