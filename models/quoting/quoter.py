"""Which sentences of numbered passages answer a question, and how they read as an answer; pure.

Greedy selection in the manner of maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): relevance is
IDF-weighted coverage of the question's terms, similarity of embeddings and the passage's rank; a sentence that repeats
a chosen one is left out.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from models.base import FloatArray
from models.quoting.sentences import Unit, units, unmarked

_MOST = 4
_FOLLOWING = 10
_EMBEDDED = 24
_COVERAGE, _SIMILARITY, _RANK = 0.35, 0.35, 0.3
_ENOUGH = 0.6  # of the best sentence's score, in its own passage
_ENOUGH_ELSEWHERE = 0.85
_REPEATS = 0.6
_CONTEXT = 0.6  # what a term in the heading counts for each sentence below it
_SHORT_PASSAGE = 420  # characters: a passage this short is quoted whole, as help-centre answers are
_LONG_UNIT = 600
_FRAGMENT = 25
_TOO_SHORT = 120  # characters of an answer: the sentences after the best one are added
_CODE_LINES = 12
_INTRODUCES = re.compile(r"(:|：|다음과 같습니다\.|as follows\.|is equivalent to|statements)$")
_CONTINUES = re.compile(
    r"^(단,|다만|또한|그리고|그러나|하지만|이때|이 때|이 경우|그렇지|그래도)"
    r"|^(However|Otherwise|Then|Thus|This|These|It|But)\b"
)


@dataclass(frozen=True, slots=True)
class Quote:
    """A unit of passage `mark`; position: among that passage's units."""

    unit: Unit
    mark: int
    position: int


@dataclass(frozen=True, slots=True)
class Candidate:
    quote: Quote
    terms: frozenset[str]
    coverage: float


class Quoter:
    """Of one question. terms: the lexical terms of a text."""

    def __init__(self, question: str, passages: Sequence[str], terms: Callable[[str], list[str]]) -> None:
        self._passages = [
            [Quote(unit, mark, position) for position, unit in enumerate(units(passage))]
            for mark, passage in enumerate(passages, 1)
        ]
        self.candidates = _candidates(frozenset(terms(question)), self._passages, terms)

    def choose(self, similarity: FloatArray) -> list[Quote]:
        """similarity: (len(candidates),) cosine with the question. In reading order; empty without any candidate."""
        if not self.candidates:
            return [passage[0] for passage in self._passages[:1] if passage]
        scores = _scores(self.candidates, similarity)
        chosen = _diverse(self.candidates, scores)
        best = self._passages[chosen[0].mark - 1]
        if chosen[0].mark == 1 and _length(best) <= _SHORT_PASSAGE:
            chosen = [quote for quote in best if _quotable(quote.unit)] + [
                q for q in chosen if q.mark != chosen[0].mark
            ]
        return self._completed(chosen)

    def _completed(self, chosen: Sequence[Quote]) -> list[Quote]:
        """With the steps, code and second thoughts that follow a chosen sentence; passages in the order chosen."""
        order = {mark: index for index, mark in enumerate(dict.fromkeys(quote.mark for quote in chosen))}
        wanted = {(quote.mark, quote.position) for quote in chosen}
        for quote in chosen:
            following = self._passages[quote.mark - 1][quote.position + 1 :]
            wanted |= {(quote.mark, q.position) for q in _following(quote.unit, following)}
        if sum(len(quote.unit.text) for quote in chosen) < _TOO_SHORT:
            wanted |= {(quote.mark, quote.position) for quote in self._rest_of_paragraph(chosen[0])}
        found = [quote for passage in self._passages for quote in passage if (quote.mark, quote.position) in wanted]
        return sorted(found, key=lambda quote: (order[quote.mark], quote.position))

    def _rest_of_paragraph(self, quote: Quote) -> list[Quote]:
        """As much of it as makes the answer long enough to be understood."""
        rest: list[Quote] = []
        length = len(quote.unit.text)
        for following in self._passages[quote.mark - 1][quote.position + 1 :]:
            if length >= _TOO_SHORT or following.unit.paragraph != quote.unit.paragraph:
                break
            rest.append(following)
            length += len(following.unit.text)
        return rest


def render(quotes: Sequence[Quote]) -> str:
    """The quotes as one text, each sentence, list and block followed by its mark ` [n]`."""
    text = ""
    for index, quote in enumerate(quotes):
        following = quotes[index + 1] if index + 1 < len(quotes) else None
        goes_on = following is not None and following.mark == quote.mark and _leads_to(quote.unit, following.unit)
        body = f"```\n{quote.unit.text}\n```\n" if quote.unit.kind == "code" else f"{unmarked(quote.unit.text)} "
        text += body.rstrip() if goes_on else f"{body}[{quote.mark}]"
        if following is not None:
            text += _separator(quote, following)
    return text


def _leads_to(unit: Unit, following: Unit) -> bool:
    """One mark stands for a list or a block together with the sentence that introduces it."""
    return (unit.kind, following.kind) in {("sentence", "item"), ("item", "item"), ("sentence", "code")}


def _separator(quote: Quote, following: Quote) -> str:
    if "item" in (quote.unit.kind, following.unit.kind) or "code" in (quote.unit.kind, following.unit.kind):
        return "\n"
    return " " if quote.mark == following.mark else "\n\n"


def _candidates(
    asked: frozenset[str], passages: Sequence[Sequence[Quote]], terms: Callable[[str], list[str]]
) -> list[Candidate]:
    """The quotable units, the lexically better ones where there are many."""
    found: list[tuple[Quote, frozenset[str], frozenset[str]]] = []
    for passage in passages:
        context: frozenset[str] = frozenset()
        for quote in passage:
            if _quotable(quote.unit):
                found.append((quote, frozenset(terms(quote.unit.text)), context))
            else:
                context |= frozenset(terms(quote.unit.text))
    frequency = Counter(term for _, own, _ in found for term in own)
    weight = {term: math.log(1 + (len(found) + 1) / (frequency[term] + 0.5)) for term in asked}
    total = sum(weight.values()) or 1.0
    candidates = [
        Candidate(
            quote,
            own,
            sum(weight[t] * (1 if t in own else _CONTEXT if t in context else 0) for t in asked) / total,
        )
        for quote, own, context in found
    ]
    ranked = sorted(candidates, key=lambda c: -(c.coverage + _rank(c.quote)))
    return ranked[:_EMBEDDED]


def _quotable(unit: Unit) -> bool:
    """Headings and questions say what follows, they answer nothing."""
    return unit.kind in ("sentence", "item") and not unit.text.endswith(("?", "？"))


def _rank(quote: Quote) -> float:
    return 1 / (1 + 0.5 * (quote.mark - 1))


def _scores(candidates: Sequence[Candidate], similarity: FloatArray) -> FloatArray:
    """Similarities of one embedder lie close together: they count by their place between the lowest and the highest."""
    low, high = float(similarity.min()), float(similarity.max())
    near = (similarity - low) / (high - low) if high > low else np.ones_like(similarity)
    coverage = np.array([candidate.coverage for candidate in candidates], np.float32)
    rank = np.array([_rank(candidate.quote) for candidate in candidates], np.float32)
    fit = np.array([_fit(candidate.quote.unit) for candidate in candidates], np.float32)
    scores: FloatArray = (_COVERAGE * coverage + _SIMILARITY * near + _RANK * rank) * fit
    return scores


def _fit(unit: Unit) -> float:
    """Fragments and monsters make poor quotes, and an introduction is no answer by itself."""
    if len(unit.text) > _LONG_UNIT:
        return 0.6
    if len(unit.text) < _FRAGMENT or (unit.kind == "sentence" and not re.search(r"[.!?。…:：][\"'”’)\]]*$", unit.text)):
        return 0.7
    return 0.85 if _INTRODUCES.search(unit.text) else 1.0


def _diverse(candidates: Sequence[Candidate], scores: FloatArray) -> list[Quote]:
    """One to four: the best, then those nearly as good that do not repeat a chosen one."""
    best = float(scores.max())
    chosen: list[Candidate] = []
    for index in np.argsort(-scores, kind="stable"):
        candidate = candidates[index]
        if len(chosen) == _MOST:
            break
        own = not chosen or candidate.quote.mark == chosen[0].quote.mark
        enough = float(scores[index]) >= best * (_ENOUGH if own else _ENOUGH_ELSEWHERE)
        if enough and all(_overlap(candidate.terms, other.terms) < _REPEATS for other in chosen):
            chosen.append(candidate)
    return [candidate.quote for candidate in chosen]


def _overlap(a: frozenset[str], b: frozenset[str]) -> float:
    return len(a & b) / (min(len(a), len(b)) or 1)


def _following(unit: Unit, following: Sequence[Quote]) -> list[Quote]:
    """The list or the code that `unit` introduces, the rest of its own list, or the sentence that limits it."""
    if not following:
        return []
    if unit.kind == "item" or (following[0].unit.kind == "item" and _introduces(unit)):
        steps: list[Quote] = []
        for quote in following[:_FOLLOWING]:
            if quote.unit.kind != "item":
                break
            steps.append(quote)
        return steps
    first = following[0]
    if first.unit.kind == "code":
        return [first] if _introduces(unit) and first.unit.text.count("\n") < _CODE_LINES else []
    same = first.unit.paragraph == unit.paragraph
    return [first] if same and _CONTINUES.match(first.unit.text) and _quotable(first.unit) else []


def _introduces(unit: Unit) -> bool:
    return _INTRODUCES.search(unit.text) is not None or unit.text.endswith(("세요.", "니다.", "following."))


def _length(passage: Sequence[Quote]) -> int:
    return sum(len(quote.unit.text) for quote in passage)
