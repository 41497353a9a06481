"""Documents to passages: by tokens, with exact character offsets, cut where a reader would cut.

A passage ends at a new section; else, once it is at least half full, at the last paragraph, sentence, line or word
that still fits. The next one repeats its last sentences, so that no answer falls between two passages. A row, a list
item, code or the answer of a FAQ that fits into a passage is cut by none.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from models.base import Block, IntArray
from retrieval.places import place_of
from retrieval.types import AUTO, ParsedDocument, Section, Span

_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*|\f")
# Korean sentences end in 다. 요. 죠. 까? also where the space after them is missing. A list item counts as one.
_SENTENCE = re.compile(
    r"(?<!\b\d)(?<!\b\d\d)(?<!\b[A-Z])[.!?…][\"'”’)\]]*\s+|[。？！][”’」』)]*\s*|(?<=[다요죠까음함됨임])[.?!](?=[^\s.?!\"'”’)\]\d])"
)
_ITEM = re.compile(r"\n(?=[^\S\n]*(?:[-*•‣◦▪·○●■□※]|[①-⑳]|\(?\d{1,3}[.)]|[가-하][.)])\s)")
_LINE = re.compile(r"\n\s*")
_WORD = re.compile(r"\s+")

_WHOLE = frozenset({"row", "header", "item", "code", "answer"})
_FULL_ENOUGH = 0.5  # of the size: from here on a passage may end at a paragraph, sentence, line or word
_SHORT = 32  # tokens: no passage shorter than this is cut off on purpose
_LONG_TOKEN = 64  # characters a token may stand for; of a longer one every such stretch counts
_MARKS = 64  # of what continues a character; a longer heap of marks may be cut


def chunk(
    document: ParsedDocument,
    token_spans: Callable[[str], IntArray],
    blocks: Sequence[Block] = (),
    *,
    size: int = AUTO.size,
    overlap: int = AUTO.overlap,
) -> list[Span]:
    """Passages of at most `size` tokens (one more where a character would be split), ascending, white space trimmed.

    token_spans: text -> (n, 2) character offsets of its tokens. blocks: of the document, ascending starts. Every
    visible character is in some passage; equal inputs give equal passages; time grows linearly with the text. A
    document of at most `size` tokens stays whole.
    Raises ValueError unless 0 <= overlap < size.
    """
    if not 0 <= overlap < size:
        raise ValueError(f"overlap must be at least 0 and less than size, not {overlap} of {size}")
    text = document.text
    first, last = _trimmed(text, 0, len(text))
    if first == last:
        return []
    starts = _token_starts(token_spans(text), first, last)
    if len(starts) <= size:
        return [_span(document, starts, first, last)]
    cutter = _Cutter(text, last, starts, _borders(document), _wholes(blocks, starts, size), size, overlap)
    return [_span(document, starts, *_trimmed(text, start, end)) for start, end in cutter.passages(first)]


@dataclass(frozen=True, slots=True)
class _Borders:
    """Offsets where a passage may begin, ascending; each of the last four holds the ones before it."""

    sections: Sequence[int]
    paragraphs: Sequence[int]
    sentences: Sequence[int]
    lines: Sequence[int]
    words: Sequence[int]


@dataclass(frozen=True, slots=True)
class _Cutter:
    text: str
    last: int  # offset after the last visible character
    starts: Sequence[int]  # offset of each token, ascending
    borders: _Borders
    wholes: Sequence[tuple[int, int]]  # what is not to be cut, ascending, apart from each other
    size: int
    overlap: int

    def passages(self, start: int) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        end = start
        while end < self.last:
            end = self._visible(self._around_whole(start, self._end(start, end), end))
            found.append((start, end))
            start = self._visible(self._after_whole(self._next_start(start, end), end))
        return found

    def _around_whole(self, start: int, end: int, done: int) -> int:
        """`end`, or where what it would cut begins, past `done`, or ends, where that fits."""
        whole = self._whole(end)
        if whole is None:
            return end
        before = whole[0] > self._visible(done)
        rest = self._tokens(whole[1], self.last)
        if self._tokens(start, whole[1]) <= self.size and (not before or rest == 0 or rest >= _SHORT):
            return whole[1]
        return whole[0] if before else end

    def _after_whole(self, start: int, end: int) -> int:
        """The next passage's `start`, at most `end`: past what it would begin in the middle of, and at `end` where what
        stands there would no longer fit.
        """
        whole = self._whole(start)
        if whole is not None:
            start = min(self._visible(whole[1]), end)
        following = self._whole(end + 1)
        if following is not None and following[0] <= end and self._tokens(start, following[1]) > self.size:
            return end
        return start

    def _whole(self, offset: int) -> tuple[int, int] | None:
        """What has `offset` inside."""
        index = bisect_left(self.wholes, offset, key=lambda whole: whole[0]) - 1
        return self.wholes[index] if index >= 0 and offset < self.wholes[index][1] else None

    def _tokens(self, start: int, end: int) -> int:
        return bisect_left(self.starts, end) - bisect_left(self.starts, start)

    def _end(self, start: int, done: int) -> int:
        """Where the passage from `start` ends, past `done`, the end of the one before it."""
        token = bisect_left(self.starts, start)
        section = self._section_end(token, done)
        left = len(self.starts) - token
        if left <= self.size and section is None:
            return self.last
        # A rest too short to stand alone takes some tokens from this passage.
        room = min(self.size, max(left - _SHORT, self.size // 2, self.overlap + 1))
        limit = self._offset(token + room)
        if section is not None and section <= self._offset(token + self.size):
            return section
        floor = max(done, self._offset(token + int(self.size * _FULL_ENOUGH)))
        borders = self.borders
        for candidates in (borders.paragraphs, borders.sentences, borders.lines, borders.words):
            index = bisect_right(candidates, limit) - 1
            if index >= 0 and candidates[index] > floor:
                return candidates[index]
        return _character_start(self.text, limit, done)

    def _section_end(self, token: int, done: int) -> int | None:
        """The next section's start, unless this passage or the whole rest after it would be too short."""
        sections = self.borders.sections
        least = max(done, self._offset(token + min(_SHORT, self.size // 2)) - 1)
        index = bisect_right(sections, least)
        if index == len(sections):
            return None
        rest = len(self.starts) - bisect_left(self.starts, sections[index])
        whole = len(self.starts) - token <= self.size
        return None if whole and rest < _SHORT else sections[index]

    def _next_start(self, start: int, end: int) -> int:
        """`end`, or up to `overlap` tokens before it: at the first sentence there, else line, else word."""
        index = bisect_left(self.borders.sections, end)
        if not self.overlap or (index < len(self.borders.sections) and self.borders.sections[index] == end):
            return end
        section = self.borders.sections[index - 1] if index else 0
        floor = max(start + 1, section, self._offset(bisect_left(self.starts, end) - self.overlap))
        for candidates in (self.borders.sentences, self.borders.lines, self.borders.words):
            index = bisect_left(candidates, floor)
            if index < len(candidates) and candidates[index] < end:
                return candidates[index]
        return _character_start(self.text, floor, start) if floor < end else end

    def _visible(self, offset: int) -> int:
        while offset < self.last and self.text[offset].isspace():
            offset += 1
        return offset

    def _offset(self, token: int) -> int:
        """Character offset of a token; of the text's end past the last one."""
        return self.starts[max(0, token)] if token < len(self.starts) else self.last


def _wholes(blocks: Sequence[Block], starts: Sequence[int], size: int) -> list[tuple[int, int]]:
    """The outermost blocks that fit into a passage, of those that lose their meaning when they are cut."""
    found: list[tuple[int, int]] = []
    for block in sorted(blocks, key=lambda block: (block.start, -block.end)):
        if block.kind not in _WHOLE or (found and block.start < found[-1][1]):
            continue
        if bisect_left(starts, block.end) - bisect_left(starts, block.start) <= size:
            found.append((block.start, block.end))
    return found


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _token_starts(spans: IntArray, first: int, last: int) -> list[int]:
    """Ascending starts inside [first, last); stretches without a token, or of one alone, count by their length."""
    starts = np.maximum.accumulate(np.clip(spans[:, 0], first, last - 1)) if len(spans) else np.zeros(0, np.int32)
    edges = np.concatenate([[first], starts, [last]])
    long = np.flatnonzero(np.diff(edges) > _LONG_TOKEN)
    extra = [np.arange(edges[i] + _LONG_TOKEN, edges[i + 1], _LONG_TOKEN) for i in long]
    found: list[int] = np.sort(np.concatenate([starts, *extra])).tolist() if len(long) else starts.tolist()
    return found or [first]


def _borders(document: ParsedDocument) -> _Borders:
    text = document.text
    patterns = (_PARAGRAPH, _SENTENCE, _ITEM, _LINE, _WORD)
    paragraphs, sentences, items, lines, words = (
        {match.end() for match in pattern.finditer(text) if not _continues(text, match.end())} for pattern in patterns
    )
    named = [later.start for earlier, later in pairwise(document.sections) if later.headings != earlier.headings]
    if document.sections and document.sections[0].headings:
        named.insert(0, document.sections[0].start)
    paragraphs.update(section.start for section in document.sections)
    sentences |= paragraphs | items
    lines |= sentences
    words |= lines
    return _Borders(named, sorted(paragraphs), sorted(sentences), sorted(lines), sorted(words))


def _character_start(text: str, offset: int, after: int) -> int:
    """The start of the character that `offset` is in or, where that is not past `after`, of the next one."""
    start = offset
    while start > max(after, offset - _MARKS) and _continues(text, start):
        start -= 1
    if start > after and not _continues(text, start):
        return start
    end = max(offset, after + 1)
    limit = min(len(text), end + _MARKS)
    while end < limit and _continues(text, end):
        end += 1
    return end


def _continues(text: str, offset: int) -> bool:
    """Whether text[offset] belongs to the character before it: marks, joined emoji, conjoining jamo, flags."""
    if not 0 < offset < len(text) or text[offset].isascii():
        return False
    here, before = text[offset], text[offset - 1]
    return (
        unicodedata.category(here) in ("Mn", "Mc", "Me")
        or "\u200d" in (here, before)
        or "\u1160" <= here <= "\u11ff"
        or "\ud7b0" <= here <= "\ud7ff"
        or "\U0001f3fb" <= here <= "\U0001f3ff"
        or ("\U0001f1e6" <= here <= "\U0001f1ff" and "\U0001f1e6" <= before <= "\U0001f1ff")
    )


def _span(document: ParsedDocument, starts: Sequence[int], start: int, end: int) -> Span:
    section = _section(document.sections, start, end)
    tokens = bisect_left(starts, end) - bisect_left(starts, start)
    place = place_of(document.regions, start, end, document.member)
    page = place.pages[0].page if place.pages else _page(document.sections, start)
    return Span(start, end, section.headings, page, tokens, place)


def _section(sections: Sequence[Section], start: int, end: int) -> Section:
    """The section that holds most of [start, end)."""
    first = max(0, bisect_right(sections, start, key=lambda section: section.start) - 1)
    best, most = Section(0), min(end, sections[0].start) - start if sections else 0
    for i in range(first, len(sections)):
        if sections[i].start >= end:
            break
        until = sections[i + 1].start if i + 1 < len(sections) else end
        held = min(end, until) - max(start, sections[i].start)
        if held > most:
            best, most = sections[i], held
    return best


def _page(sections: Sequence[Section], start: int) -> int | None:
    index = bisect_right(sections, start, key=lambda section: section.start) - 1
    return sections[index].page if index >= 0 else None
