"""Quoted answers against what a careful reader would give: 163 questions a language over FAQ, manuals, tables, code.

    python -m benchmarks.quoting [--half report|tune] [--by units|sentences|chosen] [--each FILE]

Half of the questions are for tuning, half only for the report; the halves share no document. The documents are those of
benchmarks/quoting/documents/ and, where it lies beside the checkout, some of ../shared/data. Search and quotation are
those of the embedded profile, in process. Units: what is quoted is right where half of it lies in a unit that the
reader gives or allows; what the reader gives is found where four fifths of it are quoted. Last line: JSON.
"""

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from benchmarks.harness import options, report
from benchmarks.quoting.answerers import Name
from benchmarks.quoting.asking import ask_all, dumped
from benchmarks.quoting.questions import SHARED, asked, load
from benchmarks.quoting.scoring import Outcome, table

FIGURES = ("precision", "recall", "exact", "foreign", "found", "refused", "ms", "unanswerable", "small talk")


@dataclass(frozen=True, slots=True)
class Row:
    """Shares of 1; ms: median from the search to the first delta. foreign: answers with a unit that is not right.

    found: questions whose source the search gave. refused: of what has an answer. unanswerable: refused, small_talk:
    greeted, each as it should be. -1: there is none such.
    """

    questions_of: str
    questions: int
    precision: float
    recall: float
    exact: float
    foreign: float
    found: float
    refused: float
    ms: float
    unanswerable: float
    small_talk: float


def rows(outcomes: Sequence[Outcome]) -> list[Row]:
    found = []
    for language in sorted({outcome.question.language for outcome in outcomes}):
        own = [outcome for outcome in outcomes if outcome.question.language == language]
        kinds = sorted({outcome.question.kind for outcome in own if outcome.question.answerable})
        found += [_row(f"{language} {kind}", [o for o in own if o.question.kind == kind]) for kind in kinds]
        found.append(_row(f"{language} all", own))
    return found


def _row(name: str, outcomes: Sequence[Outcome]) -> Row:
    figures = table(outcomes)
    return Row(name, len(outcomes), *(round(figures.get(figure, -1.0), 3) for figure in FIGURES))


def main() -> None:
    parser = options(__doc__)
    parser.add_argument("--half", choices=("report", "tune"), default="report")
    parser.add_argument(
        "--by", choices=get_args(Name), default="units", help="who answers: see benchmarks/quoting/answerers.py"
    )
    parser.add_argument("--language", choices=("en", "ko"), help="of the questions; both without it")
    parser.add_argument("--each", type=Path, help="a file for one line of JSON a question")
    given: argparse.Namespace = parser.parse_args()
    if not SHARED.exists():
        print(f"{SHARED} is absent: its questions are left out")
    questions = asked(
        question for question in load() if question.half == given.half and given.language in (None, question.language)
    )
    outcomes = asyncio.run(ask_all(questions[:: 9 if given.small else 1], given.by))
    if given.each:
        given.each.write_text(dumped(outcomes) + "\n", encoding="utf-8")
    report("quoting", given, rows(outcomes))


if __name__ == "__main__":
    main()
