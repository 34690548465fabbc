"""A Space needs nothing but its requirements.txt and the package: pinned, complete, tried in a fresh environment."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import sat_probe
from benchmarks.demo import analyzed, recording, running

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # comes with pytest there

ROOT = Path(__file__).resolve().parents[2]
SPACES = ("head_explorer", "phoneme_boundary")
FRESH = os.environ.get("SPACES_PYTHON")


def pins(file: Path) -> dict[str, str]:
    lines = (line.partition(";")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    found = (Requirement(line) for line in lines if line and not line.startswith("#"))
    return {canonicalize_name(one.name): str(one.specifier) for one in found}


@pytest.mark.parametrize("name", SPACES)
def test_requirements_are_pinned_to_the_versions_that_were_tested(name):
    wanted = pins(ROOT / "spaces_demo" / name / "requirements.txt")
    tested = pins(ROOT / "constraints.txt")
    assert wanted.pop("sat-probe") == f"=={sat_probe.__version__}"
    assert wanted == {package: tested[package] for package in wanted}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["demo"]
    assert set(wanted) == {canonicalize_name(Requirement(line).name) for line in lines}


@pytest.mark.parametrize("name", SPACES)
def test_the_header_says_what_the_hub_must_run(name):
    folder = ROOT / "spaces_demo" / name
    header = yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    assert header["sdk"] == "gradio"
    assert f"=={header['sdk_version']}" == pins(ROOT / "constraints.txt")["gradio"]
    assert (folder / header["app_file"]).is_file()
    assert re.fullmatch(r"3\.1\d", header["python_version"])


@pytest.mark.skipif(FRESH is None, reason="needs SPACES_PYTHON, an environment with a Space's requirements (.ci/run)")
@pytest.mark.parametrize("name", SPACES)
def test_it_starts_in_a_fresh_environment(name, tmp_path):
    assert FRESH is not None
    with running(name, python=FRESH) as space:
        client = space.client()
        if name == "head_explorer":
            status, heads = analyzed(client, recording(tmp_path, 1.0, 0))
            assert "visitor-0.wav: 1.0 s" in status
            assert len(heads) > 1
        else:
            table, picture = client.predict(reference_file=None, prediction_file=None, api_name="/score")
            assert "rasanen: 5 of 8 references found" in picture
            assert table.count("<tr>") == 4
