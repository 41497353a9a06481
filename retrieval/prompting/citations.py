"""Citation marks in an answer, found while it streams; pure.

`[n]` with 1 <= n <= count cites source n; so does each such number of a list (`[1, 2]`, `[1,3]`). All else is text:
- a number beyond count (`[9]`), unless a list also holds a good one, whose mark then covers it too;
- links and definitions: `[1](…)` anywhere, `[1]:` at the start of a line;
- code: inside backticks or a ``` fence, after `=`, `()`, or a name that reads as code (`x[1]`, `sys.argv[1]`,
  `row_2[1]`, `x[1][2]`). A plain word is prose: `파이썬입니다[1]` and `language[1]` are citations.

What a mark is, and what of a document could be taken for one: models/quoting/marks.py.
"""

import re
from dataclasses import dataclass

from models.quoting.marks import NUMBERS, TAIL, reads_as_code

_OPEN = re.compile(rf"\[ {{0,2}}|{NUMBERS}(?:, {{0,2}})?")
_CLOSED = re.compile(rf"{NUMBERS}\]")
_NUMBER = re.compile(r"[ ,]*([0-9]+)")
_ANY = 999  # the highest number that a mark can have


@dataclass(frozen=True, slots=True)
class TextPart:
    text: str


@dataclass(frozen=True, slots=True)
class MarkPart:
    """A citation of source `marker`; its text is answer[start:end] (code points).

    A list is one part for each number, `[1` and `, 2]`, so that spans never overlap.
    """

    text: str
    marker: int
    start: int
    end: int


Part = TextPart | MarkPart


class CitationParser:
    """Deltas in, parts out: joined, the parts are the deltas, character for character.

    Text is held back only while it could still become a mark, and a whole mark for the one character that may make it
    a link. json: the answer is JSON; marks are read in its strings.
    """

    def __init__(self, count: int, *, json: bool = False) -> None:
        self._count = count
        self._held = ""
        self._parts: list[Part] = []
        self._text = ""
        self._tail = ""
        self._position = 0
        self._code: _CodeState | _JsonState = _JsonState() if json else _CodeState()

    def feed(self, text: str) -> list[Part]:
        if not self._held and "[" not in text:
            self._say(text)
        else:
            for character in text:
                self._read(character)
        return self._take()

    def quote(self, text: str) -> list[Part]:
        """Words of a document, which cite nothing and leave no code open, whatever they hold."""
        self._settle("")
        self._flush()
        self._text, self._tail = text, ""
        return self._take()

    def finish(self) -> list[Part]:
        """What was held back at the end of the answer."""
        self._settle("")
        return self._take()

    def _read(self, character: str) -> None:
        if self._held:
            longer = self._held + character
            if _OPEN.fullmatch(longer):
                self._held = longer
                return
            if _CLOSED.fullmatch(longer) and any(self._good(number) for number in _NUMBER.findall(longer[1:-1])):
                self._held = longer
                return
            self._settle(character)
        if character == "[" and not self._code.inside() and not reads_as_code(self._tail):
            self._held = character
        else:
            self._say(character)

    def _settle(self, following: str) -> None:
        held, self._held = self._held, ""
        definition = following == ":" and (not self._tail or self._tail.endswith("\n"))
        if held.endswith("]") and following != "(" and not definition:
            self._mark(held)
        elif held:
            self._say(held)

    def _mark(self, text: str) -> None:
        """Each good number takes the text up to the next good one."""
        numbers = [found for found in _NUMBER.finditer(text, 1) if self._good(found[1])]
        starts = [0, *(number.start() for number in numbers[1:]), len(text)]
        self._flush()
        for number, start, end in zip(numbers, starts, starts[1:], strict=False):
            piece = text[start:end]
            self._parts.append(MarkPart(piece, int(number[1]), self._position, self._position + len(piece)))
            self._position += len(piece)
        self._tail = text
        self._code.read(text)

    def _good(self, digits: str) -> bool:
        return digits[0] != "0" and int(digits) <= self._count

    def _say(self, text: str) -> None:
        self._text += text
        self._tail = (self._tail + text)[-TAIL:]
        self._code.read(text)

    def _flush(self) -> None:
        if self._text:
            self._parts.append(TextPart(self._text))
            self._position += len(self._text)
            self._text = ""

    def _take(self) -> list[Part]:
        self._flush()
        parts, self._parts = self._parts, []
        return parts


class _CodeState:
    """Whether the text read so far ends inside code: a run of backticks up to an equal run, or a fence.

    A span that is not closed on its line is taken for a stray backtick (in a stream nobody knows yet).
    """

    def __init__(self) -> None:
        self._run = 0
        self._run_starts_line = True
        self._line_is_blank = True
        self._span = 0
        self._fence = 0

    def inside(self) -> bool:
        self._end_run()
        return bool(self._span or self._fence)

    def read(self, text: str) -> None:
        if not self._run and "`" not in text:
            _, newline, line = text.rpartition("\n")
            if newline:
                self._span, self._line_is_blank = 0, True
            self._line_is_blank = self._line_is_blank and not line.strip(" ")
            return
        for character in text:
            self._read(character)

    def _read(self, character: str) -> None:
        if character == "`":
            if not self._run:
                self._run_starts_line = self._line_is_blank
            self._run += 1
            self._line_is_blank = False
            return
        self._end_run()
        if character == "\n":
            self._span, self._line_is_blank = 0, True
        elif character != " ":
            self._line_is_blank = False

    def _end_run(self) -> None:
        run, self._run = self._run, 0
        if not run:
            return
        if self._fence:
            if self._run_starts_line and run >= self._fence:
                self._fence = 0
        elif self._span:
            self._span = 0 if run == self._span else self._span
        elif run >= 3 and self._run_starts_line:
            self._fence = run
        else:
            self._span = run


class _JsonState:
    """Whether the JSON read so far ends outside a string, where `[1]` is a list."""

    def __init__(self) -> None:
        self._string = False
        self._escaped = False

    def inside(self) -> bool:
        return not self._string

    def read(self, text: str) -> None:
        for character in text:
            if self._escaped:
                self._escaped = False
            elif character == '"':
                self._string = not self._string
            elif character == "\\":
                self._escaped = self._string


def without_marks(text: str) -> str:
    """An earlier answer, whose marks are of other sources; the blank before a mark goes with it."""
    parser, kept = CitationParser(_ANY), ""
    for part in [*parser.feed(text), *parser.finish()]:
        if isinstance(part, TextPart):
            kept += part.text
        elif kept[-1:] in (" ", "\t"):
            kept = kept[:-1]
    return kept
