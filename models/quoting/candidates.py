"""What of numbered passages may be said by itself, and what it shares with the question; pure."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from models.base import Block, FloatArray
from models.quoting.rendering import Quote, named_cells, spoken
from models.quoting.sentences import Unit, units
from models.quoting.wording import agrees, asks_for_no, codes, identifiers, numbers, opposed, says_no, visible

_STEP = re.compile(r"^\(?\d{1,2}[.)]\s|^[①-⑳]")
_QUESTION = re.compile(r"[?？][\"'”’)\]]*$")
_ASKS_FOR_CODE = re.compile(
    r"\b(commands?|code|examples?|install\w*|snippet|syntax|script|terminal|shell|curl|bash|sql|python|javascript|java|rust|go)\b"
    r"|명령|코드|예제|설치|스크립트|터미널|구문|파이썬|자바",
    re.IGNORECASE,
)
_MOST_STEPS = 900  # characters of steps that are said as one

FEATURES = ("late", "own", "context", "first", "codes", "numbers", "agrees", "opposed", "no", "code")

Terms = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """Quotes that are said together, of one passage. above: headings and what introduces them, as one text."""

    quotes: tuple[Quote, ...]
    text: str
    above: str
    own: frozenset[str]
    context: frozenset[str]

    @property
    def mark(self) -> int:
        return self.quotes[0].mark


@dataclass(frozen=True, slots=True)
class Passage:
    """asks: the question that it answers as a whole, "" where it is no row of an FAQ. answer: what it says to it."""

    quotes: tuple[Quote, ...]
    candidates: tuple[Candidate, ...]
    asks: str = ""
    answer: tuple[Candidate, ...] = ()


def passage(text: str, blocks: Sequence[Block], mark: int, terms: Terms) -> Passage:
    quotes = tuple(Quote(unit, mark, position) for position, unit in enumerate(units(text, blocks)))
    known = [" ".join(text[block.start : block.end].split()) for block in blocks if block.kind == "question"]
    asks = known[0] if known else _first_question(quotes)
    found = []
    for group in _groups(quotes):
        said = " ".join(readable(quote.unit) for quote in group)
        above = _above(quotes, group[0])
        found.append(Candidate(group, said, above, frozenset(terms(said)), frozenset(terms(above))))
    answers = [block for block in blocks if block.kind == "answer"]
    answer = tuple(one for one in found if not answers or _lies_in(one, answers[0])) if asks else ()
    return Passage(quotes, tuple(found), asks if answer else "", answer)


def _lies_in(candidate: Candidate, block: Block) -> bool:
    return all(block.start <= quote.unit.start and quote.unit.end <= block.end for quote in candidate.quotes)


def readable(unit: Unit) -> str:
    if unit.kind == "code":
        return visible(unit.text)
    return named_cells(unit) if unit.kind == "row" else spoken(unit.text)


def _first_question(quotes: Sequence[Quote]) -> str:
    """A heading or first sentence that asks: the rest is its answer."""
    for quote in quotes[:2]:
        if _QUESTION.search(quote.unit.text):
            return spoken(quote.unit.text.rsplit(" > ", 1)[-1])
    return ""


def _groups(quotes: Sequence[Quote]) -> Iterator[tuple[Quote, ...]]:
    """Units that may be said alone, and numbered steps together."""
    steps: list[Quote] = []
    for quote in quotes:
        is_step = quote.unit.kind == "item" and _STEP.match(quote.unit.text) is not None
        if steps and not (is_step and quote.unit.paragraph == steps[0].unit.paragraph):
            yield from _together(steps)
            steps = []
        if is_step:
            steps.append(quote)
        elif _quotable(quotes, quote):
            yield (quote,)
    yield from _together(steps)


def _together(steps: Sequence[Quote]) -> Iterator[tuple[Quote, ...]]:
    if sum(len(step.unit.text) for step in steps) <= _MOST_STEPS:
        if steps:
            yield tuple(steps)
    else:
        yield from ((step,) for step in steps)


def _quotable(quotes: Sequence[Quote], quote: Quote) -> bool:
    """Headings and questions say what follows, an introduction what is said after it: they answer nothing."""
    unit = quote.unit
    if unit.kind in ("heading", "reference") or not readable(unit).strip():
        return False
    if unit.kind != "sentence":
        return True
    return not introduces(quotes, quote) and not _QUESTION.search(unit.text)


def introduces(quotes: Sequence[Quote], quote: Quote) -> bool:
    """Whether it is said with the list, code or table that follows, and means little without."""
    unit = quote.unit
    if quote.position + 1 == len(quotes):
        return False
    following = quotes[quote.position + 1].unit
    if unit.kind != "sentence" or following.kind not in ("item", "code", "row"):
        return False
    leads = following.kind == "item" and bool(following.context) and following.context.endswith(unit.text)
    return leads or unit.text.endswith((":", "："))


def _above(quotes: Sequence[Quote], first: Quote) -> str:
    """Headings, a table's names, a list's introduction, and of code the sentence before it."""
    unit = first.unit
    before = quotes[first.position - 1].unit if first.position else None
    leads = before is not None and unit.kind == "code" and before.kind == "sentence" and before.under == unit.under
    lead = before.text if leads and before is not None else unit.context.replace("|", " ")
    return spoken(" · ".join(part for part in (*unit.under, lead) if part))


def features(question: str, terms: Terms, found: Sequence[Candidate]) -> FloatArray:
    """(candidates, FEATURES); "late" is 0, since its vectors are not there yet."""
    asked = frozenset(terms(question))
    weight = term_weights(asked, found)
    rows = [_row(question, asked, weight, candidate) for candidate in found]
    return np.array(rows, np.float32).reshape(len(found), len(FEATURES))


def _row(question: str, asked: frozenset[str], weight: Mapping[str, float], candidate: Candidate) -> list[float]:
    text, both = candidate.text, f"{candidate.above} {candidate.text}"
    against = opposed(question, text) or (opposed(question, candidate.above) and not agrees(question, text))
    is_code = candidate.quotes[0].unit.kind == "code"
    return [
        0.0,
        sum(weight[term] for term in asked & candidate.own),
        sum(weight[term] for term in (asked & candidate.context) - candidate.own),
        float(candidate.mark == 1),
        _share(codes(question) | identifiers(question), codes(both) | identifiers(both)),
        _share(numbers(question), numbers(both)),
        float(agrees(question, both) and not against),
        float(against),
        float(asks_for_no(question) and says_no(text)),
        float(is_code) * (1.0 if _ASKS_FOR_CODE.search(question) else -0.5),
    ]


def late_interaction(question: FloatArray, texts: Sequence[FloatArray]) -> FloatArray:
    """(texts,): the mean over the question's tokens, (t, dim), of the best cosine to a token of each text."""
    best = [float((question @ text.T).max(axis=1).mean()) if len(text) and len(question) else 0.0 for text in texts]
    return np.array(best, np.float32)


def term_weights(asked: frozenset[str], found: Sequence[Candidate]) -> dict[str, float]:
    """Of each term of the question: the rarer among the candidates, the more; 1 together."""
    frequency = Counter(term for candidate in found for term in candidate.own | candidate.context)
    weight = {term: math.log(1 + (len(found) + 1) / (frequency[term] + 0.5)) for term in asked}
    total = sum(weight.values()) or 1.0
    return {term: value / total for term, value in weight.items()}


def _share(wanted: frozenset[str], said: frozenset[str]) -> float:
    return len(wanted & said) / len(wanted) if wanted else 0.0
