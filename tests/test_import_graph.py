"""Shape of the package: no circular imports, small folders, and function-local imports only for a stated reason.

Imports under TYPE_CHECKING and inside functions count as well: a module knows whatever it names.
"""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import sat_probe

SOURCE = Path(sat_probe.__file__).resolve().parent
FACE = "sat_probe"
LARGEST_FOLDER = 16  # modules
LONGEST_SIGNATURE = 12  # parameters
ANYTHING = ""
LOCAL_IMPORTS = {  # (importing package or module, imported package or module): reason
    ("sat_probe.__main__", "sat_probe.cli"): "an import that is interrupted ends in one line too",
    ("sat_probe.cli", ANYTHING): "a command imports what it needs when it runs: --help and completion are quick",
    ("sat_probe.demo", "sat_probe"): "the first page is there before torch and matplotlib are",
    ("sat_probe.demo", "matplotlib"): "the first page is there before matplotlib is",
    ("sat_probe.demo", "torch"): "the first page is there before torch is",
    ("sat_probe.measures.intervals", "scipy"): "only the study of the paper needs scipy.stats, which takes a second",
    ("sat_probe.phones", "huggingface_hub"): "corpora on disk are read without it",
    ("sat_probe.reports", "sat_probe.reports.plots"): "reports are read and compared without matplotlib",
    ("sat_probe.phones", "datasets"): "alignments and phone sets are read without it, and it takes a second",
    ("sat_probe.phones", "pyarrow"): "alignments and phone sets are read without it",
    ("sat_probe.phones.forced_alignment", "pocketsphinx"): "an optional dependency (sat-probe[align])",
    ("sat_probe.studies.footprint", "resource"): "does not exist on Windows",
}


@dataclass(frozen=True)
class Import:
    """One imported name: by which module, what (module or module.name), where, and whether inside a function."""

    importer: str
    target: str
    line: int
    is_local: bool

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.target}"


@cache
def sources() -> dict[str, ast.Module]:
    """Return the syntax tree of every module by its dotted name; a package is its __init__."""
    return {
        ".".join((FACE, *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): ast.parse(
            path.read_text(encoding="utf-8")
        )
        for path in sorted(SOURCE.rglob("*.py"))
    }


def is_package(module: str) -> bool:
    return SOURCE.joinpath(*module.split(".")[1:], "__init__.py").is_file()


@cache
def imports() -> tuple[Import, ...]:
    """Return all imports of the package, also those of other packages."""
    return tuple(one for module, tree in sources().items() for one in imports_of(module, tree, False))


def imports_of(module: str, node: ast.AST, is_local: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for name in imported_names(module, child):
            yield Import(module, name, child.lineno, is_local)  # type: ignore[attr-defined]
        inside = is_local or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from imports_of(module, child, inside)


def imported_names(module: str, node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    parts = module.split(".") if is_package(module) else module.split(".")[:-1]
    base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
    origin = ".".join(part for part in (base, node.module) if part)
    return [f"{origin}.{alias.name}" for alias in node.names]


def is_within(name: str, package: str) -> bool:
    return package in (ANYTHING, name) or name.startswith(f"{package}.")


def module_of(name: str) -> str | None:
    """Return the module of this package that a dotted name is, or is defined in."""
    while name and name not in sources():
        name = name.rpartition(".")[0]
    return name or None


@cache
def edges() -> frozenset[tuple[str, str]]:
    """Return (importing module, imported module) within the package."""
    pairs = ((one.importer, module_of(one.target)) for one in imports())
    return frozenset((importer, target) for importer, target in pairs if target and target != importer)


def circle(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Return one circle of a graph, or nothing."""
    graph = defaultdict(set)
    for first, second in pairs:
        graph[first].add(second)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1][::-1]  # each node imports the next
    return []


def signatures() -> Iterator[tuple[str, int]]:
    """Yield every function's dotted name and its number of parameters, without self and cls."""
    for module, tree in sources().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                count = sum(one.arg not in {"self", "cls"} for one in given)
                yield f"{module}.{node.name}", count


def test_no_circle_of_files() -> None:
    assert not (found := circle(edges())), " imports ".join(found)


def test_no_circle_of_folders() -> None:
    """The children of each package, files and folders alike, are the nodes."""
    found = {}
    for package in filter(is_package, sources()):
        inside = [pair for pair in edges() if all(one.startswith(f"{package}.") for one in pair)]
        pairs = {tuple(one.removeprefix(f"{package}.").partition(".")[0] for one in pair): pair for pair in inside}
        steps = pairwise(circle(pair for pair in pairs if pair[0] != pair[1]))
        found[package] = "; ".join(" imports ".join(pairs[step]) for step in steps)
    assert {package: told for package, told in found.items() if told} == {}


def test_no_crowded_folder() -> None:
    modules = [path for path in SOURCE.rglob("*.py") if not path.name.startswith("__")]
    counts = Counter(str(path.parent.relative_to(SOURCE)) for path in modules)
    assert {name: count for name, count in counts.items() if count > LARGEST_FOLDER} == {}


def local_imports() -> dict[Import, tuple[str, str] | None]:
    """Return the rule that allows each import inside a function, None for imports that none allows."""

    def rule_for(one: Import) -> tuple[str, str] | None:
        allowed = (rule for rule in LOCAL_IMPORTS if is_within(one.importer, rule[0]))
        return next((rule for rule in allowed if is_within(one.target, rule[1])), None)

    return {one: rule_for(one) for one in imports() if one.is_local}


def test_local_imports_have_a_reason() -> None:
    assert [str(one) for one, rule in local_imports().items() if rule is None] == []


def test_every_reason_is_needed() -> None:
    assert set(LOCAL_IMPORTS) - set(local_imports().values()) == set()
    assert all(LOCAL_IMPORTS.values())


def test_no_long_signature_below_the_public_face() -> None:
    below = {
        name: count
        for name, count in signatures()
        if name.rpartition(".")[2] not in sat_probe.__all__ and not is_within(name, f"{FACE}.cli")
    }
    assert {name: count for name, count in below.items() if count > LONGEST_SIGNATURE} == {}
