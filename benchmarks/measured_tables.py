"""Insertion of measured tables into pages of docs/, between two comments with the script's name."""

from __future__ import annotations

from pathlib import Path


def markdown(rows: list[tuple[str, str]]) -> str:
    """Return rows of two cells as a Markdown table."""
    return "\n".join(["| | |", "|---|---|", *(f"| {left} | {right} |" for left, right in rows)])


def insert(page: Path, name: str, table: str) -> None:
    """Replace the text between ``<!-- measured by NAME -->`` and ``<!-- end of NAME -->``.

    Raises:
        ValueError: if the page lacks the two comments.
    """
    begin, end = f"<!-- measured by {name} -->", f"<!-- end of {name} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"{page} has no place for the results of {name}")
    page.write_text(f"{before}{begin}\n{table}\n{end}{after}", encoding="utf-8")
