"""How near a quotation is to what a careful reader would have given; pure.

Everything is compared as letters and digits alone, so that joined lines, marks of Markdown and table rules count for
nothing: an offset into a text becomes the number of letters and digits before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean, median

from benchmarks.quoting.questions import Extent, Question

_RIGHT = 0.5  # of a quoted unit must lie in the reader's
_COVERED = 0.8  # of a reader's unit must be quoted


@dataclass(frozen=True, slots=True)
class Said:
    """A quoted unit: where it stands in the source's text (letters and digits); of another document: None."""

    extent: Extent | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """came: "quoted", "refused", or "greeted" (a fixed answer). ms: from the search to the first delta.

    found: the source is among the evidence, whatever was quoted. text: the answer, "" where the search gave nothing.
    """

    question: Question
    came: str
    precision: float = 0.0
    recall: float = 0.0
    ms: float = 0.0
    found: bool = False
    text: str = ""

    @property
    def exact(self) -> bool:
        return self.precision == 1 and self.recall == 1


def skeleton(text: str) -> list[int]:
    """For each offset of `text`, and for its end, how many letters and digits stand before it."""
    return [0, *accumulate(int(character.isalnum()) for character in text)]


def scored(question: Question, text: str, said: Sequence[Said], ms: float, *, found: bool = True) -> Outcome:
    """Of an answer that quotes. text: the source's, as labelled."""
    before = skeleton(text)
    needed, also = ([(before[a], before[b]) for a, b in extents] for extents in (question.needed, question.also))
    extents = [unit.extent for unit in said if unit.extent is not None]
    right = [_share(extent, [*needed, *also]) >= _RIGHT for extent in extents]
    covered = [_share(unit, extents) >= _COVERED for unit in needed]
    precision = sum(right) / len(said) if said else 0.0
    return Outcome(question, "quoted", precision, fmean(covered) if covered else 0.0, ms, found)


def _share(extent: Extent, others: Sequence[Extent]) -> float:
    """How much of `extent` lies in any of the others."""
    start, end = extent
    held = {place for a, b in others for place in range(max(a, start), min(b, end))}
    return len(held) / (end - start) if end > start else 0.0


def table(outcomes: Sequence[Outcome]) -> Mapping[str, float]:
    """The figures of one row; a refused answer has neither precision nor recall, and is not exact."""
    asked = [outcome for outcome in outcomes if outcome.question.answerable]
    quoted = [outcome for outcome in asked if outcome.came == "quoted"]
    row: dict[str, float] = {"questions": len(outcomes)}
    if asked:
        row |= {
            "precision": fmean(outcome.precision for outcome in quoted) if quoted else 0.0,
            "recall": fmean(outcome.recall for outcome in asked),
            "exact": fmean(outcome.exact for outcome in asked),
            "foreign": fmean(outcome.precision < 1 for outcome in quoted) if quoted else 0.0,
            "found": fmean(outcome.found for outcome in asked),
            "refused": fmean(outcome.came != "quoted" for outcome in asked),
            "ms": median(outcome.ms for outcome in quoted) if quoted else 0.0,
        }
    for kind, good in (("unanswerable", "refused"), ("small talk", "greeted")):
        of_kind = [outcome.came == good for outcome in outcomes if outcome.question.kind == kind]
        if of_kind:
            row[kind] = fmean(of_kind)
    return row
