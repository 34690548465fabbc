"""Run benchmarks and write their output into benchmarks/README.md; other sections keep their output.

python benchmarks/make_readme.py attention boundary_score            (NAME -- ARGUMENTS for one that needs some)
"""

from __future__ import annotations

import ast
import os
import platform
import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
PAGE = FOLDER / "README.md"
TOOLS = {"make_readme", "measured_tables", "agreement", "importance"}  # importance writes a page of its own
HEADING = """# Benchmarks

Each script measures both sides of a comparison in one run and prints ratios. This page is their output, written by
`benchmarks/make_readme.py`.
"""


def main(arguments: list[str]) -> None:
    names, options = arguments, []
    if "--" in arguments:
        position = arguments.index("--")
        names, options = arguments[:position], arguments[position + 1 :]
        if len(names) != 1:
            raise SystemExit("arguments after -- are for one benchmark: name exactly one before them")
    known = {path.stem: path for path in sorted(FOLDER.glob("*.py")) if path.stem not in TOOLS}
    for name in names:
        if name not in known:
            raise SystemExit(f"no benchmark is called {name!r}; there are: {', '.join(known)}")
    new = {name: measured(known[name], options) for name in names}
    outputs = kept_outputs() | new  # the page is read last: another run may have written to it meanwhile
    PAGE.write_text(
        HEADING + "".join(section(path, outputs.get(name)) for name, path in known.items()), encoding="utf-8"
    )


def section(script: Path, output: str | None) -> str:
    """Return the section of a benchmark: its purpose, and its output if it has been run."""
    purpose = " ".join((ast.get_docstring(ast.parse(script.read_text())) or "").split("\n\n")[0].split())
    shown = output or f"Not measured yet: `python benchmarks/make_readme.py {script.stem}`."
    marked = f"<!-- {script.stem} -->\n{shown.strip()}\n<!-- end of {script.stem} -->"
    return f"\n## {script.stem}\n\n{purpose}\n\n{marked}\n"


def kept_outputs() -> dict[str, str]:
    """Return the outputs already in the page, by benchmark."""
    if not PAGE.is_file():
        return {}
    found = {}
    for part in PAGE.read_text(encoding="utf-8").split("\n<!-- end of ")[:-1]:
        name, _, output = part.rpartition("<!-- ")[2].partition(" -->\n")
        if not output.startswith("Not measured yet"):
            found[name] = output
    return found


def measured(script: Path, options: list[str]) -> str:
    """Run a benchmark; return its command, its output and the machine."""
    done = subprocess.run([sys.executable, str(script), *options], stdout=subprocess.PIPE, text=True, check=True)
    lines = done.stdout.strip()
    output = lines if lines.startswith("| ") else f"```\n{lines}\n```"
    command = " ".join(["python", f"benchmarks/{script.name}", *(Path(option).name for option in options)])
    return f"`{command}`, {machine()}:\n\n{output}"


def machine() -> str:
    """Return the date, processor, available cores, and the versions that matter for speed."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    return f"{date.today()}, {processor()}, {cores} cores, Python {platform.python_version()}, {packages}"


def processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


if __name__ == "__main__":
    main(sys.argv[1:])
