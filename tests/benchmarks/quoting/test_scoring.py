"""What the scorer of quotations counts, and that the labels are whole."""

from collections import Counter

import pytest

from benchmarks.quoting.questions import Question, asked, load, text_of
from benchmarks.quoting.scoring import Outcome, Said, scored, table

TEXT = "One is red. Two is blue.\nThree is green."


def question(needed: tuple[tuple[int, int], ...], also: tuple[tuple[int, int], ...] = ()) -> Question:
    return Question("x", "tune", "en", "manual", "tune/x.md", "?", needed, also)


def test_the_readers_unit_alone_is_exact() -> None:
    found = scored(question(((12, 24),)), TEXT, [Said((8, 17))], 1.0)
    assert (found.precision, found.recall, found.exact) == (1.0, 1.0, True)


def test_a_foreign_unit_costs_precision_and_a_missing_one_recall() -> None:
    found = scored(question(((0, 11), (12, 24))), TEXT, [Said((0, 8)), Said(None)], 1.0)
    assert (found.precision, found.recall, found.exact) == (0.5, 0.5, False)


def test_what_may_stand_beside_the_answer_is_neither_foreign_nor_missed() -> None:
    found = scored(question(((0, 11),), ((12, 24),)), TEXT, [Said((0, 8)), Said((8, 17))], 1.0)
    assert found.exact
    assert scored(question(((0, 11),), ((12, 24),)), TEXT, [Said((0, 8))], 1.0).exact


def test_a_refusal_where_there_is_an_answer_counts_as_not_found() -> None:
    row = table([Outcome(question(((0, 11),)), "refused"), Outcome(question(((0, 11),)), "quoted", 1.0, 1.0)])
    assert (row["precision"], row["recall"], row["exact"], row["refused"]) == (1.0, 0.5, 0.5, 0.5)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_there_are_enough_questions_of_every_kind_in_both_halves(language: str) -> None:
    own = [one for one in load() if one.language == language]
    assert len(own) >= 120
    kinds = Counter((one.half, one.kind) for one in own)
    assert min(kinds.values()) >= 2
    assert len(kinds) == 2 * 10


def test_no_document_is_in_both_halves() -> None:
    halves: dict[str, set[str]] = {}
    for one in load():
        halves.setdefault(one.source.partition("#")[0] if not one.shared else one.source, set()).add(one.half)
    assert all(len(found) == 1 for source, found in halves.items() if source)


@pytest.mark.parametrize("one", asked(load()), ids=lambda one: one.id)
def test_labels_are_whole_units_of_their_text(one: Question) -> None:
    text = text_of(one.source) if one.source else ""
    for start, end in (*one.needed, *one.also):
        assert 0 <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        assert not text[start - 1 : start].isalnum() or text[start - 1] in "요다"
    assert one.answerable == (one.kind not in ("unanswerable", "small talk"))
