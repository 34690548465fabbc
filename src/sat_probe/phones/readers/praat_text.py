"""Tokens of Praat's text files: quoted text, numbers and flags, in the long and the short format."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sat_probe.errors import AlignmentError

# Praat's own rule: quoted text, free-standing numbers and flags are data; everything else ("xmin =", "item [1]:") is
# decoration, which makes the long and the short format one grammar.
_DATA = re.compile(r'"(?:[^"]|"")*"|<exists>|<absent>|(?<!\S)[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?(?!\S)|!.*|"')


class PraatData:
    """The data of a Praat text file, one item after another.

    Every method takes the next item and raises an AlignmentError with file and line if it is of another kind.

    Args:
        text: of the file.
        name: of the file, in error messages.
    """

    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._matches: Iterator[re.Match[str]] = (m for m in _DATA.finditer(text) if m[0][0] != "!")
        self._position = 0
        self._counted, self._line = 0, 1

    def line(self) -> int:
        """The line of the last item, from 1."""
        self._line += self._text.count("\n", self._counted, self._position)
        self._counted = self._position
        return self._line

    def error(self, problem: str) -> AlignmentError:
        """An error that names the file and the line."""
        return AlignmentError(f"{self._name}, line {self.line()}: {problem}")

    def _next(self, expected: str) -> str:
        match = next(self._matches, None)
        if match is None:
            self._position = len(self._text)
            raise self.error(f"the file ends where {expected} should be; it is cut off or not a TextGrid")
        self._position = match.start()
        return match[0]

    def text(self, expected: str) -> str:
        """Quoted text; ``expected`` describes it in error messages."""
        item = self._next(expected)
        if len(item) < 2 or item[0] != '"':
            raise self.error(f"found {item} where {expected} should be in quotes")
        return item[1:-1].replace('""', '"')

    def number(self, expected: str) -> float:
        """A number."""
        item = self._next(expected)
        if item[0] in '"<':
            raise self.error(f"found {item} where {expected} should be a number")
        return float(item)

    def count(self, expected: str) -> int:
        """A whole number, not negative."""
        number = self.number(expected)
        if number < 0 or number != int(number):
            raise self.error(f"found {number:g} where {expected} should be a whole number")
        return int(number)

    def flag(self) -> str:
        """``<exists>`` or ``<absent>``."""
        item = self._next("<exists>")
        if item[0] != "<":
            raise self.error(f"found {item} where <exists> should be")
        return item

    def interval(self) -> tuple[float, float, str, int]:
        """Start, end (seconds), text and line of an interval."""
        start = self.number("an interval's start")
        line = self.line()
        return start, self.number("an interval's end"), self.text("an interval's text"), line
