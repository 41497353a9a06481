"""Hard-wrapped lines to running text: hyphens that a line's end made are taken out, spaces that it ate put back.

Korean may be wrapped inside a word. Where the next character would still have had room on the line, the line ended at
a word's end. Where lines are full, what the document itself says decides: words that stand within its lines.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from retrieval.parsing.pdf.glyphs import Run
from retrieval.parsing.pdf.lines import after, region
from retrieval.places import Region

_WORD = re.compile(r"[^\W_]+")
_KOREAN = re.compile("[\uac00-\ud7a3]")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef\u3001\u3002]")
_TAIL = re.compile(r"[^\W\d_][-\u2010]$")
# Particles and endings with which a Korean word usually ends.
_ENDING = re.compile(
    "(?:[은는을를에의와과로며지한된할될고]|에서|으로|부터|까지|에게|하여|[다요까][.?!]?|[,.:;!?)\\]”’])$"
)
_PARTICLE = re.compile("(?:[은는이가을를에의와과로도]|에서|으로|[하합했해되됩된될한할][가-힣]*)(?=[\\s.,)]|$)")


class Words:
    """How often each word of letters stands within the lines of a document."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._counts: Counter[str] = Counter()
        for line in lines:
            self._counts.update(_WORD.findall(line)[1:-1])  # the outer ones may be parts of words

    def one_word(self, tail: str, head: str) -> bool:
        """Whether a Korean line's last and the next one's first piece are one word."""
        last = (_WORD.findall(tail) or [""])[-1]
        first = (_WORD.findall(head) or [""])[0]
        whole, apart = self._counts[last + first], min(self._counts[last], self._counts[first])
        if whole != apart:
            return whole > apart
        if _PARTICLE.match(head):
            return True
        return not _ENDING.search(tail)


def joined(lines: Sequence[Run], page: int, right: float, words: Words) -> list[tuple[str, Region]]:
    """Each line with what divides it from the next, as a builder takes lines. right: of the column."""
    found: list[tuple[str, Region]] = []
    for line, following in zip(lines, [*lines[1:], None], strict=True):
        text, edges = line.text, list(line.edges)
        if following is not None:
            if _hyphenated(text, following.text):
                text, edges = text[:-1], edges[:-4]
            elif _spaced(line, following, right, words):
                text, edges = text + " ", [*edges, *after(edges)]
        found.append((text, region(line, page, edges)))
    return found


def _hyphenated(text: str, following: str) -> bool:
    return bool(_TAIL.search(text)) and following[:1].islower()


def _spaced(line: Run, following: Run, right: float, words: Words) -> bool:
    last, first = line.text[-1], following.text[0]
    if line.spaced:
        return True
    if _UNSPACED.match(last) and _UNSPACED.match(first):
        return False
    if not (_KOREAN.match(last) or _KOREAN.match(first)):
        return last not in "-\u2010/" or not first.isalnum()
    if right - line.box.x1 > max(following.edges[2] - following.edges[0], 0.5 * line.size) * 1.3:
        return True
    return not words.one_word(line.text, following.text)
