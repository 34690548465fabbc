"""The package's face: what `import sat_probe` gives, and what it costs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import sat_probe
from sat_probe.cli import app

ROOT = Path(__file__).resolve().parents[1]


def test_every_public_name_is_there():
    assert sat_probe.__all__ == sorted(sat_probe.__all__)
    for name in sat_probe.__all__:
        assert getattr(sat_probe, name).__doc__, name
    assert set(sat_probe.__all__) <= set(dir(sat_probe))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sat_probe.nonsense


def test_import_is_cheap():
    heavy = ("torch", "transformers", "datasets", "matplotlib", "gradio", "numpy", "pandas", "huggingface_hub")
    for module in ("sat_probe", "sat_probe.cli"):
        code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]", module


def registered() -> set[str]:
    return {str(command.name) for command in app.registered_commands}


def test_every_command_has_help_and_the_readme_knows_it():
    readme = (ROOT / "README.md").read_text()
    mentioned = set(re.findall(r"`sat-probe ([a-z-]+)`", readme))
    assert registered() == mentioned
    for command in app.registered_commands:
        assert command.callback is not None
        assert command.callback.__doc__, command.name


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert blocks
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    assert (tmp_path / "my-report" / "heads.parquet").is_file()


def test_the_readme_has_the_two_commands_that_ci_runs():
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    installing = [block.strip() for block in blocks if block.startswith("pip install -c constraints.txt")]
    assert len(installing) == 2
    assert installing[0].endswith("&& sat-probe analyze")
    assert installing[1].endswith("&& pytest")


def test_every_link_of_the_readme_leads_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / "README.md").read_text())
    assert links
    assert [link for link in links if not (ROOT / link).is_file()] == []
