"""The checks of a card's YAML header that matter here, as the Hub's validate-yaml route makes them."""

from __future__ import annotations

import re
from typing import Any

import yaml

LICENSES = {
    "apache-2.0",
    "mit",
    "cc-by-4.0",
    "cc-by-nc-4.0",
    "cc-by-sa-4.0",
    "cc0-1.0",
    "bsd-3-clause",
    "other",
    "unknown",
}
_HEADER = re.compile(r"\A\s*---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)


def card_problems(content: str, kind: str) -> list[str]:
    """Why the Hub would refuse this README; empty if it would not."""
    found = _HEADER.match(content)
    if found is None:
        return []  # a card without a header is allowed, with a warning
    try:
        header = yaml.safe_load(found.group(1))
    except yaml.YAMLError as error:
        return [f"YAML header does not parse: {error}"]
    if not isinstance(header, dict):
        return ["YAML header must be a mapping"]
    problems = _header_problems(header)
    if kind == "dataset":
        problems += _config_problems(header.get("configs", []))
    if kind == "space" and header.get("sdk") not in {"gradio", "static", "docker", "streamlit"}:
        problems.append('"sdk" must be one of gradio, static, docker, streamlit')
    return problems


def _header_problems(header: dict[str, Any]) -> list[str]:
    problems = []
    license_name = header.get("license")
    for name in license_name if isinstance(license_name, list) else [license_name]:
        if name is not None and name not in LICENSES:
            problems.append(f'"license" {name!r} is not known')
    for key in ("tags", "task_categories"):
        if key in header and not _is_text_list(header[key]):
            problems.append(f'"{key}" must be a list of text')
    for key in ("language", "datasets", "base_model"):
        if key in header and not (isinstance(header[key], str) or _is_text_list(header[key])):
            problems.append(f'"{key}" must be text or a list of text')
    if not isinstance(header.get("pretty_name", ""), str):
        problems.append('"pretty_name" must be text')
    return problems


def _config_problems(configs: Any) -> list[str]:
    if not isinstance(configs, list):
        return ['"configs" must be a list']
    problems, names = [], set()
    for index, config in enumerate(configs):
        name = config.get("config_name") if isinstance(config, dict) else None
        if not isinstance(name, str):
            problems.append(f'"configs[{index}].config_name" is required')
            continue
        if name in names:
            problems.append(f'"configs" names {name!r} twice')
        names.add(name)
        files = config.get("data_files")
        entries = files if isinstance(files, list) else [files]
        for entry in entries:
            if not (isinstance(entry, str) or (isinstance(entry, dict) and {"split", "path"} <= set(entry))):
                problems.append(f'"configs[{index}].data_files" must have split and path')
    if sum(bool(config.get("default")) for config in configs if isinstance(config, dict)) > 1:
        problems.append('"configs" has more than one default')
    return problems


def _is_text_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
