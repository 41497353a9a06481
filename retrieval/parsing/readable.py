"""Readable text as it grows out of markup: white space collapsed, breaks and list marks held back until needed."""

import re

from retrieval.parsing.limits import Budget

_SPACES = re.compile(r"\s+")
_MAX_HEADING = 300
_MAX_MARK = 120  # characters: forty empty cells


class ReadableText:
    """`headings` holds (character offset, level, name) of each heading closed so far, ascending. budget: characters."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.headings: list[tuple[int, int, str]] = []
        self._parts: list[str] = []
        self._length = 0
        self._newlines = 0
        self._space = False
        self._mark = ""
        self._heading: tuple[int, int, int] | None = None  # level, offset (-1: nothing yet), index of its first part

    def text(self) -> str:
        return "".join(self._parts)

    def break_line(self, newlines: int) -> None:
        self._newlines = max(self._newlines, newlines)

    def mark(self, mark: str, *, after: bool = False) -> None:
        """To stand before the next text: a bullet, or a cell's border after the marks of empty cells."""
        self._mark = (self._mark + mark)[:_MAX_MARK] if after else mark

    def add(self, text: str) -> None:
        shown = _SPACES.sub(" ", text)
        if not shown.strip():
            self._space = self._space or bool(shown)
            return
        self._before(spaced=self._space or shown[0] == " ")
        self._append(shown.strip())
        self._space = shown[-1] == " "

    def add_verbatim(self, text: str) -> None:
        if not text.strip():
            self._newlines = max(self._newlines, min(text.count("\n"), 2))
            return
        self._before(spaced=False)
        self._append(text)
        self._space = False

    def open_heading(self, level: int) -> None:
        self.close_heading()
        self.break_line(2)
        self._heading = (level, -1, 0)

    def close_heading(self) -> None:
        if self._heading and self._heading[1] >= 0:
            level, offset, part = self._heading
            self.headings.append((offset, level, "".join(self._parts[part:])[:_MAX_HEADING]))
            self.break_line(2)
        self._heading = None

    def _before(self, *, spaced: bool) -> None:
        if self._newlines:
            self._append("\n" * self._newlines if self._parts else "")
        elif spaced and self._parts and not self._mark:
            self._append(" ")
        self._append(self._mark)
        self._newlines, self._mark = 0, ""
        if self._heading and self._heading[1] < 0:
            self._heading = (self._heading[0], self._length, len(self._parts))

    def _append(self, text: str) -> None:
        if text:
            self._budget.take(len(text))
            self._parts.append(text)
            self._length += len(text)
