"""Which units of numbered passages answer a question: the fewest that do; pure.

A candidate's score is a weighted sum of what it shares with the question (models/quoting/candidates.py); the weights
were fitted on the tuning half of benchmarks.quoting (its `fitting`) as a conditional logit: which of a question's
candidates a careful reader would give. Codes decide before any score: where a unit has the question's code, no other
answers, and where none has it, nothing does.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from models.base import Block, FloatArray
from models.quoting.candidates import Candidate, Passage, Terms, features, introduces, passage
from models.quoting.lines import columns
from models.quoting.rendering import Quote
from models.quoting.wording import asks_for_no, asks_price, codes, says_price

# In the order of candidates.FEATURES, as benchmarks.quoting.fitting gives them.
_WEIGHTS = np.array([8.7, 5.4, 8.6, 1.8, 1.8, 1.8, 2.4, -3.0, 4.5, 4.3], np.float32)
_EMBEDDED = 24  # candidates whose token vectors are made, the lexically best
_AS_GOOD = 0.25  # below the best score by at most this: said too, where it says something else
_AS_GOOD_ELSEWHERE = 0.1  # in another passage than the best
_REPEATS = 0.6
_MOST = 3
_SAME_QUESTION = 0.62  # late interaction with the question of an FAQ: what is asked is that, not a part of it
_LITTLE_SHARED, _FAR = 0.12, 0.5  # of the question's weight in terms, and late interaction: the best answers nothing
_SHORT, _WHOLE = 240, 480  # characters of an FAQ's answer: said whole in any case; said where its question was asked
_BRIEF = 100  # columns of a paragraph that may hold a rule and its exception
_CONTINUES = re.compile(r"^(단,|다만|그러나|하지만|However|Otherwise|But|Except)\b")


class Quoter:
    """Of one question. blocks: of each passage, or none. terms: the lexical terms of a text."""

    def __init__(
        self, question: str, passages: Sequence[str], terms: Terms, blocks: Sequence[Sequence[Block]] = ()
    ) -> None:
        known = blocks or [()] * len(passages)
        self._passages = [
            passage(text, own, i, terms) for i, (text, own) in enumerate(zip(passages, known, strict=True), 1)
        ]
        self._question, self._asked = question, frozenset(terms(question))
        found = _with_codes(question, passages, [c for each in self._passages for c in each.candidates])
        self.features = features(question, terms, found)
        order = np.argsort(-(self.features @ _WEIGHTS), kind="stable")[:_EMBEDDED]
        self.features = self.features[order]
        self.candidates = [found[index] for index in order]
        marks = {candidate.mark for candidate in self.candidates}
        self._asking = [own for mark, own in enumerate(self._passages, 1) if mark in marks and own.asks]

    @property
    def texts(self) -> list[str]:
        """What is compared with the question: the candidates, and the questions of an FAQ's rows."""
        return [*(candidate.text for candidate in self.candidates), *(own.asks for own in self._asking)]

    def choose(self, late: FloatArray) -> list[Quote]:
        """late: (len(texts),), see candidates.late_interaction. In reading order; empty where nothing answers."""
        if not self.candidates:
            return []
        near = late[: len(self.candidates)]
        asked = [
            own for own, nearness in zip(self._asking, late[len(near) :], strict=True) if nearness >= _SAME_QUESTION
        ]
        scores = self.features @ _WEIGHTS + _WEIGHTS[0] * near
        scores = self._priced(scores)
        best = int(scores.argmax())
        if not asked and self.features[best, 1:3].sum() < _LITTLE_SHARED and near[best] < _FAR:
            return []
        chosen: list[Candidate] = []
        for index in np.argsort(-scores, kind="stable"):
            candidate = self.candidates[index]
            if len(chosen) == _MOST:
                break
            beside = not chosen or candidate.mark == chosen[0].mark
            enough = scores[index] >= scores.max() - (_AS_GOOD if beside else _AS_GOOD_ELSEWHERE)
            if enough and not any(_alike(candidate, other) for other in chosen):
                chosen.append(candidate)
        if len(chosen) == 1:
            chosen += self._nearer_neighbour(chosen[0], near)
        order = {mark: place for place, mark in enumerate(dict.fromkeys(one.mark for one in chosen))}
        quotes = {quote for candidate in chosen for quote in self._completed(candidate, asked)}
        return sorted(quotes, key=lambda quote: (order[quote.mark], quote.position))

    def _priced(self, scores: FloatArray) -> FloatArray:
        """Where a price is asked for and the best candidate names none, of the others in its passage those that do, and
        share a word with the question in text or heading, come before it.
        """
        best = int(scores.argmax())
        if not asks_price(self._question) or says_price(self.candidates[best].text):
            return scores
        shares = self.features[:, 1:3].sum(axis=1) > 0
        priced = [
            index
            for index, candidate in enumerate(self.candidates)
            if shares[index] and candidate.mark == self.candidates[best].mark and says_price(candidate.text)
        ]
        if priced:
            scores = scores.copy()
            scores[priced] += scores[best] - scores[priced].max() + _AS_GOOD + 0.01
        return scores

    def _nearer_neighbour(self, chosen: Candidate, near: FloatArray) -> list[Candidate]:
        """Of a brief paragraph the sentence beside it that says a term of the question which this one leaves out, and
        is nearer to it: terms and vectors disagree on a rule and its exception ("Delivery takes two days. To Jeju it
        takes four."), and neither is right without the other.
        """
        first, own = chosen.quotes[0], near[self.candidates.index(chosen)]
        beside = [quote for quote in self._passages[chosen.mark - 1].quotes if _together(quote, first)]
        if asks_for_no(self._question) or sum(columns(quote.unit.text) for quote in beside) > _BRIEF:
            return []
        return [
            candidate
            for candidate, nearness in zip(self.candidates, near, strict=True)
            if candidate.quotes[0] in beside and nearness > own and (self._asked & candidate.own) - chosen.own
        ][:1]

    def _completed(self, chosen: Candidate, asked: Sequence[Passage]) -> list[Quote]:
        """With what introduces it, and what takes part of it back; of an FAQ's row that was asked for, all."""
        own = self._passages[chosen.mark - 1]
        if own in asked or (own.asks and _length(own) <= _SHORT):
            return _whole(own)
        first, last = chosen.quotes[0], chosen.quotes[-1]
        quotes = list(chosen.quotes)
        quotes = [*_introduction(own.quotes, first), *quotes]
        after = own.quotes[last.position + 1] if last.position + 1 < len(own.quotes) else None
        if after is not None and after.unit.paragraph == last.unit.paragraph and _CONTINUES.match(after.unit.text):
            quotes.append(after)
        return quotes


def _with_codes(question: str, passages: Sequence[str], found: Sequence[Candidate]) -> list[Candidate]:
    """Those that say the question's codes, most of them; all, where it has none or a heading alone says them."""
    wanted = codes(question)
    said = [len(wanted & codes(f"{candidate.above} {candidate.text}")) for candidate in found]
    most = max(said, default=0)
    if most or not wanted:
        return [candidate for candidate, count in zip(found, said, strict=True) if count == most]
    return list(found) if any(wanted & codes(text) for text in passages) else []


def _introduction(quotes: Sequence[Quote], said: Quote) -> list[Quote]:
    """The sentence before the code, or before the list that the item stands in."""
    position = said.position
    while said.unit.kind == "item" and position and quotes[position - 1].unit.kind == "item":
        position -= 1
    return [quotes[position - 1]] if position and introduces(quotes, quotes[position - 1]) else []


def _together(one: Quote, other: Quote) -> bool:
    """Whether they are sentences of one paragraph."""
    return one.unit.kind == other.unit.kind == "sentence" and one.unit.paragraph == other.unit.paragraph


def _alike(one: Candidate, other: Candidate) -> bool:
    return len(one.own & other.own) >= _REPEATS * (min(len(one.own), len(other.own)) or 1)


def _whole(own: Passage) -> list[Quote]:
    """Up to the limit, and at least one."""
    said: list[Quote] = []
    length = 0
    for candidate in own.answer:
        length += len(candidate.text)
        if said and length > _WHOLE:
            last = said[-1]
            return [*said[:-1], replace(last, unit=replace(last.unit, text=f"{last.unit.text} …"))]
        said.extend(candidate.quotes)
    return said


def _length(own: Passage) -> int:
    return sum(len(candidate.text) for candidate in own.answer)
