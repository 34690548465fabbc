"""The Python of the pages in docs: it compiles, what it imports is there, and every name is made before it is used."""

from __future__ import annotations

import ast
import builtins
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(page for page in DOCS.glob("*.md") if "```python" in page.read_text(encoding="utf-8"))
READERS_OWN = {"waveform", "other"}  # audio that the reader has
FRAGMENTS = {"families.md"}  # a row of a table of the code, no program


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_of_a_page(page):
    made = set(dir(builtins)) | READERS_OWN
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
        tree = ast.parse(block)
        imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
        exec(compile(ast.Module(imports, []), page.name, "exec"), {})
        made |= {(alias.asname or alias.name).split(".")[0] for node in imports for alias in node.names}
        names = [node for node in ast.walk(tree) if isinstance(node, ast.Name)]
        made |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
        if page.name not in FRAGMENTS:
            assert {name.id for name in names} <= made, page.name
